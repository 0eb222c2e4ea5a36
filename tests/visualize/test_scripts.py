"""Every script draws its picture with no argument, and every picture is in the gallery."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(path.stem for path in (ROOT / "visualize").glob("*.py"))
GALLERY = ROOT / "docs" / "gallery.md"

WANTED = {
    "voxel_grid",
    "point_cloud",
    "level_crops",
    "saliency",
    "grade_correlations",
    "prevalence",
    "learning_curve",
    "reliability",
    "confusion",
}


def test_every_picture_that_was_promised_has_its_script():
    assert set(SCRIPTS) >= WANTED


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_draws_its_picture_with_no_argument(name, tmp_path):
    """In an empty folder, without a display."""
    command = [sys.executable, str(ROOT / "visualize" / f"{name}.py")]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1].startswith(f"saved {name}.png")
    with Image.open(tmp_path / f"{name}.png") as picture:
        colors = picture.convert("RGB").getcolors(1 << 24)
        assert min(picture.size) >= 300
    assert len(colors) > 20


def test_every_script_has_its_picture_in_the_gallery_small_and_with_words():
    text = GALLERY.read_text(encoding="utf-8")
    shown = dict(re.findall(r"!\[([^\]]+)\]\(images/(\w+)\.png\)", text))
    by_name = {name: words for words, name in shown.items()}
    for name in SCRIPTS:
        assert f"`python visualize/{name}.py`" in text
        file = ROOT / "docs" / "images" / f"{PICTURE.get(name, name)}.png"
        assert len(by_name[file.stem]) > 40
        assert file.stat().st_size < 300_000


PICTURE = {"learning_curve": "learning_curve_measures"}
"""Pictures of another name; `learning_curve.png` is that of an experiment on images."""
