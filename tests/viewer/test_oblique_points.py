"""Points of an oblique stack in the file that is saved: every voxel, at places computed by hand."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.viewer.build import point_scene
from volspine.viewer.ply import scene_ply

ORIGIN = np.array([-20.0, -30.0, 5.0])
# Columns turned by 30 degrees towards the back, slices tilted by 20 degrees, and sheared by 1 mm:
# no plane of it is upright, and every sign differs from its mirror image.
COLUMN = 0.8 * np.array([0.8660254, 0.5, 0.0])
ROW = 0.9 * np.array([-0.4698463, 0.8137977, 0.3420201])
SLICE = 4.0 * np.array([0.1710101, -0.2961981, 0.9396926]) + np.array([1.0, 0.0, 0.0])


def oblique(mirrored=False):
    """A bright body of 40 x 36 x 5 voxels in air with a dark hole, brightest in one voxel."""
    flip = np.array([-1.0, 1, 1]) if mirrored else np.ones(3)
    voxels = np.zeros((60, 56, 5), np.float32)
    voxels[10:50, 10:46] = 400 + np.arange(40)[:, None, None]
    voxels[25:30, 20:25] = 0  # Dark inside the body: no hole in the cloud.
    voxels[12, 40, 4] = 5000
    affine = np.eye(4)
    affine[:3] = np.stack([COLUMN, ROW, SLICE, ORIGIN], axis=1) * flip[:, None]
    stack = Stack.from_array(voxels, affine)
    return Study("oblique", [Series("1", "a", Protocol.AXIAL_T2, "", [stack])])


def vertices(study):
    content = scene_ply(point_scene(study, is_cut=False, limit=None))
    header, body = content.split(b"end_header\n", 1)
    count = int(header.split(b"element vertex ")[1].split(b"\n")[0])
    kind = np.dtype([("place", "<f4", 3), ("color", "u1", 3)])
    return np.frombuffer(body[: count * kind.itemsize], kind)["place"]


def index_of(points):
    steps = np.stack([COLUMN, ROW, SLICE], axis=1)
    return np.linalg.solve(steps, (points - ORIGIN).T).T


def test_a_voxel_of_an_oblique_stack_has_the_place_worked_out_by_hand():
    # Column 12, row 40, slice 4: origin + 12 column + 40 row + 4 slice.
    expected = [
        -20 + 8.3138 - 16.9145 + 2.7362 + 4,
        -30 + 4.8 + 29.2967 - 4.7392,
        5 + 12.3127 + 15.0351,
    ]
    nearest = np.linalg.norm(vertices(oblique()) - expected, axis=1).min()
    assert nearest < 1e-3


def test_every_voxel_of_the_body_is_there_once_and_the_dark_inside_it_too():
    index = index_of(vertices(oblique()))
    assert np.abs(index - np.rint(index)).max() < 1e-3
    found = {tuple(row) for row in np.rint(index).astype(int).tolist()}
    assert len(found) == len(index)
    inside = {(i, j, k) for i in range(12, 48) for j in range(12, 44) for k in range(5)}
    assert inside <= found
    assert len(found) == pytest.approx(40 * 36 * 5, rel=0.12)  # Its rim is blurred.


def test_the_mirrored_patient_has_the_mirrored_cloud_and_no_other():
    here, there = vertices(oblique()), vertices(oblique(mirrored=True))
    np.testing.assert_allclose(there, here * [-1, 1, 1], atol=1e-4)
    assert abs(here[:, 0].mean()) > 5  # Or the two would be alike.


def test_the_colour_of_the_brightest_voxel_stands_at_its_place():
    layer = point_scene(oblique(), is_cut=False, limit=None).points[0]
    bright = layer.points_mm[layer.intensity.argmax()]
    index = np.rint(index_of(layer.points_mm[layer.intensity == layer.intensity.max()])).astype(int)
    assert [12, 40, 4] in index.tolist()
    assert np.isfinite(bright).all()
