"""A study and its grades -> the things that stand in a room, each made when it is first asked for.

The room (`volspine.viewer.room`) says what is to be seen; this makes it: parts for Open3D, in LPS
millimetres. A series is read and sampled once, however often its look changes.
"""

from functools import cached_property
from typing import Any, cast

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.viewer.build import PLANE_MM, best_series, chosen_series, crossing_mm
from volspine.viewer.cut import kept_voxels, midline_mm
from volspine.viewer.open3d_scene import Part, frames_of, markers_of
from volspine.viewer.plane_layer import plane_layer
from volspine.viewer.point_layer import point_layer
from volspine.viewer.room import Body, Room, Thing
from volspine.viewer.scene import Faces, Points, Scene
from volspine.viewer.voxel_layer import Volume, grid_over, volume_of, voxel_layer
from volspine.volume.grid import coverage_mm

__all__ = ["Exhibit"]

MAX_POINTS = 1_500_000
"""Of one series in the window; more are thinned evenly."""


class Exhibit:
    """What a study has to show.

    Args:
        study: Whose series.
        scene: With grades, heat and bounds, as `volspine.viewer.build` makes it.
        protocol: The only one to show; every one of the study if omitted.

    Raises:
        NoUsableSeriesError: If the study has no series, or none of the protocol.
    """

    def __init__(self, study: Study, scene: Scene, *, protocol: Protocol | None = None) -> None:
        self.scene = scene
        self._best = best_series(study, protocol, scene.heat)
        self._series: dict[Protocol, Series] = {self._best.protocol: self._best}
        for one in chosen_series(study, protocol):
            self._series.setdefault(one.protocol, one)
        self._volumes: dict[tuple[Protocol, float | None], Volume] = {}
        self._points: dict[tuple[Protocol, bool], Points] = {}

    def room(self, *, body: Body, **look: Any) -> Room:
        """Return the room to begin with: of voxels and planes the best series, of points all.

        Args:
            body: As what the series are drawn.
            look: Other attributes of a `Room`.
        """
        every = frozenset(self._series)
        low, high = coverage_mm([stack for one in self._series.values() for stack in one.stacks])
        place = crossing_mm([self._best], self.scene.grades, self.scene.heat)
        begin: dict[str, Any] = {
            "protocols": every,
            "shown": _first(every, self._best.protocol, body),
            "place_mm": _triple(place),
            "low_mm": _triple(low),
            "high_mm": _triple(high),
        }
        return Room(body=body, **{**begin, **look})

    def part(self, thing: Thing) -> Part:
        """Return a thing of a room; letters are the window's, since they turn with the camera."""
        nothing = np.zeros((0, 3), dtype=np.int32)
        match thing.kind, thing.protocol:
            case "voxels", Protocol() as protocol:
                is_cut, threshold = cast("tuple[bool, float]", thing.look)
                mesh = self._voxels(protocol, is_cut=is_cut, threshold=threshold).mesh()
                return Part(mesh.vertices_mm, mesh.colors, mesh.triangles)
            case "points", Protocol() as protocol:
                is_cut, threshold = cast("tuple[bool, float]", thing.look)
                layer = self._cloud(protocol, is_cut=is_cut).above(threshold)
                return Part(layer.points_mm, layer.colors, nothing)
            case "plane", Protocol() as protocol:
                return self._plane(thing, protocol)
            case "frames", _:
                return frames_of(self.scene)
            case _:
                return markers_of(self.scene)

    @cached_property
    def point_mm(self) -> float:
        """How wide a point is drawn."""
        pixels = [min(s.spacing_mm[:2].max() for s in one.stacks) for one in self._series.values()]
        return 1.1 * float(max(pixels))

    def _volume(self, protocol: Protocol, spacing_mm: float | None = None) -> Volume:
        key = protocol, spacing_mm
        if key not in self._volumes:
            self._volumes[key] = volume_of(self._series[protocol], spacing_mm=spacing_mm)
        return self._volumes[key]

    def _voxels(self, protocol: Protocol, *, is_cut: bool, threshold: float) -> Faces:
        volume, scene = self._volume(protocol), self.scene
        kept = None
        if is_cut:
            kept, _ = kept_voxels(protocol, volume.grid, scene.grades, scene.heat)
        return voxel_layer(volume, kept=kept, threshold=threshold, heat=scene.heat)

    def _cloud(self, protocol: Protocol, *, is_cut: bool) -> Points:
        key, series, heat = (protocol, is_cut), self._series[protocol], self.scene.heat
        if key not in self._points:
            middle = None
            if is_cut and heat is None:
                middle = midline_mm(grid_over([series], spacing_mm=4.0), self.scene.grades)
            elif is_cut and heat is not None:
                middle = heat.cut_x_mm([protocol])
            self._points[key] = point_layer(series, MAX_POINTS, middle, heat)
        return self._points[key]

    def _plane(self, thing: Thing, protocol: Protocol) -> Part:
        plane, place, threshold = cast("tuple[str, float, float]", thing.look)
        sheet = plane_layer(
            self._volume(protocol, PLANE_MM),
            plane,
            np.full(3, place),  # Only the part across the plane counts.
            threshold=threshold,
            heat=self.scene.heat,
        )
        return Part(sheet.mesh.vertices_mm, sheet.mesh.colors, sheet.mesh.triangles)


def _first(every: frozenset[Protocol], best: Protocol, body: Body) -> frozenset[Protocol]:
    """Return what is shown first: the best protocol, and among points the axial one beside it."""
    return frozenset({best, Protocol.AXIAL_T2} & every) if body == "points" else frozenset({best})


def _triple(place: Any) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in place)
    return x, y, z
