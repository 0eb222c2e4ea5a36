"""Key images hang upright with their sides marked, whatever way the slices were stored."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.report.made_up import axial_stack, make_grades, make_study, recesses, sagittal_stack
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades
from volspine.report.html import render_report
from volspine.report.keyimages import WIDTH_PX, key_images
from volspine.report.upright import upright_slice


def marked(stack_shape, **places):
    """Voxels of zeros with values at (i, j, k)."""
    voxels = np.zeros(stack_shape, dtype=np.float32)
    for value, place in places.items():
        voxels[place] = float(value.removeprefix("v"))
    return voxels


def test_an_axial_slice_has_the_patients_right_on_the_left_and_the_back_below():
    # Column 0 is at x = -10, the patient's right; row 0 at y = -20, the front.
    view = upright_slice(axial_stack(marked((11, 21, 4), v7=(0, 20, 2))), 2)
    assert view.edges == ("R", "L", "A", "P")
    assert view.pixels[20, 0] == 7


def test_a_sagittal_slice_has_the_front_on_the_left_and_the_head_above():
    # Column 0 is at y = -20, the front; row 0 at z = 30, the head.
    view = upright_slice(sagittal_stack(marked((21, 31, 6), v7=(0, 0, 3))), 3)
    assert view.edges == ("A", "P", "S", "I")
    assert view.pixels[0, 0] == 7


def reordered(stack, transpose, flips):
    """The same slices, stored with columns and rows exchanged or reversed."""
    voxels, affine = stack.voxels, stack.affine_lps.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
        affine[:3, axis] *= -1
        voxels = np.flip(voxels, axis)
    if transpose:
        affine = affine[:, [1, 0, 2, 3]]
        voxels = voxels.transpose(1, 0, 2)
    return Stack.from_array(np.ascontiguousarray(voxels), affine)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flips", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("make", [axial_stack, sagittal_stack])
def test_the_way_a_slice_is_stored_does_not_show(make, transpose, flips):
    voxels = np.random.default_rng(0).random((11, 21, 4), dtype=np.float32)
    plain, odd = make(voxels), reordered(make(voxels), transpose, flips)
    expected, view = upright_slice(plain, 1), upright_slice(odd, 1)
    assert np.array_equal(view.pixels, expected.pixels)
    assert view.edges == expected.edges
    point = np.array([1.0, -3.0, 5.0])
    assert view.locate(point) == pytest.approx(expected.locate(point))


def test_a_point_is_found_at_its_pixel():
    # x = -4 is column (-4 + 10) / 2 = 3, y = 0 is row (0 + 20) / 2 = 10.
    view = upright_slice(axial_stack(np.zeros((11, 21, 4))), 1)
    assert view.locate(np.array([-4.0, 0.0, 99.0])) == pytest.approx((10.0, 3.0))


def test_left_and_right_foramina_show_their_own_side():
    # Slice k of the sagittal stack holds the value k, and lies at x = 4 k - 10.
    voxels = np.broadcast_to(np.arange(20, dtype=np.float32), (21, 31, 20))
    study = make_study(sagittal_t1=sagittal_stack(voxels * 1.0))
    chosen = {}
    from volspine.report import keyimages

    for t in (5, 10):
        target = keyimages.TARGETS[t]
        shown = keyimages._choose_slice(study, target, None)
        chosen[target.side.value] = float(shown.of(study).slice_origins_mm[shown.k][0])
    # The middle is at x = 28.
    assert chosen["left"] == pytest.approx(28 + 18, abs=2)
    assert chosen["right"] == pytest.approx(28 - 18, abs=2)


def test_the_stack_that_holds_the_point_is_shown():
    from volspine.report import keyimages

    low = axial_stack(np.zeros((11, 21, 4)))
    affine = low.affine_lps.copy()
    affine[2, 3] += 100
    high = Stack.from_array(low.voxels, affine)
    study = make_study(axial_t2=low)
    study.series[0].stacks.append(high)
    shown = keyimages._choose_slice(study, keyimages.TARGETS[15], np.array([0, 0, 98.3]))
    assert shown.of(study) is high
    assert shown.k == 1  # Slices lie at z = 94, 98, 102 and 106.


def test_only_what_was_measured_has_a_picture():
    study = make_study(sagittal_t2=sagittal_stack(np.random.default_rng(0).random((21, 31, 6))))
    imputed = np.arange(25) >= 5
    images = key_images(study, make_grades(imputed=imputed))
    assert [image.file_name for image in images] == [
        f"key_{level}_spinal_canal_stenosis.png"
        for level in ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")
    ]
    assert "not located" in images[0].caption
    picture = Image.open(io.BytesIO(images[0].png))
    # 21 columns and 31 rows of 2 mm, and the caption below.
    assert picture.size[0] == WIDTH_PX
    assert picture.size[1] > WIDTH_PX * 31 / 21


def test_four_lines_point_at_a_located_target_and_leave_it_free():
    points = np.full((25, 3), np.nan)
    points[20] = [-4.0, 0.0, 2.0]  # The right recess at L1/L2: column 3, row 10 of slice 2.
    study = make_study(axial_t2=axial_stack(np.zeros((11, 21, 4))))
    (image,) = key_images(study, make_grades(points=points, imputed=np.arange(25) != 20))
    pixels = np.asarray(Image.open(io.BytesIO(image.png)).convert("RGB")).astype(int)
    yellow = (pixels[..., 0] > 200) & (pixels[..., 1] > 200) & (pixels[..., 2] < 80)
    scale = WIDTH_PX / 11
    row, column = round(10.5 * scale), round(3.5 * scale)
    around = yellow[row - 20 : row + 21, column - 20 : column + 21]
    assert around.sum() > 60
    assert not around[14:27, 14:27].any()
    rows, columns = np.nonzero(around)
    assert rows.mean() == pytest.approx(20, abs=1)
    assert columns.mean() == pytest.approx(20, abs=1)


def test_a_part_of_a_slice_keeps_its_place():
    voxels = np.random.default_rng(1).random((11, 21, 4), dtype=np.float32)
    whole = upright_slice(axial_stack(voxels), 2)
    point = np.array([-4.0, 0.0, 2.0])  # Column 3, row 10.
    part = whole.around(point, 6.0)
    assert np.array_equal(part.pixels, whole.pixels[7:14, 0:7])
    assert part.locate(point) == pytest.approx((3.0, 3.0))
    assert part.edges == whole.edges
    far = whole.around(np.array([500.0, 0.0, 2.0]), 6.0)
    assert far.pixels.shape == (7, 1)  # Never nothing at all.


def test_a_refused_study_has_no_picture():
    assert key_images(make_study(), StudyGrades.refused("x", "a knee")) == []


def test_a_target_whose_series_is_gone_has_no_picture():
    assert key_images(make_study(), make_grades(imputed=recesses())) == []


@pytest.mark.parametrize(("z", "is_here"), [(2.0, True), (4.4, True), (10.0, False)])
def test_a_place_beside_the_slice_is_not_drawn_as_if_it_were_in_it(z, is_here):
    points = np.full((25, 3), np.nan)
    points[20] = [-4.0, 0.0, z]  # Slices lie at z = -6, -2, 2 and 6.
    study = make_study(axial_t2=axial_stack(np.zeros((11, 21, 4))))
    grades = make_grades(points=points, imputed=np.arange(25) != 20)
    (image,) = key_images(study, grades)
    assert image.marks.is_here is is_here
    assert ("beside it" in image.detail) is not is_here
    assert ('class="place away"' in render_report(grades, [image])) is not is_here
