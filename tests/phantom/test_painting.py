"""Painting: blends, labels, and parts of a canvas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volspine.phantom.painting import Canvas, LabelCanvas, SignalCanvas, box_of, span
from volspine.phantom.tissues import Tissue

SIGNALS = np.linspace(0.0, 1.0, 2 * len(Tissue), dtype=np.float32).reshape(2, -1)


def dense(values, distance, tissue, opacity, pixel_mm):
    """Blend every point, touched or not."""
    share = np.clip(0.5 - distance / pixel_mm, 0.0, 1.0) * opacity
    return values + share * (SIGNALS[:, tissue].reshape(2, *[1] * distance.ndim) - values)


def test_a_point_on_the_surface_is_half_of_each_tissue():
    values = np.zeros((2, 1), dtype=np.float32)
    SignalCanvas(values, SIGNALS, 1.0).paint(np.zeros(1, np.float32), Tissue.FAT)
    assert values[:, 0] == pytest.approx(SIGNALS[:, Tissue.FAT] / 2)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.sampled_from([(40,), (9, 7), (70, 60)]),
    radius=st.floats(-2.0, 30.0),
    opacity=st.floats(0.1, 1.0),
    pixel_mm=st.floats(0.3, 3.0),
)
def test_painting_what_is_touched_is_painting_everything(shape, radius, opacity, pixel_mm):
    axes = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in shape), indexing="ij")
    distance = np.sqrt(sum((a - 5.0) ** 2 for a in axes)).astype(np.float32) - np.float32(radius)
    values = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    expected = dense(values, distance, Tissue.CSF, opacity, pixel_mm)
    SignalCanvas(values, SIGNALS, pixel_mm).paint(distance, Tissue.CSF, opacity)
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_labels_are_those_of_the_larger_share():
    distance = np.array([-0.4, 0.4, -0.4], dtype=np.float32)
    opacity = np.array([1.0, 1.0, 0.4], dtype=np.float32)
    labels = np.zeros(3, dtype=np.int16)
    LabelCanvas(labels).paint(distance, Tissue.CORD, opacity)
    assert labels.tolist() == [int(Tissue.CORD), 0, 0]


@pytest.mark.parametrize("kind", ["signals", "labels"])
def test_a_part_is_painted_into_the_whole_and_nowhere_else(kind):
    if kind == "signals":
        values = np.zeros((2, 6, 8), dtype=np.float32)
        canvas: Canvas = SignalCanvas(values, SIGNALS, 1.0)
        seen = values[0]
    else:
        seen = np.zeros((6, 8), dtype=np.int16)
        canvas = LabelCanvas(seen)
    part = canvas.part((slice(1, 3), slice(2, 6)))
    part.paint(np.full((2, 4), -9.0, np.float32), Tissue.FAT)
    painted = np.zeros((6, 8), dtype=bool)
    painted[1:3, 2:6] = True
    assert ((seen != 0) == painted).all()


def test_lifted_points_are_put_back_where_they_were():
    labels = np.zeros(6, dtype=np.int16)
    canvas, index = LabelCanvas(labels), np.array([4, 1])
    part = canvas.lift(index)
    part.paint(np.array([-1.0, 1.0], np.float32), Tissue.ROOT)
    assert not labels.any()
    canvas.put(index, part)
    assert np.flatnonzero(labels).tolist() == [4]


def test_a_box_holds_every_wanted_point_and_is_tight():
    wanted = np.zeros((5, 9), dtype=bool)
    wanted[[1, 3], [7, 2]] = True
    assert box_of(wanted) == (slice(1, 4), slice(2, 8))
    assert box_of(np.zeros((5, 9), dtype=bool)) is None
    assert span(np.array([False, True, False])) == slice(1, 2)
