"""From (seed, index) to a study in memory with its truth: 27 points in LPS millimetres."""

from dataclasses import dataclass, replace

import numpy as np

from tests.second_phantom import bones
from tests.second_phantom.build import draw_build
from tests.second_phantom.canvas import Canvas
from tests.second_phantom.column import Column, stand
from tests.second_phantom.contrast import draw_texture
from tests.second_phantom.flesh import paint_flesh
from tests.second_phantom.nerves import paint_nerves
from tests.second_phantom.scan import acquire, draw_plans
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.landmarks import MIRRORED_POINT

HALF_WIDTH = 46.5
MARGIN = 45


@dataclass(frozen=True)
class Case:
    """One study with its truth.

    Attributes:
        study: In memory, sagittal series only.
        points_mm: (27, 3) LPS millimetres in the order of `volspine.landmarks.POINTS`.
        canvas: The map of tissues, in the same frame; None once mirrored.
        column: Where the bones are, in the same frame.
        plans: How its series were planned.
    """

    study: Study
    points_mm: np.ndarray
    canvas: Canvas | None
    column: Column
    plans: tuple


def make_case(seed, index, change=None):
    """Return a study; `change` turns the plan of each series into another, if given."""
    return Person(seed, index).scanned(change)


class Person:
    """One person, painted once, who may be scanned in several ways."""

    def __init__(self, seed, index):
        self.key = (seed, index)
        self.column, self.canvas, self.points_mm = paint(seed, index)
        rng = np.random.default_rng([seed, index, 3])
        self.texture = draw_texture(rng, self.canvas.labels.shape)
        self._series = {}

    def scanned(self, change=None):
        """Return a case; the same one for the same change."""
        plans = draw_plans(np.random.default_rng([*self.key, 1]))
        if change:
            plans = [change(plan) for plan in plans]
        series = [self._acquired(n, plan) for n, plan in enumerate(plans)]
        study = Study(name="second-{}-{}".format(*self.key), series=series)
        return Case(study, self.points_mm, self.canvas, self.column, tuple(plans))

    def _acquired(self, number, plan):
        """Return a series; kept, since many rows of a table leave plans alone."""
        key = (number, repr(plan))
        if key not in self._series:
            rng = np.random.default_rng([*self.key, 2, number])
            self._series[key] = acquire(self.canvas, self.column, plan, rng, self.texture)
        return self._series[key]


def paint(seed, index):
    """Return where the bones are, the map of tissues, and where the marks are."""
    rng = np.random.default_rng([seed, index, 0])
    column = stand(draw_build(rng))
    canvas = Canvas((-HALF_WIDTH, -185, -215), (HALF_WIDTH, 150, 205))
    paint_flesh(canvas, column, rng)
    bones.paint_sacrum(canvas, column)
    bones.paint_discs(canvas, column, rng)
    bones.paint_bodies(canvas, column)
    bones.paint_arches(canvas, column, rng)
    bones.paint_lesion(canvas, column, rng)
    return column, canvas, paint_nerves(canvas, column, rng)


def mirrored(case):
    """Return the case of the patient mirrored left to right: pictures and truth."""
    flip = np.array([-1.0, 1.0, 1.0])
    points = case.points_mm[list(MIRRORED_POINT)] * flip
    series = [replace(s, stacks=[_flip(stack) for stack in s.stacks]) for s in case.study.series]
    return replace(case, study=replace(case.study, series=series), points_mm=points, canvas=None)


def _flip(stack):
    """Return a stack with x turned into -x; its slices still run to the left."""
    affine = np.diag([-1.0, 1.0, 1.0, 1.0]) @ stack.affine_lps
    last = stack.shape[2] - 1
    affine[:3, 3] += affine[:3, 2] * last
    affine[:3, 2] *= -1
    return Stack.from_array(np.ascontiguousarray(stack.voxels[:, :, ::-1]), affine)


def series_of(case, kind):
    """Return the series of one kind: "t1" or "t2"."""
    found: list[Series] = [s for s in case.study.series if s.name.endswith(kind)]
    return found[0]
