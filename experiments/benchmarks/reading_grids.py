"""Row a: a study on disk -> three volumes on one grid, by all ways, in all codings.

What is right is known: the ramp. Every way is judged by the largest error of a filled voxel against
what its own affine says, and by the share of voxels left empty, both where the stacks certainly
measured. The floor is what no way can go below: bytes over bandwidth, and decoding.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from floor import floor_of
from race import Contender, race, results
from ramp import places_of
from result import Plan, Result
from studies import Shape, write_all
from volumes import GRID, WAYS

__all__ = ["grid_for", "rows"]

_TOLERANCE, _FIVE = 3.0, 5.0
_ROUNDS = {"raw": 9, "rle": 5, "j2k": 3, "piles": 5}
_TARGETS = {
    "raw": {"SimpleITK": 1.0, "TorchIO": 1.5, "point cloud": _FIVE},
    "rle": {"SimpleITK": 2.0, "TorchIO": 1.5, "point cloud": _FIVE},
}
_NAMES = {
    "raw": "a study of three blocks, raw, to a common grid",
    "rle": "the same, run-length encoded",
    "j2k": "the same, JPEG 2000",
    "piles": "the axial series in five tilted piles, raw",
}
_CODINGS = ("raw", "rle", "j2k")
_SLOW = "point cloud"

Checks = dict[str, tuple[str, bool | None]]
"""For each way what was checked, and whether it is right."""


def rows(plan: Plan) -> list[Result]:
    """Measure all ways on all codings."""
    shape = Shape(5, 20, 32) if plan.tiny else Shape()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_all(folder, shape)
        found: list[Result] = []
        for name, study in (("block", _CODINGS), ("piles", ("raw",))):
            grid = list(grid_for(folder / name))
            # A ramp differs in values only: what is right of one coding is right of the others.
            checks = {way: _check(way, folder / name / "ramp", grid, plan) for way in WAYS}
            for coding in study:
                called = coding if name == "block" else name
                found += _raced(called, folder / name / coding, checks, plan)
        return found


def grid_for(folder: Path) -> GRID:
    """Return the default grid in the middle of what the stacks of a study cover."""
    corners = np.concatenate([np.array(s).reshape(-1, 3) for s in places_of(folder).values()])
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return GRID((4.0, 1.0, 1.0), (32, 192, 192), (*map(float, middle.round(1)),))


def _raced(name: str, study: Path, checks: Checks, plan: Plan) -> list[Result]:
    grid = list(grid_for(study.parent))
    ways = {
        way: Contender(
            "volumes:run_way",
            {"way": way, "study": str(study), "grid": grid},
            rounds=2 if way == _SLOW else 1000,
            fresh=(3 if name == "raw" else 1) if way not in (_SLOW, "MONAI") else 1,
        )
        for way in WAYS
        if way != _SLOW or name in ("raw", "rle")
    }
    found = race(ways, plan, rounds=_ROUNDS[name])
    lines = results("a", _NAMES[name], found, checks=checks, targets=_TARGETS.get(name))
    lines = [_with_memory(line, lines[0].peak_mb) if line.who == _SLOW else line for line in lines]
    return [*lines, *floor_of(_NAMES[name], study, lines, voxels=int(np.prod(grid[1])))]


def _with_memory(line: Result, ours_mb: float | None) -> Result:
    """Return the point cloud's line, whose memory is judged as well."""
    if line.peak_mb is None or not ours_mb or line.ratio is None:
        return line
    smaller = line.peak_mb / ours_mb
    return replace(
        line,
        target="at least 5x, in a fifth of the memory",
        met=line.ratio >= _FIVE and smaller >= _FIVE,
        more={"memory_ratio": smaller},
    )


def _check(way: str, ramp: Path, grid: list[Any], plan: Plan) -> tuple[str, bool | None]:
    judge = Contender("judging:judge_way", {"way": way, "study": str(ramp), "grid": grid}, fresh=0)
    found = race({way: judge}, Plan(tiny=True, threads=plan.threads), rounds=0)[way]
    if found.failed:
        return found.failed, None
    error, holes = found.facts[0]["error"], found.facts[0]["holes"]
    text = f"error {error:.1f} levels, {holes:.1%} empty"
    return text, error < _TOLERANCE and holes == 0.0
