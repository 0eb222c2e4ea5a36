"""Scene: one synthetic study made ready to be looked at part by part, without its images.

Truth, plan, labels and the geometry of every stack are known at once; pixels are rendered only
where a window asks for them.

Shapes: X, Y, Z lattice; K, R, Q slices, rows and columns of a patch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from volspine.anatomy import Protocol
from volspine.errors import GeometryError
from volspine.geometry.stack import Decoded, Stack
from volspine.phantom.artefacts import Artefacts, draw_artefacts
from volspine.phantom.plan import Plan, SeriesPlan
from volspine.phantom.spec import Spec, Stage
from volspine.phantom.study import outline_study, shared_slices, stack_geometry, stack_members
from volspine.phantom.windows import Receiver, Window, render_window, tune
from volspine.types import FloatArray

__all__ = ["AS_FILED", "Part", "Place", "Scan", "Scene", "rendered_together"]


@dataclass(frozen=True, eq=False)
class Place:
    """One stack of one series, without its voxels.

    Attributes:
        plan: The series.
        group: Number of the group of series that share its slices.
        number: Number of the series in its group.
        members: Slices of the plan, ordered as in the stack.
        stack: Its affine and shape; it has no voxels.
    """

    plan: SeriesPlan
    group: int
    number: int
    members: tuple[int, ...]
    stack: Stack

    @property
    def acquired_per_stored(self) -> float:
        """How many acquired pixels are as wide as a stored one."""
        return self.plan.acquired[0] / self.plan.matrix[0]


@dataclass(frozen=True)
class Part:
    """Some voxels of a stack.

    Attributes:
        place: The stack.
        values: (K, R, Q) float32.
        start: Column, row and slice, in the stack, of the first voxel.
    """

    place: Place
    values: torch.Tensor
    start: tuple[int, int, int]

    def at(self, index: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Interpolate linearly at fractional voxels of the stack; beyond the edges, theirs.

        Args:
            index: Column, row and slice, of shapes that broadcast to (X, Y, Z).
        """
        lattice = _lattice(index, self.start, self.values.shape[::-1])
        return torch.nn.functional.grid_sample(
            self.values[None, None], lattice[None], padding_mode="border", align_corners=True
        )[0, 0]

    def slices_at(self, column: torch.Tensor, row: torch.Tensor, slices: range) -> torch.Tensor:
        """Interpolate whole slices at fractional pixels of shape (H, W); returns (D, H, W)."""
        lattice = _lattice((column, row), self.start[:2], self.values.shape[:0:-1])
        wanted = self.values[slices.start - self.start[2] : slices.stop - self.start[2]]
        return torch.nn.functional.grid_sample(
            wanted[None], lattice[None], padding_mode="border", align_corners=True
        )[0]


def _lattice(
    index: tuple[torch.Tensor, ...], start: tuple[int, ...], sizes: tuple[int, ...]
) -> torch.Tensor:
    """Return indices as `grid_sample` counts them, from -1 at the first voxel to 1 at the last."""
    lattice = torch.empty((*np.broadcast_shapes(*(n.shape for n in index)), len(index)))
    for axis, (place, first, size) in enumerate(zip(index, start, sizes, strict=True)):
        lattice[..., axis] = 2.0 * (place - first) / max(size - 1, 1) - 1.0
    return lattice


@dataclass(frozen=True)
class Scan:
    """How a person is scanned once more.

    Attributes:
        draw: Which draw of coil, noise and artefacts; the artefacts of 0 are those of the files.
        sub_slices: How many are painted across a slice; None takes as many as the files, but for
            crops at most 2 where there is noise. Beside the spine 2 differ from many by 10 % of the
            spread of an image, 3 by 5 %, 5 by 2 %.
    """

    draw: int = 0
    sub_slices: int | None = None


AS_FILED = Scan()


class Scene:
    """A study whose pixels are rendered on demand.

    Args:
        spec: Which study.
        scan: How it is scanned.
        most: Sub-slices of a series with noise, unless the scan says how many.

    Attributes:
        truth: What is known.
        plan: Series and pose.
        labels: (25,) as read; -1 where missing.
        landmarks_mm: (25, 3), LPS millimetres.
    """

    def __init__(self, spec: Spec, scan: Scan = AS_FILED, *, most: int = 99) -> None:
        self.spec = spec
        made = outline_study(spec)
        self.truth, self.plan, self.labels = made.truth, made.plan, made.labels
        self.plan = _painted_as(self.plan, scan.sub_slices, most)
        self.landmarks_mm = made.landmarks_mm
        self.groups = shared_slices(self.plan)
        self.rng = spec.stream(Stage.NOISE).spawn(scan.draw + 1)[-1]
        self._artefacts = self._draw_artefacts(scan.draw)
        self._tuned: dict[int, list[Receiver]] = {}

    @cached_property
    def places(self) -> list[Place]:
        """Every stack of every series."""
        return [
            Place(plan, group, number, tuple(members), self._stack(plan, members))
            for group, plans in enumerate(self.groups)
            for number, plan in enumerate(plans)
            for members in stack_members(plan, self.plan.pose)
        ]

    def _stack(self, plan: SeriesPlan, members: list[int]) -> Stack:
        affine, origins = stack_geometry(plan, members, self.plan.pose)
        return Stack(affine, origins, (plan.matrix[1], plan.matrix[0]), _no_voxels)

    def _draw_artefacts(self, draw: int) -> list[list[Artefacts]]:
        """Draw the artefacts of every series; those of the files come first."""
        stream = self.spec.stream(Stage.ARTEFACTS)
        rng = stream if draw == 0 else stream.spawn(draw)[-1]
        anatomy = self.truth.anatomy
        return [[draw_artefacts(rng, self.spec, p, anatomy) for p in g] for g in self.groups]

    def of(self, protocol: Protocol) -> list[Place]:
        """Return the stacks of a protocol."""
        return [place for place in self.places if place.plan.protocol is protocol]

    def render(self, places: list[Place], low: FloatArray, high: FloatArray) -> list[Part]:
        """Render a box of stacks that share their slices; parts in the order of the stacks.

        Args:
            places: Stacks of one group with the same slices.
            low: (3,) lowest acquired column and row, and slice of the stack.
            high: (3,) highest.
        """
        first = places[0]
        size = np.array([*first.plan.acquired[::-1], len(first.members)])
        low, high = np.clip(low, 0, size - 1), np.clip(high, 0, size - 1)
        start = int(np.floor(low[2]))
        window = Window(
            slices=first.members[start : int(np.ceil(high[2])) + 1],
            rows=(float(low[1]), float(high[1])),
            columns=(float(low[0]), float(high[0])),
        )
        receivers = self._receivers(first.group)
        patches = render_window(
            self.truth.anatomy,
            [place.plan for place in places],
            window,
            [receivers[place.number] for place in places],
            self.rng,
        )
        return [
            Part(place, patch.values, (*patch.start, start))
            for place, patch in zip(places, patches, strict=True)
        ]

    def _receivers(self, group: int) -> list[Receiver]:
        if group not in self._tuned:
            self._tuned[group] = tune(
                self.truth.anatomy, self.groups[group], self._artefacts[group], self.rng
            )
        return self._tuned[group]


def _painted_as(plan: Plan, sub_slices: int | None, most: int) -> Plan:
    """Return a plan with other numbers of sub-slices; shared slices stay shared."""
    found = []
    for series in plan.series:
        few = min(series.sub_slices, most) if series.snr > 0 else series.sub_slices
        found.append(replace(series, sub_slices=sub_slices or few))
    return replace(plan, series=tuple(found))


def rendered_together(places: Iterable[Place]) -> list[list[Place]]:
    """Group stacks that are the same slices in several sequences."""
    found: dict[tuple[int, tuple[int, ...]], list[Place]] = {}
    for place in places:
        found.setdefault((place.group, place.members), []).append(place)
    return list(found.values())


def _no_voxels() -> Decoded:
    raise GeometryError("the stack of a scene has no voxels", code="VS-GEO-032")
