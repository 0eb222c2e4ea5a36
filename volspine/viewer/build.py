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
from volspine.types import FloatArray, VoxelArray
from volspine.viewer.cut import kept_voxels, midline_mm
from volspine.viewer.findings import level_outlines, level_points, markers
from volspine.viewer.heat import Heat
from volspine.viewer.panes import PLANES
from volspine.viewer.plane_layer import plane_layer
from volspine.viewer.point_layer import point_layer
from volspine.viewer.scene import Scene
from volspine.viewer.voxel_layer import grid_over, volume_of, voxel_layer
from volspine.volume.frames import in_one_frame
from volspine.volume.grid import Grid, coverage_mm

__all__ = [
    "best_series",
    "bounds_scene",
    "chosen_series",
    "crossing_mm",
    "plane_scene",
    "point_scene",
    "voxel_scene",
    "with_planes",
]

PLANE_MM = 1.0
"""Pixels of planes."""

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


def voxel_scene(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    is_cut: bool = True,
    heat: Heat | None = None,
    threshold: float = 0.0,
) -> Scene:
    """Return the voxels of the best series, cut open at the midline.

    Args:
        study: What to show.
        protocol: Sagittal T2 first, then T1, then axial, if omitted.
        grades: Drawn in where located.
        is_cut: Leave out the patient's left half; what hides the heat if there is any: all to the
            left of it, or above it in axial series.
        heat: What a grade looked at; then the best series is what it looked at most.
        threshold: Of the intensity, 0 to 1; what is darker is left out too.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    series = best_series(study, protocol, heat)
    volume = volume_of(series)
    grid, cut, kept = volume.grid, "", None
    if is_cut:
        kept, cut = kept_voxels(series.protocol, grid, grades, heat)
    faces = voxel_layer(volume, kept=kept, threshold=threshold, heat=heat)
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
        middle = midline_mm(grid, grades) if heat is None else heat.cut_x_mm(asked)
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


def plane_scene(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    at_mm: FloatArray | None = None,
    planes: Sequence[str] = PLANES,
    heat: Heat | None = None,
) -> Scene:
    """Return three planes of the best series that cross, and nothing else of it.

    Args:
        study: What to show.
        protocol: Sagittal T2 first, then T1, then axial, if omitted.
        grades: Drawn in where located.
        at_mm: Where the planes cross, LPS; see `crossing_mm`.
        planes: Which of `sagittal`, `coronal` and `axial`.
        heat: What a grade looked at.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    nothing = replace(bounds_scene(study, protocol=protocol, grades=grades, heat=heat), subtitle="")
    best = best_series(study, protocol, heat)
    return with_planes(nothing, best, at_mm=at_mm, planes=planes)


def bounds_scene(
    study: Study,
    *,
    protocol: Protocol | None = None,
    grades: StudyGrades | None = None,
    heat: Heat | None = None,
) -> Scene:
    """Return a scene of the findings alone, as large as what the best series covers.

    Args:
        study: What to show.
        protocol: Sagittal T2 first, then T1, then axial, if omitted.
        grades: Drawn in where located.
        heat: What a grade looked at.

    Raises:
        NoUsableSeriesError: If there is no such series.
    """
    best = best_series(study, protocol, heat)
    return Scene(
        title=study.name,
        subtitle=best.protocol.label,
        points=(),
        faces=(),
        bounds_mm=coverage_mm(best.stacks),
        **_drawn_in(grades, heat),
    )


def with_planes(
    scene: Scene,
    series: Series,
    *,
    at_mm: FloatArray | None = None,
    planes: Sequence[str] = PLANES,
    threshold: float = 0.0,
) -> Scene:
    """Return a scene with planes of a series added, tinted by the scene's heat if it has any.

    Args:
        scene: What to add to.
        series: Whose planes.
        at_mm: Where they cross, LPS; see `crossing_mm`.
        planes: Which of `sagittal`, `coronal` and `axial`.
        threshold: Of the intensity, 0 to 1; what is darker is left out.
    """
    volume = volume_of(series, spacing_mm=PLANE_MM)
    center = crossing_mm([series], scene.grades, scene.heat) if at_mm is None else at_mm
    look: dict[str, Any] = {"threshold": threshold, "heat": scene.heat}
    sheets = tuple(plane_layer(volume, plane, center, **look) for plane in planes)
    place = ", ".join(f"{name} {value:.0f}" for name, value in zip("xyz", center, strict=True))
    said = f"{', '.join(planes)} of {series.protocol.label} through {place} mm (LPS)"
    subtitle = f"{scene.subtitle}; {said}" if scene.subtitle else said
    return replace(scene, subtitle=subtitle, sheets=(*scene.sheets, *sheets))


def crossing_mm(
    series: Sequence[Series], grades: StudyGrades | None, heat: Heat | None
) -> FloatArray:
    """Return where planes cross: the hottest place, the middle level, or the middle of series."""
    if heat is not None:
        return heat.place_mm()
    located = list(level_points(grades).values())
    if located:
        return located[len(located) // 2]
    low, high = coverage_mm([stack for one in series for stack in one.stacks])
    return np.asarray((low + high) / 2, dtype=np.float64)


def best_series(study: Study, protocol: Protocol | None, heat: Heat | None) -> Series:
    """Return the series to show alone: what was looked at most, then sagittal T2, T1, axial.

    Raises:
        NoUsableSeriesError: If there is none of the protocol.
    """
    ranked = [*(() if heat is None else heat.protocols), *_BEST_FIRST]
    return min(chosen_series(study, protocol), key=lambda one: ranked.index(one.protocol))


def _bounds(parts: Sequence[VoxelArray], grid: Grid) -> tuple[FloatArray, FloatArray]:
    points = np.concatenate([*parts, np.zeros((0, 3), np.float32)])
    if len(points) == 0:
        far = np.array(grid.shape) - 0.5
        corners = grid.mm_from_index(np.stack([np.full(3, -0.5), far]))
        return corners.min(axis=0), corners.max(axis=0)
    return points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
