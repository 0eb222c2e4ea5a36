"""From marks in pixels to points in the patient: 25 places in LPS millimetres.

A mark names a series, an instance number and a pixel (x = column, y = row). The study's own slices
say where that pixel is:

    point = origin of the slice + x * step along a row + y * step down a column.

The slice's true origin is used, not the one a regular stack would have.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from volspine.anatomy import TARGETS
from volspine.data.rsna import Annotation
from volspine.dicom.study import Series, Study
from volspine.types import FloatArray

__all__ = ["is_series_named", "points_lps_mm"]


def points_lps_mm(study: Study, annotations: Sequence[Annotation]) -> FloatArray:
    """Return where each target was marked.

    Call before the voxels of the study are decoded, since decoding may drop slices.

    Args:
        study: As read from its folder, with the sources of its slices.
        annotations: Marks of that study; the first of a target counts.

    Returns:
        Shape (25, 3), LPS millimetres in the order of `TARGETS`; NaN where there is no mark, or
        its slice is not in the study.
    """
    points = np.full((len(TARGETS), 3), np.nan)
    for mark in annotations:
        if np.isnan(points[mark.target.index, 0]):
            points[mark.target.index] = _locate(study, mark)
    return points


def _locate(study: Study, mark: Annotation) -> FloatArray:
    for series in study.series:
        if is_series_named(series, mark.series_id):
            for affine, origin in _slices_numbered(series, mark.instance_number):
                steps = affine[:3, 0] * mark.x + affine[:3, 1] * mark.y
                return np.asarray(origin + steps, dtype=np.float64)
    return np.full(3, np.nan)


def is_series_named(series: Series, series_id: str) -> bool:
    """Return whether a table's series id means a series of a study that was read."""
    # In the challenge's files the UID is <study>.<series> and the folder is <series>.
    # A folder of several series gives them its name and a number.
    folder, _, number = series.name.rpartition("-")
    shared = folder if number.isdigit() else series.name
    names = (series.name, shared, series.uid, series.uid.rpartition(".")[2])
    return series_id != "" and series_id in names


def _slices_numbered(series: Series, number: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    for stack, sources in zip(series.stacks, series.instances, strict=False):
        for origin, source in zip(stack.slice_origins_mm, sources, strict=False):
            if source.instance_number == number:
                yield stack.affine_lps, origin
