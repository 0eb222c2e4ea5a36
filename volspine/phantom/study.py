"""A synthetic study in memory: the same pixels and the same places as its DICOM files."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.axes import positive_normal
from volspine.geometry.stack import Stack
from volspine.phantom.acquire import acquire
from volspine.phantom.artefacts import draw_artefacts, render_marred
from volspine.phantom.filing import Filing, file_study, rescale
from volspine.phantom.labels import drop_labels, read_labels
from volspine.phantom.plan import Plan, Pose, SeriesPlan, draw_plan
from volspine.phantom.spec import Cohort, Spec, Stage
from volspine.phantom.truth import Truth, build_truth
from volspine.types import FloatArray, IntArray

__all__ = [
    "Acquired",
    "acquire_study",
    "outline_study",
    "read_grades",
    "render_study",
    "shared_slices",
    "stack_geometry",
    "stack_members",
    "study_of",
]

_AT_ONCE = 700_000
"""Points painted at one go: all sub-slices of a sagittal slice, or of three or four axial ones."""


@dataclass(frozen=True)
class Acquired:
    """A study as acquired.

    Attributes:
        truth: What is known.
        plan: Series and pose.
        pixels: One array a series, uint16, shape (N, rows, columns), instance order.
        labels: (25,) as read; -1 where missing.
    """

    truth: Truth
    plan: Plan
    pixels: tuple[NDArray[np.uint16], ...]
    labels: IntArray

    @property
    def landmarks_mm(self) -> FloatArray:
        """Place of each target, shape (25, 3), LPS millimetres."""
        return self.plan.pose.to_patient(self.truth.landmarks_mm)

    @cached_property
    def filing(self) -> Filing:
        """How its slices are numbered, scaled and marked in files and tables."""
        return file_study(self.truth.spec, self.plan)


def outline_study(spec: Spec) -> Acquired:
    """Make one study without its pixels: truth, plan and labels."""
    truth = build_truth(spec)
    plan = draw_plan(spec, truth.anatomy)
    return Acquired(truth, plan, (), read_grades(spec, truth, plan))


def acquire_study(spec: Spec) -> Acquired:
    """Make one study: truth, plan, pixels and labels."""
    made = outline_study(spec)
    truth, plan = made.truth, made.plan
    rng, marring = spec.stream(Stage.NOISE), spec.stream(Stage.ARTEFACTS)
    pixels = []
    for group in shared_slices(plan):
        found = [draw_artefacts(marring, spec, p, truth.anatomy) for p in group]
        images = render_marred(truth.anatomy, group, found, at_once=_AT_ONCE)
        pixels += [acquire(image, p, rng) for image, p in zip(images, group, strict=True)]
    return replace(made, pixels=tuple(pixels))


def shared_slices(plan: Plan) -> list[list[SeriesPlan]]:
    """Group neighbouring series that share their slices, so that they are painted once."""
    groups: list[list[SeriesPlan]] = []
    for series in plan.series:
        if groups and groups[-1][0].centres_mm is series.centres_mm:
            groups[-1].append(series)
        else:
            groups.append([series])
    return groups


def read_grades(spec: Spec, truth: Truth, plan: Plan) -> IntArray:
    """Return the labels (25,) as a reader gives them; -1 where missing."""
    rng = spec.stream(Stage.LABELS)
    labels = read_labels(truth.severity, truth.grades, spec.reader, rng)
    if spec.cohort in (Cohort.RSNA_LIKE, Cohort.SHIFT):
        return drop_labels(labels, plan.covered, rng)
    return labels


def render_study(spec: Spec) -> Study:
    """Return a synthetic study in memory, as `read_study` would return its DICOM files."""
    return study_of(acquire_study(spec))


def study_of(made: Acquired) -> Study:
    """Return what was acquired as `read_study` would return its DICOM files."""
    series = [_series(made, number) for number in range(len(made.pixels))]
    name = made.truth.spec.study_id
    return Study(name, sorted(series, key=lambda s: (list(Protocol).index(s.protocol), s.uid)))


def _series(made: Acquired, number: int) -> Series:
    plan, pixels, filing = made.plan.series[number], made.pixels[number], made.filing.series[number]
    stacks = [
        Stack.from_array(
            rescale(np.ascontiguousarray(pixels[members].transpose(2, 1, 0)), filing),
            *stack_geometry(plan, members, made.plan.pose),
        )
        for members in stack_members(plan, made.plan.pose)
    ]
    uid = f"{made.truth.spec.study_id}.{plan.series_id}"
    return Series(uid, plan.series_id, plan.protocol, "synthetic: known", stacks)


def stack_members(plan: SeriesPlan, pose: Pose) -> list[list[int]]:
    """Return the slices of each stack, from head to foot, each ordered towards the left or head.

    Slices steeper than 45 degrees, as along L5/S1, are ordered towards the back, as in reading.
    """
    numbers = sorted(set(plan.stacks))
    stacks = [[n for n, stack in enumerate(plan.stacks) if stack == k] for k in numbers]
    height = pose.to_patient(plan.centres_mm)[:, 2]
    stacks.sort(key=lambda members: -float(height[members].mean()))
    return [_ordered(plan, members, pose) for members in stacks]


def _ordered(plan: SeriesPlan, members: list[int], pose: Pose) -> list[int]:
    directions = np.stack([pose.rotation @ axis for axis in plan.axes(members[0])])
    depth = pose.to_patient(plan.centres_mm) @ positive_normal(directions)
    return sorted(members, key=lambda n: float(depth[n]))


def stack_geometry(
    plan: SeriesPlan, members: list[int], pose: Pose
) -> tuple[FloatArray, FloatArray]:
    """Return a stack's affine, voxel to LPS millimetres, and the origins of its slices."""
    origins = pose.to_patient(np.array([plan.first_pixel(n) for n in members]))
    across, down = plan.axes(members[0])
    affine = np.eye(4)
    affine[:3, 0] = pose.rotation @ across * plan.pixel_mm
    affine[:3, 1] = pose.rotation @ down * plan.pixel_mm
    affine[:3, 2] = (origins[-1] - origins[0]) / max(len(members) - 1, 1)
    affine[:3, 3] = origins[0]
    return affine, origins
