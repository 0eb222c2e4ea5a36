"""Voxel faces and spheres as triangles."""

import numpy as np
import pytest

from volspine.grades import RESEARCH_USE
from volspine.viewer.scene import Faces, Scene, sphere


def normals_of(mesh):
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, n]].astype(float) for n in range(3))
    return np.cross(b - a, c - a)


@pytest.mark.parametrize("look", [1, -1, 2, -2, 3, -3])
def test_a_face_is_two_triangles_that_look_outwards(look):
    center = np.array([[10.0, 20.0, 30.0]], np.float32)
    colors = np.array([[1, 2, 3]], np.uint8)
    mesh = Faces("v", center, np.array([look], np.int8), colors, (2.0, 4.0, 6.0)).mesh()
    axis = abs(look) - 1
    expected = np.zeros(3)
    others = [size for n, size in enumerate((2.0, 4.0, 6.0)) if n != axis]
    expected[axis] = np.sign(look) * others[0] * others[1]
    np.testing.assert_allclose(normals_of(mesh), [expected, expected])
    assert np.ptp(mesh.vertices_mm[:, axis]) == 0
    np.testing.assert_allclose(mesh.vertices_mm.mean(axis=0), center[0])
    assert (mesh.colors == [1, 2, 3]).all()


def test_a_sphere_is_closed_round_and_looks_outwards():
    center = np.array([5.0, -5.0, 1.0])
    ball = sphere(center, 3.0, np.array([200, 20, 20], np.uint8))
    offsets = ball.vertices_mm - center
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 3.0, rtol=1e-5)
    middles = ball.vertices_mm[ball.triangles].mean(axis=1) - center
    outward = (normals_of(ball) * middles).sum(axis=1)
    assert (outward >= -1e-4).all()
    area = np.linalg.norm(normals_of(ball), axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi * 9, rel=0.01)


def test_every_scene_says_research_use():
    bounds = (np.zeros(3), np.array([2.0, 4.0, 6.0]))
    scene = Scene("t", "s", (), (), (), {}, bounds)
    assert scene.notes == (RESEARCH_USE,)
    assert scene.center_mm.tolist() == [1, 2, 3]
