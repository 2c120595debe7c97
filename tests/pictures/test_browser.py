"""The report in Chromium: tree, search, histograms, themes, hostile names; no error and no request."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import Run
from safetensors.numpy import save_file
from screenshots import open_chromium, wait_for_rows
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement
from weights import HOSTILE_NAMES, write_hostile

from paramgen.messages import escape

MODEL = """\
layout: torch
operations:
- {name: embed, type: embedding, vocabulary_size: 100, embedding_dimension: 16}
- name: layers
  repeat: 4
  operations:
  - {name: norm, type: layer_norm, num_channels: 16}
  - {name: mlp.up, type: fully_connected, input_size: 16, output_size: 24}
"""
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chrome]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver (Debian's packages chromium and chromium-driver)")
    with open_chromium() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """Yield Chromium, and check that the page reported no error and loaded nothing but itself."""
    yield chromium
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith("chrome")] == [chromium.current_url]


@pytest.fixture
def model(run: Run, browser: Chrome, tmp_path: Path) -> Chrome:
    """Open the report of a small model."""
    (tmp_path / "model.yaml").write_text(MODEL)
    run("build", "model.yaml", "-o", "model.safetensors")
    open_report(run, browser, tmp_path, "model.safetensors")
    return browser


def open_report(run: Run, browser: Chrome, folder: Path, file: str) -> None:
    done = run("inspect", file, "--report", "report.html")
    assert done.returncode == 0, done.stderr  # which has progress on a slow machine
    browser.get((folder / "report.html").as_uri())
    wait_for_rows(browser)


def rows(browser: Chrome) -> list[WebElement]:
    return browser.find_elements("css selector", ".row")


def labels(browser: Chrome) -> list[str]:
    return [str(element.text) for element in browser.find_elements("css selector", ".row .label")]


def text(browser: Chrome, selector: str) -> str:
    return str(browser.find_element("css selector", selector).text)


def test_equal_layers_are_one_row(model: Chrome) -> None:
    assert labels(model) == ["embed.weight", "layers.0-3", "mlp.up", "bias", "weight", "norm", "bias", "weight"]
    assert "[24, 16]\n×4" in rows(model)[4].text


def test_a_search_filters_the_tree(model: Chrome) -> None:
    search = model.find_element("id", "search")
    search.send_keys("2.*UP")
    assert labels(model) == ["layers.0-3", "mlp.up", "bias", "weight"]
    assert "1 of 4" in rows(model)[-1].text
    assert text(model, "#found") == "2 of 17 tensors"
    rows(model)[-1].click()
    assert text(model, "#details h3") == "layers.2.mlp.up.weight"
    search.send_keys("nowhere")
    assert (labels(model), text(model, "#found")) == ([], "0 of 17 tensors")
    search.send_keys(*[Keys.BACKSPACE] * 12)
    assert (len(rows(model)), text(model, "#found")) == (8, "")


def test_a_click_shows_the_histograms_of_all_layers(model: Chrome) -> None:
    rows(model)[4].click()
    details = model.find_element("id", "details")
    cards = details.find_elements("css selector", ".card")
    assert [card.find_element("tag name", "h3").text for card in cards] == [
        f"layers.{i}.mlp.up.weight" for i in range(4)
    ]
    for card in cards:
        assert "promised: uniform ±0.387298" in card.text
        (picture,) = card.find_elements("tag name", "svg")
        label = str(picture.get_dom_attribute("aria-label"))
        assert re.search(r"^Histogram of layers\.\d\.mlp\.up\.weight: \d+ bars from -0\.39\d* to 0\.39", label)
        bars, promise = (picture.find_element("css selector", name) for name in (".bar", ".promised"))
        assert str(bars.get_dom_attribute("d")).count("M") > 15 and promise.get_dom_attribute("d")


def test_the_keyboard_moves_opens_and_chooses(model: Chrome) -> None:
    def press(key: str) -> str:
        model.switch_to.active_element.send_keys(key)
        return str(model.switch_to.active_element.find_element("css selector", ".label").text)

    model.execute_script("document.querySelector('.row[tabindex=\"0\"]').focus()")
    assert press(Keys.ARROW_DOWN) == "layers.0-3"
    assert press(Keys.ARROW_LEFT) == "layers.0-3" and len(rows(model)) == 2
    assert press(Keys.ARROW_RIGHT) == "layers.0-3" and len(rows(model)) == 8
    assert press(Keys.END) == "weight"
    press(Keys.ENTER)
    assert text(model, "#details h3") == "layers.0.norm.weight"
    assert press(Keys.HOME) == "embed.weight"
    assert len(model.find_elements("css selector", '.row[tabindex="0"]')) == 1


def test_both_themes(model: Chrome) -> None:
    def background() -> str:
        return str(model.find_element("tag name", "body").value_of_css_property("background-color"))

    button = model.find_element("id", "theme")
    light = background()
    assert button.text == "Dark theme"
    button.click()
    assert button.text == "Light theme" and background() != light
    button.click()
    assert background() == light


def test_controls_and_pictures_have_names_and_roles(model: Chrome) -> None:
    for selector, role, name in (
        ("#search", "searchbox", "Search"),
        ("#tree", "tree", "Tensors"),
        ("#theme", "button", "Dark theme"),
        (".row", "treeitem", "embed.weight [100, 16] 6.4 kB"),
        (".card svg", "image", "Histogram"),
        ("figure svg", "image", "Standard deviation of repeated layers"),
    ):
        element = model.find_element("css selector", selector)
        assert (element.aria_role.replace("img", "image"), element.accessible_name.startswith(name)) == (role, True)


def test_hostile_names_are_text(run: Run, browser: Chrome, tmp_path: Path) -> None:
    write_hostile(tmp_path / "hostile.safetensors")
    open_report(run, browser, tmp_path, "hostile.safetensors")
    search = browser.find_element("id", "search")
    for name in HOSTILE_NAMES:
        shown = escape(name) or "''"
        if "layers" not in name:
            assert shown in [
                label.get_dom_attribute("title") for label in browser.find_elements("css selector", ".label")
            ]
    search.send_keys("<script>")
    rows(browser)[0].click()
    assert text(browser, "#details h3") == HOSTILE_NAMES[0]
    assert browser.title == "hostile.safetensors"
    assert browser.find_elements("css selector", "b, i, img, #details script") == []


def test_a_hundred_thousand_tensors_are_shown_lazily(run: Run, browser: Chrome, tmp_path: Path) -> None:
    import numpy as np

    random = np.random.default_rng(0)
    folded = {f"layers.{i}.e.{j}.w": random.normal(0, 1, 16).astype(np.float32) for i in range(50) for j in range(500)}
    unlike = {f"x{i:05x}y": random.normal(0, 1, 16).astype(np.float32) for i in range(75_000)}
    save_file(folded | unlike, tmp_path / "large.safetensors")
    open_report(run, browser, tmp_path, "large.safetensors")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    assert len(rows(browser)) == 300
    browser.find_element("id", "more-rows").click()
    assert len(rows(browser)) == 600
    browser.find_element("id", "search").send_keys(".499.w")
    assert (labels(browser), text(browser, "#found")) == (["layers.0-49", "e.0-499", "w"], "50 of 100,000 tensors")
    assert "50 of 25,000" in rows(browser)[-1].text
    rows(browser)[-1].click()
    assert text(browser, "#details h3") == "layers.0.e.499.w"
    assert len(browser.find_elements("css selector", ".card")) < 10
