"""What a grade looked at lies over its key image where it is in the patient."""

import io

import numpy as np
from PIL import Image

from tests.report.made_up import axial_stack, make_grades, make_study
from volspine.anatomy import TARGETS, Protocol
from volspine.report.heatmap import heat_seen
from volspine.report.html import render_report
from volspine.report.keyimages import WIDTH_PX, key_images
from volspine.report.upright import upright_slice
from volspine.volume.heat import PatchHeat, Saliency

LEFT, RIGHT = TARGETS[15], TARGETS[20]


def patch(place=(2, 1, 3)):
    """Three slices of the axial stack, 5 by 5 pixels of 1 mm from (x, y) = (-4, -2) on."""
    values = np.zeros((3, 5, 5), dtype=np.float32)
    values[place] = 1.0
    affine = np.array([[0, 0, 1.0, -4], [0, 1.0, 0, -2], [4.0, 0, 0, -2], [0, 0, 0, 1]])
    return PatchHeat(Protocol.AXIAL_T2, values, affine)


def study():
    voxels = np.random.default_rng(0).random((11, 21, 4))
    voxels[:, :, 3] = 0.0
    return make_study(axial_t2=axial_stack(voxels))


def test_heat_is_seen_at_its_place_in_the_patient():
    # Row 1 is y = -1 and column 3 x = -1; the view has pixels of 2 mm from (-10, -20) on.
    view = upright_slice(study().series[0].stacks[0], 3)
    seen = heat_seen(patch((2, 2, 4)), view)  # y = 0, x = 0: row 10, column 5.
    assert seen[10, 5] == 1.0
    assert (seen > 0).sum() == 1
    assert heat_seen(patch((2, 2, 0)), view)[10, 3] == 1.0  # x = -4, further to the right.


def test_between_voxels_heat_is_interpolated_and_off_the_patch_there_is_none():
    view = upright_slice(study().series[0].stacks[0], 3)
    seen = heat_seen(patch((2, 1, 3)), view)  # y = -1, x = -1: between four pixels' centres.
    assert seen.max() == 0.0  # Voxels of 1 mm end before the pixels' centres 1 mm away.
    wide = patch((2, 1, 3))
    wide.values[2, 1, 3:5] = 1.0
    wide.values[2, 2, 3:5] = 0.5
    assert heat_seen(wide, view)[10, 5] == 0.5  # y = 0, x = 0.


def test_the_key_image_is_the_slice_that_was_looked_at_most():
    points = np.full((25, 3), np.nan)
    points[15] = [-2.0, 0.0, -2.0]  # Slice 1; the heat is in slice 3, at z = 6 mm.
    grades = make_grades(points=points, imputed=np.arange(25) != 15)
    (plain,) = key_images(study(), grades)
    (image,) = key_images(study(), grades, {LEFT: Saliency(LEFT, "attention", (patch(),))})
    assert plain.heat == b""
    assert "looked at most" in image.caption
    assert "looked at" not in plain.caption
    grey = np.asarray(Image.open(io.BytesIO(image.png)).convert("L"))
    assert np.median(grey[:200]) == 0  # Slice 3 is black.


def test_the_overlay_has_the_shape_of_the_picture_and_is_clear_without_heat():
    points = np.full((25, 3), np.nan)
    points[20] = [-4.0, 0.0, 2.0]
    grades = make_grades(points=points, imputed=np.arange(25) != 20)
    look = Saliency(RIGHT, "attention", (patch((1, 2, 0)),))  # x = -4, y = 0.
    (image,) = key_images(study(), grades, {RIGHT: look})
    picture, heat = (Image.open(io.BytesIO(data)) for data in (image.jpeg, image.heat))
    assert picture.size == image.size
    assert heat.size == (picture.size[0] // 2, picture.size[1] // 2)
    alpha = np.asarray(heat)[..., 3]
    rows, columns = np.nonzero(alpha > alpha.max() / 2)
    scale = WIDTH_PX / 11 / 2
    assert abs(rows.mean() - 10.5 * scale) < scale / 2
    assert abs(columns.mean() - 3.5 * scale) < scale / 2
    assert (alpha > 0).mean() < 0.1


def test_the_page_lays_heat_over_pictures_without_a_script():
    grades = make_grades(imputed=np.arange(25) != 15)
    look = Saliency(LEFT, "attention", (patch(),))
    page = render_report(grades, key_images(study(), grades, {LEFT: look}))
    assert page.count('class="heat"') == 1
    assert 'id="show-heat"' in page
    assert "body:has(#show-heat:checked) .heat { display: block; }" in page
    assert 'id="show-heat"' not in render_report(grades, key_images(study(), grades))
