from paramgen.cli import main

main()
