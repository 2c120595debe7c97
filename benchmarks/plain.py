"""A plain write, buffered or direct, to a new file that is then synced: the limit of every build.

python benchmarks/plain.py FILE BYTES buffered|direct
"""

import mmap
import os
import sys

BLOCK = 2**22

path, size, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
block = mmap.mmap(-1, BLOCK)
block[:] = os.urandom(BLOCK)
flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | (os.O_DIRECT if how == "direct" else 0)
descriptor = os.open(path, flags)
os.posix_fallocate(descriptor, 0, size)
for start in range(0, size, BLOCK):
    os.pwrite(descriptor, block, start)
os.ftruncate(descriptor, size)
os.fsync(descriptor)
