"""A localizer on unseen phantom studies: errors by cohort and finding, sides, and cut-off spines.

    python experiments/localizer_scores.py MODEL --studies 100 --out SCORES

MODEL is a bundle with a localizer, or a checkpoint of one. Each study is laid on the localizer's
grid as it would be from its files, looked at, and compared with the truth: as it is; mirrored, for
as many studies as `--mirrored` says; and, as many as `--cut` says, with all that lies above the
middle of L3, or below that of L4, out of view. SCORES.csv and SCORES.md hold the tables. A spine
that was cut passes if each level in view is found within 10 mm and no other one is.

Phantoms of the kind that taught a localizer say that it learnt, and nothing about patients.
"""

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Protocol
from volspine.inference.bundle import load_bundle
from volspine.inference.checkpoint import read_localizer
from volspine.inference.locate import ZOOMS, heat_of_views
from volspine.inference.locate_views import View
from volspine.landmarks import Landmarks
from volspine.metrics.landmarks import landmark_scores_by_finding, point_errors
from volspine.models.chain_decode import decode
from volspine.models.chain_zoom import zoomed_grid
from volspine.models.localizer import Localizer
from volspine.phantom.direct import Scan, localizer_example
from volspine.phantom.scene import Scene
from volspine.phantom.spec import Cohort, Spec
from volspine.volume.grid import Grid, coverage_mm

COHORTS = ("clean", "probe", "rsna_like", "shift")
CUTS = {"cut above L3": (1, 2, -1), "cut below L4": (2, 3, 1)}
"""Between which two levels the view ends, and on which side of it (1 up, -1 down) it lies."""

SAGITTAL = (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1)
NEAR_MM = 10.0
SLIPPED_MM = 18.0
"""Half the distance of neighbouring discs."""
SCORES = (
    "num_true", "num_found", "median_mm", "p95_mm", "worst_mm", "detected_5mm", "detected_10mm",
    "wrong_level", "within_1", "within_2",
)  # fmt: skip
SUMMARY = (
    "cohort", "studies", "slipped", "doubted", "doubted_if_slipped", "mirror_mm",
    *CUTS, "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One study on a grid, seen in each of `ZOOMS`, with the places of its 25 targets."""

    views: dict[float, list[View]]
    grid: Grid
    true_mm: np.ndarray


@dataclass(frozen=True)
class Outcome:
    """What a localizer made of one study."""

    found: Landmarks
    true_mm: np.ndarray
    seconds: float
    mirror_mm: float
    passed: dict[str, float]


def main() -> None:
    """Locate, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="bundle with a localizer, or a checkpoint of one")
    parser.add_argument("--studies", type=int, default=20, help="of each cohort")
    parser.add_argument("--mirrored", type=int, default=5, help="how many are mirrored as well")
    parser.add_argument("--cut", type=int, default=0, help="how many are cut off as well")
    parser.add_argument("--cohorts", nargs="+", choices=COHORTS, default=list(COHORTS))
    parser.add_argument("--seed", type=int, default=811)
    parser.add_argument("--out", type=Path, help="start of the names of the files to write")
    arguments = parser.parse_args()
    localizer = load(arguments.model)
    errors, summaries = [], []
    for cohort in arguments.cohorts:
        outcomes = list(examined(localizer, cohort, arguments))
        errors += error_rows(cohort, outcomes)
        summaries.append(summary(cohort, outcomes))
    show(errors, summaries, arguments.out)


def load(model: Path) -> Localizer:
    """Return the localizer of a bundle or of a checkpoint."""
    if not model.is_dir():
        return read_localizer(model).localizer.eval()
    localizer = load_bundle(model).localizer
    if localizer is None:
        raise SystemExit(f"{model} has no localizer")
    return localizer


def examined(localizer: Localizer, cohort: str, arguments: argparse.Namespace) -> Iterator[Outcome]:
    """Yield what becomes of each study of a cohort."""
    for index in range(arguments.studies):
        spec = Spec(seed=arguments.seed, cohort=Cohort(cohort), index=index)
        scene = Scene(spec)
        case = made(scene)
        start = time.perf_counter()
        found = located(localizer, case)
        seconds = time.perf_counter() - start
        yield Outcome(
            found,
            case.true_mm,
            seconds,
            mirror_gap(localizer, case, found) if index < arguments.mirrored else float("nan"),
            {cut: passes(localizer, scene, cut) for cut in CUTS if index < arguments.cut},
        )


def made(scene: Scene, low_mm: float = -np.inf, high_mm: float = np.inf) -> Case:
    """Return a study on its grid, without what lies below or above the given heights."""
    stacks = [place.stack for place in scene.places if place.plan.protocol in SAGITTAL]
    low, high = coverage_mm(stacks)
    low[2], high[2] = max(low[2], low_mm), min(high[2], high_mm)
    x, y, z = (float(v) for v in (low + high) / 2)
    grid = Grid((4.0, 2.0, 2.0), (24, 96, 128), (x, y, z))
    views = {zoom: seen(scene, zoomed_grid(grid, zoom), (low_mm, high_mm)) for zoom in ZOOMS}
    return Case(views, grid, scene.landmarks_mm)


def seen(scene: Scene, grid: Grid, ends_mm: tuple[float, float]) -> list[View]:
    """Return the sagittal series on a grid, without what lies below or above two heights."""
    example = localizer_example(scene.spec, grid, protocols=SAGITTAL, scan=Scan())
    heights = grid.mm_from_index(
        np.arange(float(grid.shape[2]))[:, None] * np.array([0.0, 0.0, 1.0])
    )[:, 2]
    inside = (heights >= ends_mm[0]) & (heights <= ends_mm[1])
    masks = [mask.numpy() & inside for mask in example.masks]
    pairs = zip(example.images, masks, strict=True)
    return [View(image.numpy() * mask, mask) for image, mask in pairs if mask.any()]


def located(localizer: Localizer, case: Case) -> Landmarks:
    """Return the landmarks of a study on its grid."""
    return decode(heat_of_views(case.views, case.grid, localizer, torch.device("cpu")))


def mirror_gap(localizer: Localizer, case: Case, found: Landmarks) -> float:
    """Return how far the points of the mirrored study lie from the mirrored points, at most."""
    flipped = {
        zoom: [View(v.image[::-1].copy(), v.mask[::-1].copy()) for v in views]
        for zoom, views in case.views.items()
    }
    there = located(localizer, replace(case, views=flipped))
    x = (case.grid.center_mm or (0.0, 0.0, 0.0))[0]
    back = there.points_mm[list(MIRRORED_INDEX)] * [-1.0, 1.0, 1.0] + [2 * x, 0.0, 0.0]
    if np.any(np.isfinite(back) != np.isfinite(found.points_mm)):
        return float("inf")
    return float(np.nanmax(np.abs(back - found.points_mm), initial=0.0))


def passes(localizer: Localizer, scene: Scene, cut: str) -> float:
    """Return 1 if all is right of a spine that is cut off between two levels, else 0."""
    above, below, side = CUTS[cut]
    canal = scene.landmarks_mm[: len(LEVELS), 2]
    height = float(canal[above] + canal[below]) / 2
    case = made(scene, low_mm=height) if side > 0 else made(scene, high_mm=height)
    found = located(localizer, case)
    level = np.array([LEVELS.index(t.level) for t in TARGETS])
    in_view = level <= above if side > 0 else level >= below
    errors = point_errors(found.points_mm[None], case.true_mm[None])[0]
    canal_right = errors[: len(LEVELS)][in_view[: len(LEVELS)]] <= NEAR_MM
    others_right = ~(errors[in_view] > NEAR_MM)
    return float(canal_right.all() and others_right.all() and not found.found[~in_view].any())


def error_rows(cohort: str, outcomes: list[Outcome]) -> list[dict]:
    """Return the errors of a cohort: all targets, then by finding."""
    found = np.array([o.found.points_mm for o in outcomes])
    true = np.array([o.true_mm for o in outcomes])
    spread = np.array([o.found.spread_mm for o in outcomes])
    by_finding = landmark_scores_by_finding(found, true, spread)
    return [
        {"cohort": cohort, "finding": finding}
        | {name: round(scores.to_dict()[name], 4) for name in SCORES}
        for finding, scores in by_finding.items()
    ]


def has_slipped(canal_mm: np.ndarray) -> bool:
    """Tell whether the canal points of a study are half a level off; not if there is none."""
    known = canal_mm[np.isfinite(canal_mm)]
    return bool(known.size) and float(np.median(known)) > SLIPPED_MM


def summary(cohort: str, outcomes: list[Outcome]) -> dict:
    """Return what holds of whole studies: slips, doubts, sides, cut-off spines, time."""
    errors = [point_errors(o.found.points_mm[None], o.true_mm[None])[0] for o in outcomes]
    slipped = np.array([has_slipped(e[: len(LEVELS)]) for e in errors])
    doubted = np.array([bool(o.found.doubts) for o in outcomes])
    return {
        "cohort": cohort,
        "studies": len(outcomes),
        "slipped": mean(slipped),
        "doubted": mean(doubted),
        "doubted_if_slipped": mean(doubted[slipped]),
        "mirror_mm": max((o.mirror_mm for o in outcomes if o.mirror_mm >= 0), default=np.nan),
        **{cut: mean([o.passed[cut] for o in outcomes if cut in o.passed]) for cut in CUTS},
        "seconds": round(float(np.median([o.seconds for o in outcomes])), 2),
    }


def mean(values: object) -> float:
    """Return the mean of some numbers, NaN of none."""
    array = np.asarray(values, dtype=float)
    return round(float(array.mean()), 4) if array.size else float("nan")


def show(errors: list[dict], summaries: list[dict], out: Path | None) -> None:
    """Print both tables and write them."""
    text = "\n\n".join([table(("cohort", "finding", *SCORES), errors), table(SUMMARY, summaries)])
    print(text)
    if out is None:
        return
    out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    with out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("cohort", "finding", *SCORES))
        writer.writeheader()
        writer.writerows(errors)


def table(columns: tuple[str, ...], rows: list[dict]) -> str:
    """Return rows as a Markdown table."""
    head = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines = ["| " + " | ".join(text(row[c]) for c in columns) + " |" for row in rows]
    return "\n".join([*head, *lines])


def text(value: object) -> str:
    """Return a value as it stands in a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
