"""An S3 server for benchmarks and tests: npm's s3rver, which keeps objects on disk."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = "s3rver@3.7.1"
KEY = SECRET = "S3RVER"
SCRIPT = """
const S3rver = require("s3rver");
const [directory, bucket] = process.argv.slice(1);
new S3rver({port: 0, address: "127.0.0.1", silent: true, directory, configureBuckets: [{name: bucket}]})
  .run().then(address => console.log(address.port));
"""


def install_s3rver() -> Path:
    """Install s3rver into the user's cache, once; return its folder. Raises RuntimeError if that is impossible."""
    if not shutil.which("npm"):
        raise RuntimeError("needs npm (Debian: apt-get install npm)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paramgen-tests" / VERSION
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (cache / "installed").exists():
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(cache), VERSION]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode:
                raise RuntimeError(f"npm cannot install {VERSION}: {' '.join(done.stderr.split())[:200]}")
            (cache / "installed").touch()
    return cache


@contextmanager
def run_s3rver(folder: Path, bucket: str) -> Iterator[int]:
    """Run a server with an empty bucket, which is kept in a folder; yield its port."""
    environment = {**os.environ, "NODE_PATH": str(install_s3rver() / "node_modules")}
    command = ["node", "-e", SCRIPT, "--", str(folder), bucket]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
