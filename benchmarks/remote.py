"""A build to an S3 server on this machine, compared with s3fs that uploads zeros of the same size.

python benchmarks/remote.py [GIGABYTES, by default 2]
"""

import sys
import tempfile
from pathlib import Path
from statistics import median

from measuring import PARAMGEN, measure
from s3rver import KEY, SECRET, run_s3rver

BUCKET = "models"
RUNS = 3
UPLOAD = """
import sys
import s3fs
endpoint, key, secret, path, size = sys.argv[1:]
config = {"read_timeout": 3600}
fs = s3fs.S3FileSystem(key=key, secret=secret, client_kwargs={"endpoint_url": endpoint}, config_kwargs=config)
block = bytes(2**22)
with fs.open(path, "wb", block_size=2**24) as file:
    for _ in range(int(size) // len(block)):
        file.write(block)
"""


def make_spec(size: int) -> str:
    """Return a spec of layers of 64 MB, of which one draws its values and the others are constant, as zeros are."""
    constant = "{w: {shape: [4096, 4096], initializer: {type: constant, value: 0.5}}}"
    return f"operations: [{{name: x, repeat: {max(1, size // 2**26)}, type: custom, parameters: {constant}}}]\n"


def measure_uploads(scratch: Path, size: int, runs: int) -> list[str]:
    """Compare a build of about `size` bytes with an upload of zeros."""
    spec = scratch / "model.yaml"
    with run_s3rver(scratch / "s3", BUCKET) as port:
        endpoint = f"http://127.0.0.1:{port}"
        options = [f"key={KEY}", f"secret={SECRET}", f"client_kwargs.endpoint_url={endpoint}"]
        options.append("config_kwargs.read_timeout=3600")  # s3rver joins the parts before it answers
        arguments = [text for option in options for text in ("--storage-option", option)]
        target = f"s3://{BUCKET}/model.safetensors"
        normal = make_spec(size).replace("{type: constant, value: 0.5}", "gaussian")
        builds = {"normal values": normal, "equal values": make_spec(size)}
        names = ["s3fs, zeros", *(f"`paramgen build`, {name}" for name in builds)]
        taken: dict[str, list[float]] = {name: [] for name in names}
        peaks = dict.fromkeys(names, 0.0)
        for _ in range(runs):
            for name, text in zip(names, ["", *builds.values()], strict=True):
                spec.write_text(text)
                upload: list[str | Path] = [sys.executable, "-c", UPLOAD, endpoint, KEY, SECRET, f"{BUCKET}/zeros"]
                build: list[str | Path] = [*PARAMGEN, "build", spec, "--quiet", "--force", "-o", target, *arguments]
                measured = measure(*(build if text else [*upload, str(size)]))
                taken[name].append(measured.seconds)
                peaks[name] = max(peaks[name], measured.peak)
    return [
        "## Builds to an object store",
        "",
        f"Uploads of {size / 1e9:.0f} GB to npm's s3rver on this machine: the medians of {runs} runs in turn.",
        "",
        "| process | seconds | rate | peak memory |",
        "|---|---|---|---|",
        *(
            f"| {name} | {median(taken[name]):.1f} | {size / median(taken[name]) / 1e6:.0f} MB/s | "
            f"{peaks[name] / 1e6:.0f} MB |"
            for name in names
        ),
        "",
    ]


if __name__ == "__main__":
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print("\n".join(measure_uploads(Path(folder), int(gigabytes * 1e9), RUNS if gigabytes < 10 else 1)))
