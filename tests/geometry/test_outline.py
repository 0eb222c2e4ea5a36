"""Rectangles where discs should lie."""

import numpy as np

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Finding, Level, Side
from volspine.geometry.outline import disc_outlines


def upright_points():
    """A straight spine along z, a level every 30 mm, left at +x."""
    points = np.zeros((25, 3))
    for target in TARGETS:
        side = {Side.LEFT: 1.0, Side.RIGHT: -1.0, None: 0.0}[target.side]
        wide = 18.0 if target.finding is Finding.FORAMEN else 9.0
        points[target.index] = (side * wide, 0.0, -30.0 * LEVELS.index(target.level))
    return points


def test_an_upright_disc_has_its_rectangle_in_front_of_the_canal_and_left_first():
    outlines = disc_outlines(upright_points())
    assert list(outlines) == list(LEVELS)
    expected = [[24, 9, -60], [24, -42, -60], [-24, -42, -60], [-24, 9, -60], [24, 9, -60]]
    np.testing.assert_allclose(outlines[Level.L3_L4], expected, atol=1e-9)


def test_the_rectangles_of_a_mirrored_spine_are_the_mirrored_rectangles():
    rng = np.random.default_rng(0)
    points = upright_points() + rng.normal(0, 2, (25, 3))
    mirrored = points[list(MIRRORED_INDEX)] * np.array([-1.0, 1.0, 1.0])
    # The corners go round the other way: left back becomes right back.
    order = [3, 2, 1, 0, 3]
    for level, outline in disc_outlines(points).items():
        reflected = outline[order] * np.array([-1.0, 1.0, 1.0])
        np.testing.assert_allclose(disc_outlines(mirrored)[level], reflected, atol=1e-9)


def test_a_level_that_was_not_located_has_no_rectangle_and_nonsense_has_none_at_all():
    points = upright_points()
    points[2] = np.nan
    assert Level.L3_L4 not in disc_outlines(points)
    assert disc_outlines(np.zeros((25, 3))) == {}
    assert disc_outlines(np.full((25, 3), np.nan)) == {}
