"""A series -> points at their true places, whole or cut open.

Shapes:
    N  points
"""

import itertools
import math

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.study import Series
from volspine.geometry.cloud import PointCloud, cloud_of_slices, joined
from volspine.types import FloatArray
from volspine.viewer.heat import Heat
from volspine.viewer.palette import color_of
from volspine.viewer.scene import Points
from volspine.viewer.tissue import body_mask

__all__ = ["point_layer"]

SHEET_MM = 42.0
"""How far an axial slice reaches to the left of the midline in a cut point view."""


def point_layer(
    series: Series, limit: int | None, middle_mm: float | None, heat: Heat | None
) -> Points:
    """Return the points of a series, air left out.

    Args:
        series: Whose voxels.
        limit: Largest number of points; None for all.
        middle_mm: The x of the cut; nothing is cut away if None. Of sagittal series what lies to
            the right of it is left, of axial ones a sheet to the left of it.
        heat: What a grade looked at: tints the points, and chooses the sheet.
    """
    # All stacks of a series share one scanner setting, so one scale serves them.
    everything = np.concatenate([stack.voxels.ravel() for stack in series.stacks])
    low, high = np.percentile(everything, (1, 99)).tolist()
    scale = np.float32(1 / max(high - low, 1e-9))
    stacks: list[list[PointCloud]] = []
    for stack in series.stacks:
        image = (stack.voxels - np.float32(low)) * scale
        where = body_mask(image, np.ones(image.shape, np.bool_), axis=2)
        stacks.append(list(cloud_of_slices(stack, where=where)))
    every = joined(_cut(stacks, series.protocol, middle_mm, heat))
    cloud = every if limit is None else every.thinned(limit)
    # Fewer points are drawn larger, so that they still cover a slice.
    fewer = math.sqrt(len(every) / max(len(cloud), 1))
    pixel_mm = min(float(stack.spacing_mm[:2].max()) for stack in series.stacks)
    intensity = np.clip((cloud.intensity - np.float32(low)) * scale, 0, 1)
    colors = color_of(intensity, series.protocol)
    if heat is not None:
        colors = heat.tinted(colors, cloud.points_mm.astype(np.float64), series.protocol)
    return Points(
        name=series.protocol.label,
        points_mm=cloud.points_mm,
        colors=colors,
        size_mm=1.1 * pixel_mm * fewer,
        intensity=intensity,
    )


def _cut(
    stacks: list[list[PointCloud]], protocol: Protocol, middle_mm: float | None, heat: Heat | None
) -> list[PointCloud]:
    """Return what a cut leaves of the slices of each stack; all of them without a cut."""
    if middle_mm is None:
        return [cloud for slices in stacks for cloud in slices]
    if protocol is not Protocol.AXIAL_T2:
        return [_between(cloud, -np.inf, middle_mm) for slices in stacks for cloud in slices]
    if heat is None:
        sheets = [slices[len(slices) // 2] for slices in stacks]
    else:
        place = heat.place_mm(protocol)
        sheets = [min(itertools.chain(*stacks), key=lambda cloud: _away_mm(cloud, place))]
    return [_between(cloud, middle_mm, middle_mm + SHEET_MM) for cloud in sheets]


def _away_mm(cloud: PointCloud, place_mm: FloatArray) -> float:
    """Return how far a place is from the nearest point of a cloud."""
    if len(cloud) == 0:
        return math.inf
    return float(((cloud.points_mm - place_mm) ** 2).sum(axis=1).min())


def _between(cloud: PointCloud, low_mm: float, high_mm: float) -> PointCloud:
    x = cloud.points_mm[:, 0]
    keep = (x >= low_mm) & (x <= high_mm)
    return PointCloud(cloud.points_mm[keep], cloud.intensity[keep])
