"""The contact sheet of patches: one panel a token, with the grade that belongs to it."""

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.volume.made_crops import crops_of, linear
from volspine.anatomy import Grade
from volspine.views import TOKEN_TARGET


@pytest.fixture(scope="module")
def picture():
    path = Path(__file__).parents[2] / "visualize" / "patches.py"
    spec = importlib.util.spec_from_file_location("patches_picture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_token_has_a_panel_with_the_grade_of_its_target(picture):
    crops = crops_of(linear)
    crops = crops._replace(axial_mask=torch.zeros_like(crops.axial_mask))
    grades = torch.arange(25) % 3
    figure = picture.draw(picture.patches_of(crops, look=None, mirror=False), grades)
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 40
    for title, target in zip(titles, TOKEN_TARGET, strict=True):
        assert title.endswith(Grade(int(grades[target])).label)
    said = [axis.texts[0].get_text() for axis in figure.axes]
    assert said[:5] == ["100%"] * 5
    assert set(said[5:10] + said[30:]) == {"not there"}
    picture.plt.close(figure)


def test_the_mirror_image_shows_the_other_side(picture):
    crops = crops_of(lambda at: 1.0 + (at[..., 0] > 0))
    plain, mirrored = (picture.patches_of(crops, look=None, mirror=m) for m in (False, True))
    for view in (2, 3, 4):
        torch.testing.assert_close(plain.images[view][0, :5], mirrored.images[view][0, 5:])
        assert not torch.equal(plain.images[view][0, :5], plain.images[view][0, 5:])
