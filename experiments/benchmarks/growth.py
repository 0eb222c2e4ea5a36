"""Row f: 1, 4 and 16 times as many slices, and as many studies: time and memory against size.

The exponent is the slope of the logarithms' straight line: 1 is linear. A fixed cost makes it
smaller, so it says that nothing grows faster, not that nothing is fixed. Slices are those of
row a, more of them at smaller steps; studies are prepared in one process.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from race import Contender, Measured, race
from reading_grids import grid_for
from result import Plan, Result, exponent, quartiles
from studies import Shape, write_all
from volumes import SERIES

from volspine.phantom.cohort import generate

__all__ = ["rows"]

_TIMES = (1, 4, 16)
_LARGEST = 1.1


def rows(plan: Plan) -> list[Result]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        return [*_slices(folder, plan), *_studies(folder, plan)]


def _slices(folder: Path, plan: Plan) -> list[Result]:
    shape = Shape(5, 20, 32) if plan.tiny else Shape(17, 40, 128)
    write_all(folder / "of", shape, codings=["raw"])
    grid = list(grid_for(folder / "of" / "block"))
    ways = {}
    for times in _TIMES:
        study = folder / f"slices_{times}"
        _multiply(folder / "of" / "block" / "raw", study, times)
        told = {"way": "volspine", "study": str(study), "grid": grid}
        ways[f"{times}x"] = Contender("volumes:run_way", told)
    found = race(ways, plan, rounds=5)
    total = 2 * shape.sagittal + shape.axial
    return _lines(f"slices of a study, {total} at 1x, to a grid", found, plan)


def _studies(folder: Path, plan: Plan) -> list[Result]:
    ways = {}
    for times in _TIMES[: 2 if plan.tiny else 3]:
        root = generate(folder / f"root_{times}", studies=2 * times, size="small", seed=8)
        told = {"root": str(root), "store": str(folder / f"store_{times}")}
        ways[f"{times}x"] = Contender("growth_ways:prepare_studies", told)
    return _lines("studies, 2 small ones at 1x, prepared", race(ways, plan, rounds=3), plan)


def _multiply(source: Path, target: Path, times: int) -> None:
    """Write every slice several times, each a part of its step further on."""
    for series in SERIES:
        (target / series).mkdir(parents=True)
        slices = [dcmread(path) for path in (source / series).iterdir()]
        places = np.array([ds.ImagePositionPatient for ds in slices], dtype=float)
        normal = np.cross(*np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3))
        depth = np.sort(places @ normal)
        step = normal * float(depth[-1] - depth[0]) / (len(depth) - 1) / times
        order = np.argsort(places @ normal)
        for rank, index in enumerate(order):
            ds, base = slices[index], str(slices[index].SOPInstanceUID)
            for again in range(times):
                place = places[index] + again * step
                ds.ImagePositionPatient = [f"{mm:.10g}"[:16] for mm in place]
                ds.InstanceNumber = rank * times + again + 1
                ds.SOPInstanceUID = f"{base[:50]}.{ds.InstanceNumber}"
                ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
                ds.SliceThickness = ds.SpacingBetweenSlices = str(np.linalg.norm(step))[:16]
                ds.save_as(target / series / f"{ds.InstanceNumber}.dcm")


def _lines(what: str, found: dict[str, Measured], plan: Plan) -> list[Result]:
    """Return a line for each size, and one for the exponents."""
    lines, sizes, seconds, peaks = [], [], [], []
    for name, measured in found.items():
        if measured.failed:
            raise RuntimeError(measured.failed)
        low, middle, high = quartiles(measured.seconds)
        sizes.append(float(name.rstrip("x")))
        seconds.append(middle)
        peaks.append(max(measured.peaks))
        lines.append(
            Result(
                row="f", what=what, who=name, low_s=low, median_s=middle, high_s=high,
                rounds=len(measured.seconds), peak_mb=peaks[-1],
                fresh_s=quartiles(measured.fresh)[1],
            )
        )  # fmt: skip
    time_, memory = exponent(sizes, seconds), exponent(sizes, peaks)
    last = replace(
        lines[-1], who="exponent", median_s=None, low_s=None, high_s=None, fresh_s=None,
        peak_mb=None, correct=f"time {time_:.2f}, memory {memory:.2f}", rounds=0,
        target=f"under {_LARGEST:g}", met=max(time_, memory) < _LARGEST,
        more={"time": time_, "memory": memory, "tiny": plan.tiny},
    )  # fmt: skip
    return [*lines, last]
