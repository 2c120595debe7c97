"""A test with a downloaded checkpoint, and the same test with the fixture `paramgen_model`.

python benchmarks/ci_fixture.py [--bandwidth 50]

No hub is asked: a server on this machine sends files of GPT-2's size at the given MB/s. Each figure is the least of
some runs of pytest in turn. docs/how-to/ci.md shows the test and the figures.
"""

import argparse
import http.server
import shutil
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from measuring import HERE, Measurement, describe_machine, measure

import paramgen

SPEC = HERE.parent / "configs" / "gpt2.yaml"
RUNS = 2
TEST = '''\
import pytest
import torch
from transformers import AutoModelForCausalLM


def complete(model, prompts):
    """Continue prompts of different lengths in one batch, padded on the left."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    generated = model.generate(tokens, attention_mask=mask, do_sample=False, max_new_tokens=5, pad_token_id=0)
    return generated[:, width:].tolist()


@pytest.fixture(scope="session")
def model():
    return AutoModelForCausalLM.from_pretrained("openai-community/gpt2")


def test_padding_changes_no_token(model):
    prompts = [[5, 6, 7, 8], [9]]
    assert complete(model, prompts) == [complete(model, [prompt])[0] for prompt in prompts]
'''
DOWNLOADED = TEST[TEST.index("@pytest.fixture") : TEST.index("\n\ndef test_")]
GENERATED = """\
@pytest.fixture(scope="session")
def model(paramgen_model):
    folder = paramgen_model("configs/gpt2.yaml", layers=2, width=128, vocabulary=1000)
    return AutoModelForCausalLM.from_pretrained(folder)
"""
# Stands in for the hub's client: it downloads what its cache does not have.
FROM_SERVER = """\
@pytest.fixture(scope="session")
def model():
    import pathlib, shutil, urllib.request

    folder = pathlib.Path(__file__).with_name("hub")
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).exists():
            with urllib.request.urlopen("ADDRESS/" + name) as answer, open(folder / name, "wb") as file:
                shutil.copyfileobj(answer, file, 2**20)
    return AutoModelForCausalLM.from_pretrained(folder)
"""
IMPORTS = "import pytest\nimport torch\nfrom transformers import AutoModelForCausalLM\n\n\ndef test():\n    pass\n"


class SlowHandler(http.server.SimpleHTTPRequestHandler):
    """A file server with the bandwidth of a network."""

    bytes_per_second = 50e6

    def copyfile(self, source, outputfile) -> None:
        began, sent = time.perf_counter(), 0
        while data := source.read(2**18):
            outputfile.write(data)
            sent += len(data)
            time.sleep(max(0.0, began + sent / self.bytes_per_second - time.perf_counter()))

    def log_message(self, *arguments) -> None:
        pass


def run_pytest(folder: Path, code: str) -> Measurement:
    (folder / "test_batching.py").write_text(code)
    return measure(sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", f"--rootdir={folder}", folder)


def measure_tests(scratch: Path, address: str) -> dict[str, list[Measurement]]:
    """Run each variant of the test with an empty cache and with a filled one, in turn."""
    variants = {"downloaded": TEST.replace(DOWNLOADED, FROM_SERVER.replace("ADDRESS", address))}
    variants["generated"] = TEST.replace(DOWNLOADED, GENERATED)
    found: dict[str, list[Measurement]] = {}
    run_pytest_alone = partial(run_pytest, make_folder(scratch / "imports"), IMPORTS)
    run_pytest_alone()  # reads programs from the disk
    for _ in range(RUNS):
        for name, code in variants.items():
            folder = make_folder(scratch / name)
            for state in ("first", "again"):
                found.setdefault(f"{name} {state}", []).append(run_pytest(folder, code))
        found.setdefault("imports", []).append(run_pytest_alone())
    return found


def make_folder(folder: Path) -> Path:
    """Make an empty folder for tests."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "configs").symlink_to(SPEC.parent)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bandwidth", type=float, default=50.0, metavar="MB/s", help="of the download")
    SlowHandler.bytes_per_second = parser.parse_args().bandwidth * 1e6
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        scratch = Path(folder)
        published = scratch / "published"
        paramgen.build(SPEC, f"{published}/", sync=False)
        handler = partial(SlowHandler, directory=str(published))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            found = measure_tests(scratch, f"http://127.0.0.1:{server.server_port}")
            server.shutdown()
        sizes = {
            name: sum(path.stat().st_size for path in scratch.glob(f"{name}/**/model.safetensors"))
            for name in ("downloaded", "generated")
        }
    print("| test | bytes | seconds | again | CPU seconds | peak memory |\n|---|---|---|---|---|---|")
    for name, size in sizes.items():
        first, again = (min(item.seconds for item in found[f"{name} {state}"]) for state in ("first", "again"))
        cpu, peak = (min(values) for values in zip(*(item[1:3] for item in found[f"{name} first"]), strict=True))
        print(f"| {name} | {size:,} | {first:.1f} | {again:.1f} | {cpu:.1f} | {peak / 1e9:.1f} GB |")
    imports = [min(values) for values in zip(*(item[:2] for item in found["imports"]), strict=True)]
    print(f"\nImporting PyTorch and Transformers alone: {imports[0]:.1f} s, {imports[1]:.1f} CPU seconds.")
    print(describe_machine())


if __name__ == "__main__":
    main()
