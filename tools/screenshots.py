"""Write the pictures in docs/images: a plot, and a screenshot of a report in Chromium.

    python tools/screenshots.py [FOLDER]

It needs Matplotlib, Selenium, and Debian's packages chromium and chromium-driver.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
# Nothing but the page is loaded, and nothing of the user's is touched.
CHROMIUM_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
)
SIZE = (1180, 900)
# A GPT-2 whose later layers were trained on: their values are larger than promised.
VARIABLES = ("vocabulary=4000", "positions=256", "width=192", "layers=12")
TRAINED = "*.mlp.c_proj.weight"


@contextmanager
def open_chromium() -> Iterator[Chrome]:
    """Yield Chromium with a new profile and logs of the console and the network."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options: Any = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as profile:
        for option in (*CHROMIUM_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            # The size is the page's, without the window's frame.
            metrics = {"width": SIZE[0], "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            browser.get("about:blank")
            for log in ("browser", "performance"):
                browser.get_log(log)
            yield browser
        finally:
            browser.quit()


def wait_for_rows(browser: Chrome) -> None:
    """Wait until a report has shown its tree."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60).until(lambda browser: browser.find_elements("css selector", ".row"))


def choose_tensor(browser: Chrome, pattern: str) -> None:
    """Click on the tensor that a search finds, and show the others again."""
    search = browser.find_element("id", "search")
    search.send_keys(pattern)
    row = browser.find_elements("css selector", ".row")[-1]
    browser.execute_script("arguments[0].click()", row)  # the pointer would highlight another row afterwards
    for _ in pattern:
        search.send_keys("\b")
    browser.execute_script("document.activeElement.blur()")


def paramgen(*arguments: str, folder: str) -> None:
    command = [sys.executable, "-m", "paramgen", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def make_weights(path: Path) -> None:
    """Build a small GPT-2, and multiply a matrix of each layer by more than 1, as if it had been trained."""
    import safetensors
    from safetensors.numpy import load_file, save_file

    options = [option for variable in VARIABLES for option in ("--set", variable)]
    paramgen("build", str(ROOT / "configs" / "gpt2.yaml"), *options, "-o", path.name, folder=str(path.parent))
    with safetensors.safe_open(path, "np") as file:  # type: ignore[no-untyped-call]
        metadata = file.metadata()
    tensors = load_file(path)
    for name, values in tensors.items():
        if fnmatchcase(name, TRAINED):
            layer = next(int(part) for part in name.split(".") if part.isdecimal())
            tensors[name] = values * values.dtype.type(1 + layer / 12)
    save_file(tensors, path, metadata)


def write_images(folder: Path) -> None:
    """Write plot.png and report.png to a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        make_weights(Path(scratch) / "gpt2.safetensors")
        pictures = ("--plot", "plot.png", "--report", "report.html")
        paramgen("inspect", "gpt2.safetensors", *pictures, folder=scratch)
        shutil.copy(Path(scratch) / "plot.png", folder / "plot.png")
        with open_chromium() as browser:
            browser.get((Path(scratch) / "report.html").as_uri())
            wait_for_rows(browser)
            choose_tensor(browser, TRAINED)
            browser.save_screenshot(str(folder / "report.png"))


if __name__ == "__main__":
    write_images(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
