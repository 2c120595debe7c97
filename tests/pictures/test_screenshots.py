"""The pictures of the docs, which the committed script makes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from screenshots import IMAGES, write_images

MAX_BYTES = 200_000


@pytest.mark.slow
def test_the_script_makes_the_pictures_of_the_docs(tmp_path: Path) -> None:
    """Compare sizes and contents; versions of Matplotlib, Chromium and fonts differ in details."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("needs chromium and chromedriver (Debian's packages chromium and chromium-driver)")
    write_images(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in IMAGES.iterdir()}
    for path in tmp_path.iterdir():
        made, committed = (imread(folder / path.name)[..., :3] for folder in (tmp_path, IMAGES))
        assert made.shape == committed.shape
        assert np.abs(made - committed).mean() < 0.03


def test_pictures_are_small() -> None:
    assert all(0 < path.stat().st_size < MAX_BYTES for path in IMAGES.iterdir())
