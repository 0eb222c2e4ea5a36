"""The picture of all levels: places, names, and slices that a point does not lie in."""

import io

import numpy as np
from PIL import Image

from tests.report.made_up import axial_stack, make_grades, make_study, sagittal_stack
from volspine.anatomy import LEVELS, TARGETS
from volspine.report.overview import WIDTH_PX, levels_picture

# Slices at x = -10, -6, ... 10; 41 columns from y = -20 to 60 and 31 rows from z = 30 to -30.
STACK = sagittal_stack(np.ones((41, 31, 6)))
PX_PER_MM = WIDTH_PX / 82.0


def spine(x=0.0, *, levels=LEVELS):
    points = np.full((25, 3), np.nan)
    for target in TARGETS:
        if target.level in levels and target.side is None:
            points[target.index] = (x, 30.0, 24.0 - 12.0 * LEVELS.index(target.level))
    return points


def yellow(png):
    """Pixels of circles: rows and columns where blue is missing; the edges have yellow letters."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    found = (pixels[..., 0] > 200) & (pixels[..., 1] > 200) & (pixels[..., 2] < 90)
    found[:, :30] = found[:, -30:] = found[:30] = found[-30:] = False
    return np.argwhere(found)


def test_the_circle_stands_at_the_canal():
    png = levels_picture(make_study(sagittal_t2=STACK), make_grades(points=spine()))
    pixels = yellow(png)
    # The front is on the left; y = 30 is 51 mm from the picture's left edge at y = -21.
    assert abs(pixels[:, 1].mean() - 51 * PX_PER_MM) < 2
    middle = pixels[np.abs(pixels[:, 0] - 31 * PX_PER_MM) < 12]  # L3/L4, at z = 0.
    assert len(middle) > 20
    assert abs(middle[:, 0].mean() - 31 * PX_PER_MM) < 2


def test_a_point_beside_the_slice_has_a_broken_circle():
    near = levels_picture(make_study(sagittal_t2=STACK), make_grades(points=spine()))
    points = spine()
    points[2, 0] = 9.0  # The others hold the slice at x = 2.
    far = levels_picture(make_study(sagittal_t2=STACK), make_grades(points=points))
    assert 0.85 * len(yellow(near)) < len(yellow(far)) < 0.96 * len(yellow(near))


def test_t1_stands_in_and_nothing_is_drawn_without_a_place_or_a_sagittal_series():
    located = make_grades(points=spine())
    assert levels_picture(make_study(sagittal_t1=STACK), located) is not None
    assert levels_picture(make_study(axial_t2=axial_stack(np.ones((9, 9, 4)))), located) is None
    assert levels_picture(make_study(sagittal_t2=STACK), make_grades()) is None


def test_a_single_level_is_enough():
    png = levels_picture(
        make_study(sagittal_t2=STACK), make_grades(points=spine(levels=LEVELS[1:2]))
    )
    assert len(yellow(png)) > 20
