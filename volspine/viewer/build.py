"""A study and its grades -> a scene, as voxels or as points.

The voxel view shows one series on a cubic grid, air cut away and, by default, the patient's left
half too, so that the midline faces the viewer. The point view shows every voxel of every graded
series at its true place, air left out, so that tilts, gaps and overlaps of the acquisition show.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import NoUsableSeriesError
from volspine.grades import StudyGrades
from volspine.types import BoolArray, FloatArray, VoxelArray
from volspine.viewer.faces import visible_faces
from volspine.viewer.findings import level_outlines, level_points, markers
from volspine.viewer.heat import Heat
from volspine.viewer.point_layer import point_layer
from volspine.viewer.scene import Scene
from volspine.viewer.tissue import body_mask
from volspine.volume.frames import in_one_frame
from volspine.volume.grid import Grid, coverage_mm
from volspine.volume.normalize import normalize
from volspine.volume.sample import sample_series

__all__ = [
    "chosen_series",
    "grid_over",
    "point_scene",
    "voxel_scene",
]

MAX_VOXELS = 6_000_000
"""Of the voxel view; the spacing grows until the series fits."""

MAX_POINTS = 4_000_000
"""Of the point view; more are thinned evenly."""

_BEST_FIRST = (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1, Protocol.AXIAL_T2, Protocol.OTHER)


def chosen_series(study: Study, protocol: Protocol | None = None) -> list[Series]:
    """Return the series to show: of one protocol, else all graded ones, else whatever there is.

    Series that lie in another frame of reference than the study's do not belong beside the others,
    so they are left out; a protocol that has no other series is shown in its own frame.

    Raises:
        NoUsableSeriesError: If there is none.
    """
    together = in_one_frame(study)
    if protocol is not None:
        asked = study.by_protocol(protocol)
        found = together.by_protocol(protocol) or in_one_frame(replace(study, series=asked)).series
    else:
        graded = [series for p in PROTOCOLS for series in together.by_protocol(p)]
        found = graded or list(study.series)
    if not found:
        raise NoUsableSeriesError(
            f"the study has no series to show{f' of {protocol.value}' if protocol else ''}",
            remedy="see what it holds with: volspine scan",
            code="VS-SER-031",
        )
    return found


def grid_over(series: Sequence[Series], *, spacing_mm: float | None = None) -> Grid:
    """Return a cubic grid over all that some series cover.

    Args:
        series: At least one.
        spacing_mm: Of the grid; the series' finest, but no less than 0.5 mm, if omitted. It grows
            where the grid would exceed `MAX_VOXELS`.
    """
    stacks = [stack for one in series for stack in one.stacks]
    for stack in stacks:
        _ = stack.voxels  # Decoding may drop slices, and with them coverage.
    low, high = coverage_mm(stacks)
    finest = min(float(stack.spacing_mm.min()) for stack in stacks)
    extent = high - low
    fitting = float((np.prod(extent) / MAX_VOXELS) ** (1 / 3))
    spacing = max(spacing_mm or max(finest, 0.5), fitting)
    i, j, k = (max(int(np.ceil(size / spacing)), 1) for size in extent)
    x, y, z = ((low + high) / 2).tolist()
    return Grid(spacing_mm=(spacing,) * 3, shape=(i, j, k), center_mm=(x, y, z))


def voxel_scene(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    is_cut: bool = True,
    heat: Heat | None = None,
) -> Scene:
    """Return the voxels of the best series, cut open at the midline.

    Args:
        study: What to show.
        protocol: Sagittal T2 first, then T1, then axial, if omitted.
        grades: Drawn in where located.
        is_cut: Leave out the patient's left half; what hides the heat if there is any: all to the
            left of it, or above it in axial series.
        heat: What a grade looked at; then the best series is what it looked at most.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    seen = heat.protocols if heat is not None else ()
    ranked = [*seen, *_BEST_FIRST]
    series = min(chosen_series(study, protocol), key=lambda one: ranked.index(one.protocol))
    grid = grid_over([series])
    raw, mask = sample_series(series, grid)
    image = normalize(raw, mask)
    solid = body_mask(image, mask, axis=2 if series.protocol is Protocol.AXIAL_T2 else 0)
    cut = ""
    if is_cut:
        kept, cut = _kept(series.protocol, grid, grades, heat)
        solid &= kept
    faces = visible_faces(image, solid, grid, series.protocol)
    if heat is not None:
        tint = heat.tinted(faces.colors, faces.centers_mm.astype(np.float64), series.protocol)
        faces = replace(faces, colors=tint)
    return Scene(
        title=study.name,
        subtitle=f"{series.protocol.label}, voxels of {grid.spacing_mm[0]:.2g} mm{cut}",
        points=(),
        faces=(faces,),
        bounds_mm=_bounds([faces.centers_mm], grid),
        **_drawn_in(grades, heat),
    )


def _drawn_in(grades: StudyGrades | None, heat: Heat | None) -> dict[str, Any]:
    """Return what both kinds of scene are told of grades; balls would hide the heat of a level."""
    return {
        "markers": markers(grades, besides=None if heat is None else heat.saliency.target.level),
        "level_points_mm": level_points(grades),
        "outlines_mm": level_outlines(grades),
        "grades": grades,
        "heat": heat,
    }


def _kept(
    protocol: Protocol, grid: Grid, grades: StudyGrades | None, heat: Heat | None
) -> tuple[BoolArray, str]:
    """Return which voxels of a grid are left by the cut, (I, 1, 1) or (1, 1, K), and its name."""
    if heat is not None and protocol is Protocol.AXIAL_T2:
        return _places(grid, 2) <= heat.place_mm(protocol)[2], ", cut open above the heat"
    if heat is not None:
        return _places(grid, 0) <= heat.cut_x_mm((protocol,)), ", cut open at the heat"
    return _places(grid, 0) <= _midline_mm(grid, grades), ", left half cut away"


def _places(grid: Grid, axis: int) -> FloatArray:
    """Return x, y or z of the voxels along an axis, in a shape that goes with the grid's."""
    shape = [1, 1, 1]
    shape[axis] = grid.shape[axis]
    index = np.indices(shape).reshape(3, -1).T.astype(np.float64)
    return np.asarray(grid.mm_from_index(index)[:, axis].reshape(shape))


def point_scene(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    is_cut: bool = True,
    limit: int | None = MAX_POINTS,
    heat: Heat | None = None,
) -> Scene:
    """Return the voxels of a study as points at their true places, air left out.

    Args:
        study: What to show.
        protocol: Every graded one if omitted.
        grades: Drawn in where located.
        is_cut: Leave out what would hide the rest: of sagittal series the patient's left half and
            all but the best protocol; of axial ones all but the middle slice of each stack, and
            what lies on the right or more than `point_layer.SHEET_MM` to the left. Where there is
            heat, the cut goes through it, and of axial series the hottest slice is left.
        limit: Largest number of points, shared evenly between series; None for all of them.
        heat: What a grade looked at.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    shown = chosen_series(study, protocol)
    if is_cut:
        shown = _one_of_each_plane(shown, heat)
    grid = grid_over(shown, spacing_mm=4.0)
    middle = None
    if is_cut:
        asked = [series.protocol for series in shown]
        middle = _midline_mm(grid, grades) if heat is None else heat.cut_x_mm(asked)
    share = None if limit is None else max(limit // len(shown), 1)
    layers = tuple(point_layer(series, share, middle, heat) for series in shown)
    names = " and ".join(dict.fromkeys(layer.name for layer in layers))
    return Scene(
        title=study.name,
        subtitle=f"{names}, {sum(len(layer.colors) for layer in layers):,} voxels as points",
        points=layers,
        faces=(),
        bounds_mm=_bounds([layer.points_mm for layer in layers], grid),
        **_drawn_in(grades, heat),
    )


def _one_of_each_plane(series: Sequence[Series], heat: Heat | None) -> list[Series]:
    """Return the best sagittal series, and axial ones unless they would only hide the heat."""
    seen = () if heat is None else heat.protocols
    ranked = sorted(series, key=lambda one: [*seen, *_BEST_FIRST].index(one.protocol))
    axial = [one for one in ranked if one.protocol is Protocol.AXIAL_T2]
    others = [one for one in ranked if one.protocol is not Protocol.AXIAL_T2]
    hides = heat is not None and Protocol.AXIAL_T2 not in seen and bool(others)
    return [*others[:1], *([] if hides else axial)]


def _midline_mm(grid: Grid, grades: StudyGrades | None) -> float:
    """Return the x of the canal where it was located, else of the grid's middle."""
    places = [] if grades is None else list(level_points(grades).values())
    if places:
        return float(np.mean([place[0] for place in places]))
    middle = (np.array(grid.shape, dtype=np.float64) - 1) / 2
    return float(grid.mm_from_index(middle)[0])


def _bounds(parts: Sequence[VoxelArray], grid: Grid) -> tuple[FloatArray, FloatArray]:
    points = np.concatenate([*parts, np.zeros((0, 3), np.float32)])
    if len(points) == 0:
        far = np.array(grid.shape) - 0.5
        corners = grid.mm_from_index(np.stack([np.full(3, -0.5), far]))
        return corners.min(axis=0), corners.max(axis=0)
    return points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
