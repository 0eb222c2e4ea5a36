"""Ways to make a study harder, and how to judge what a localizer says of it.

A row of the table is a name and a `Row`: how the series are planned, which part of the pictures is
cut away, how the patient is turned, mirrored or scaled in space, and which series are left.
"""

from dataclasses import dataclass, replace

import numpy as np

from tests.second_phantom.case import mirrored
from volspine.anatomy import Protocol
from volspine.geometry.stack import Stack
from volspine.landmarks import CHAIN, POINT_OF_TARGET, POINTS

NEAR_MM = 12.0
LEVELS = 5


@dataclass(frozen=True)
class Row:
    """One way to make a study harder.

    Attributes:
        plan: Fields of each series' plan that are replaced.
        factors: Fields of each series' plan that are multiplied.
        shift_mm: Of the field of view, LPS.
        cut: Side of the field that is cut away ("top", "bottom", "front", "back") and where: the
            index of a landmark of the chain, or of its level in the spine.
        zoom, turn: Scale, and degrees about x, y and z, of the patient in space.
        only: Series that are left.
        mirror: Whether the patient is mirrored.
    """

    plan: dict | None = None
    factors: dict | None = None
    shift_mm: tuple = (0, 0, 0)
    cut: tuple | None = None
    zoom: float = 1.0
    turn: tuple = (0, 0, 0)
    only: Protocol | None = None
    mirror: bool = False


ROWS = {
    "baseline": Row(),
    "cut at the top, 15 mm above T12/L1": Row(cut=("top", 0, 15)),
    "cut at the top, through L1": Row(cut=("top", 0, -18)),
    "cut at the bottom, 15 mm below S1/S2": Row(cut=("bottom", 6, 15)),
    "cut at the bottom, 20 mm below L5/S1": Row(cut=("bottom", 5, 20)),
    "cut in front, 5 mm before the bodies": Row(cut=("front", 5)),
    "cut behind, 25 mm behind the canal": Row(cut=("back", 25)),
    "cut off above L3": Row(cut=("top", 2, 12)),
    "cut off below L4": Row(cut=("bottom", 4, 12)),
    "shift 30 mm up": Row(shift_mm=(0, 0, 30)),
    "shift 30 mm down": Row(shift_mm=(0, 0, -30)),
    "shift 40 mm to the front": Row(shift_mm=(0, -40, 0)),
    "shift 40 mm to the back": Row(shift_mm=(0, 40, 0)),
    "zoom .85": Row(zoom=0.85),
    "zoom 1.15": Row(zoom=1.15),
    "pitch +15": Row(turn=(15, 0, 0)),
    "pitch -15": Row(turn=(-15, 0, 0)),
    "tilt 8 to the side": Row(turn=(0, 8, 0)),
    "turn 8 about the long axis": Row(turn=(0, 0, 8)),
    "noise x 3": Row(factors={"snr": 1 / 3}),
    "noise x 6": Row(factors={"snr": 1 / 6}),
    "19 slices": Row(plan={"slices": 19, "gap_mm": 3.6}),
    "15 slices": Row(plan={"slices": 15, "gap_mm": 4.4}),
    "11 slices": Row(plan={"slices": 11, "gap_mm": 4.4}),
    "9 slices": Row(plan={"slices": 9, "gap_mm": 4.4}),
    "7 slices": Row(plan={"slices": 7, "gap_mm": 4.4}),
    "coil reaches 25 mm": Row(plan={"reach_mm": 25.0}),
    "coil reaches everywhere": Row(plan={"reach_mm": 2000.0, "band": False}),
    "T1 only": Row(only=Protocol.SAGITTAL_T1),
    "T2 only": Row(only=Protocol.SAGITTAL_T2),
    "mirrored": Row(mirror=True),
}


def harder(person, row):
    """Return a case of a person under one row."""

    def change(plan):
        fields = dict(row.plan or {})
        for name, factor in (row.factors or {}).items():
            fields[name] = getattr(plan, name) * factor
        return replace(plan, **fields, middle_mm=plan.middle_mm + np.array(row.shift_mm, float))

    case = person.scanned(change)
    if row.only:
        case.study.series = [s for s in case.study.series if s.protocol is row.only]
    if row.cut:
        case = _cropped(case, row.cut)
    if row.zoom != 1 or any(row.turn):
        case = _moved(case, row)
    return mirrored(case) if row.mirror else case


def _cropped(case, cut):
    """Cut pictures so that nothing beyond one height or depth is left."""
    side, *where = cut
    if side in ("top", "bottom"):
        at = case.points_mm[where[0], 2] + where[1] * (1 if side == "top" else -1)
    else:
        column = case.column
        front = min(column.at(n, 0, -column.wall(n), 0)[1] for n in range(5, 11))
        behind = case.points_mm[: len(CHAIN), 1].max()
        at = front - where[0] if side == "front" else behind + where[0]
    series = [
        replace(s, stacks=[_crop(st, side, at) for st in s.stacks]) for s in case.study.series
    ]
    return replace(case, study=replace(case.study, series=series))


def _crop(stack, side, at):
    """Return a stack without what lies beyond `at` millimetres on one side."""
    affine, middle = stack.affine_lps, np.array(stack.shape) / 2
    axis, row = (1, 2) if side in ("top", "bottom") else (0, 1)
    place = affine @ [*middle, 1]
    index = int(middle[axis] + (at - place[row]) / affine[row, axis])
    index = int(np.clip(index, 8, stack.shape[axis] - 8))
    first = index if side in ("top", "front") else 0
    keep = slice(first, None) if side in ("top", "front") else slice(0, index)
    cut = [slice(None)] * 3
    cut[axis] = keep
    moved = affine.copy()
    moved[:3, 3] += affine[:3, axis] * first
    return Stack.from_array(np.ascontiguousarray(stack.voxels[tuple(cut)]), moved)


def _moved(case, row):
    """Scale and turn a patient in space: voxels stay, their places change."""
    a, b, c = np.deg2rad(row.turn)
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    move = np.eye(4)
    move[:3, :3] = row.zoom * np.array(about_z) @ np.array(about_y) @ np.array(about_x)
    series = [
        replace(s, stacks=[Stack.from_array(st.voxels, move @ st.affine_lps) for st in s.stacks])
        for s in case.study.series
    ]
    points = case.points_mm @ move[:3, :3].T
    return replace(case, study=replace(case.study, series=series), points_mm=points, canvas=None)


def in_view(case, margin_mm=3.0):
    """Return which of the 27 points the pictures of any series reach, with a margin."""
    seen = np.zeros(len(POINTS), bool)
    for series in case.study.series:
        for stack in series.stacks:
            index = np.linalg.solve(
                stack.affine_lps, np.c_[case.points_mm, np.ones(len(POINTS))].T
            )[:3].T
            edge = np.array([margin_mm, margin_mm, 0]) / stack.spacing_mm
            last = np.array(stack.shape) - 0.5 - edge
            seen |= np.all((index >= edge - 0.5) & (index <= last), axis=1)
    return seen


def judge(case, found):
    """Return what `found`, a `volspine.landmarks.Landmarks`, got right of a case, as a dict.

    A level is right if the disc nearest to its canal point is the one that it is called after, and
    no more than 12 mm away. It is off by one, or more, if that disc is another; astray if there is
    none so near. Shares are over the levels in view.
    """
    truth, seen = case.points_mm, in_view(case)
    points = found.points_mm
    verdicts = [_verdict(truth, points[n], n + 1, bool(seen[n + 1])) for n in range(LEVELS)]
    apart = points - truth[list(POINT_OF_TARGET)]
    away = np.linalg.norm(apart, axis=1)
    away[~seen[list(POINT_OF_TARGET)]] = np.nan
    return {
        "verdicts": verdicts,
        "apart_mm": apart,
        "canal_mm": away[:LEVELS],
        "foramen_mm": away[LEVELS : 3 * LEVELS],
        "recess_mm": away[3 * LEVELS :],
        "doubted": bool(found.doubts),
        "confidence": np.array(found.level_confidence),
    }


def _verdict(truth, point, disc, seen):
    if not np.isfinite(point).all():
        return "absent" if seen else "rightly absent"
    away = np.linalg.norm(truth[: len(CHAIN)] - point, axis=1)
    nearest = int(np.argmin(away))
    if away[nearest] > NEAR_MM:
        return "astray" if seen else "invented"
    if nearest != disc:
        return "off" if seen else "invented"
    return "right" if seen else "rightly found"
