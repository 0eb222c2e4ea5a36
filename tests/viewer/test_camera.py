"""Where points fall in a picture; left, front and head must be on their sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.viewer.camera import Camera, frame

BOX = (np.array([-30.0, -40.0, -50.0]), np.array([30.0, 40.0, 50.0]))


def place(point, direction):
    camera = frame(BOX, (400, 300), direction=direction)
    (u, v), depth = camera.project(np.array(point, dtype=float))
    return float(u), float(v), float(depth)


def test_from_the_patients_left_the_front_is_on_the_left_and_the_head_above():
    left = (1.0, 0.0, 0.0)
    assert place((0, -20, 0), left)[0] < 199.5 < place((0, 20, 0), left)[0]
    assert place((0, 0, 20), left)[1] < 149.5 < place((0, 0, -20), left)[1]
    assert place((20, 0, 0), left)[2] < place((-20, 0, 0), left)[2]


def test_from_the_front_the_patients_right_is_on_the_left():
    front = (0.0, -1.0, 0.0)
    assert place((-20, 0, 0), front)[0] < 199.5 < place((20, 0, 0), front)[0]


def test_a_point_falls_where_similar_triangles_say():
    camera = Camera(np.array([100.0, 0, 0]), np.zeros(3), 200.0, (101, 101))
    (u, v), depth = camera.project(np.array([0.0, 10.0, -5.0]))
    assert (float(u), float(v), float(depth)) == pytest.approx((50 + 20, 50 + 10, 100))


def test_the_extrinsic_moves_points_as_projecting_does():
    camera = frame(BOX, (400, 300))
    point = np.array([5.0, -7.0, 11.0])
    local = camera.extrinsic @ [*point, 1.0]
    pixels, depth = camera.project(point)
    expected = local[:2] / local[2] * camera.focal_px + [199.5, 149.5]
    np.testing.assert_allclose(pixels, expected)
    assert float(depth) == pytest.approx(local[2])


@given(
    azimuth=st.floats(0, 6.28),
    height=st.floats(-1, 1),
    size=st.tuples(st.integers(50, 900), st.integers(50, 900)),
    extent=st.tuples(*[st.floats(1, 400)] * 3),
)
def test_the_whole_box_is_in_the_picture(azimuth, height, size, extent):
    box = (np.zeros(3), np.array(extent))
    camera = frame(box, size, direction=(np.cos(azimuth), np.sin(azimuth), height))
    corners = np.array(list(np.ndindex(2, 2, 2))) * np.array(extent)
    pixels, depth = camera.project(corners)
    assert (depth > 0).all()
    assert (pixels >= -0.5).all()
    assert (pixels <= np.array(size) - 0.5).all()
    rotation = camera.rotation
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
