"""Crops of patients who are a formula: a value for every place in millimetres."""

from collections.abc import Callable

import numpy as np
import torch

from tests.volume.marks import upright_points
from volspine.anatomy import PROTOCOLS, TARGETS, Protocol
from volspine.views import CROPPED, StudyCrops

BLOB_MM = 1.5


def crops_of(
    value: Callable[[np.ndarray], np.ndarray], *, points_mm=None, tilt: float = 0.15
) -> StudyCrops:
    """Crops about upright points, all measured; float32 so that a formula is exact.

    Slices are 4 mm apart; axial ones lean by `tilt` radians and are not centred on the canal.
    """
    points = upright_points() if points_mm is None else points_mm
    affines = np.stack(
        [[affine_of(points[n], protocol, tilt) for protocol in PROTOCOLS] for n in range(5)]
    )
    sagittal = [[value(places(affines[n, p], "sagittal")) for p in (0, 1)] for n in range(5)]
    axial = [value(places(affines[n, 2], "axial")) for n in range(5)]
    images = [torch.tensor(np.array(found), dtype=torch.float32) for found in (sagittal, axial)]
    masks = [torch.ones(image.shape, dtype=torch.bool) for image in images]
    return StudyCrops(*images, *masks, torch.tensor(affines), torch.tensor(points))


def affine_of(canal, protocol, tilt):
    """Slice, row and column to LPS; slices to the left or head, rows down or back."""
    left, back, head = np.eye(3)
    if protocol is Protocol.AXIAL_T2:
        plane = "axial"
        lean_back = np.cos(tilt) * back - np.sin(tilt) * head
        lean_head = np.sin(tilt) * back + np.cos(tilt) * head
        axes = [lean_head, lean_back, left]
    else:
        plane, axes = "sagittal", [left, -head, back]
    slices, (rows, columns), pixel = CROPPED[plane]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(axes) * [4.0, pixel, pixel]
    middle = (np.array([slices, rows, columns]) - 1) / 2 + [0.3, 0.0, 0.0]
    affine[:3, 3] = canal - affine[:3, :3] @ middle
    return affine


def places(affine, plane):
    """Millimetres of every voxel, (D, H, W, 3)."""
    slices, (rows, columns), _ = CROPPED[plane]
    index = np.stack(np.indices((slices, rows, columns)), axis=-1)
    return index @ affine[:3, :3].T + affine[:3, 3]


def linear(at):
    """A value that is linear in the place, so that linear interpolation is exact."""
    return 3.0 + at @ np.array([0.02, 0.03, 0.01])


def blob(centre_mm):
    """A bright ball on a grey ground."""

    def value(at):
        return 1.0 + 5.0 * (np.linalg.norm(at - centre_mm, axis=-1) < 2 * BLOB_MM + 1.0)

    return value


def numbered(at):
    """At each of the upright targets a ball as bright as 1 + its number / 10; else grey."""
    points = upright_points()
    found = np.ones(at.shape[:-1])
    for target in TARGETS:
        # A ball of one slice: those of a foramen and of a recess are far enough from each other.
        near = np.linalg.norm(at - points[target.index], axis=-1) < 3.9
        found[near] = 1.0 + (target.index + 1) / 10
    return found
