"""A server that runs `paramgen` commands in forks of a warm process, each stopped until a tracer has attached.

The server imports everything first, so that a fork makes only the command's system calls. A line of JSON on stdin,
{"folder", "arguments", "stdout", "stderr"}, starts a run; the answers are its process id and, at its end, its status.
"""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from paramgen import __main__

SPEC = "operations: [{name: x, type: custom, parameters: {w: {shape: [5000, 1000], initializer: gaussian}}}]\n"


FOLDER_SPEC = """
files: {config.json: {a: 1}}
operations: [{name: x, repeat: 4, type: custom, parameters: {w: {shape: [1000], initializer: gaussian}}}]
"""


def run(arguments: list[str]) -> int:
    sys.argv = ["paramgen", *arguments]
    try:
        __main__.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def warm_up() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec, target = Path(folder, "spec.yaml"), Path(folder, "x")
        spec.write_text(SPEC)
        for more in ([], ["--seed", "1"], ["--quiet"]):
            run(["build", str(spec), "-o", str(target), "--threads", "2", *more])
        run(["build", str(spec), "-o", "/nowhere/x"])
        spec.write_text(FOLDER_SPEC)
        for more in (["8KB"], ["8KB", "--seed", "1"], ["12KB", "--resume"]):
            run(["build", str(spec), "-o", f"{folder}/new/", "--threads", "2", "--quiet", "--max-shard-size", *more])
        run(["build", str(spec), "-o", "/nowhere/x/"])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def serve() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            os.chdir(job["folder"])
            for number, name in enumerate(("stdout", "stderr"), 1):
                os.dup2(os.open(job[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(run(job["arguments"]))
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def answer(number: int) -> None:
    os.write(3, f"{number}\n".encode())


if __name__ == "__main__":
    os.dup2(1, 3)
    os.dup2(2, 1)
    warm_up()
    answer(0)
    serve()
