"""Where the localizer finds the levels, beside the truth: phantoms of every cohort.

    python visualize/located_levels.py [STUDY ...] [--model BUNDLE] [--out FILE.png]
                                       [--each 1] [--seed 77] [--second 1:9 0:5 ...]

A row is a cohort. Each study has a sagittal slice through the canal, with the name of each disc and
its canal point, and an axial slice at L4/L5 with the left and right points. Circles are what was
found (left side blue, right side orange, midline yellow), crosses the truth; a level that was not
found has only a cross. Studies given by path are drawn too, in a row of their own and without
crosses; so are people of the second phantom, SEED:INDEX, in a checkout. Titles say how far the
canal points are off, and why a numbering is doubted. Synthetic studies say nothing about patients.
Research use only, not a medical device.
"""

import argparse
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from volspine import read_study
from volspine.anatomy import LEVELS, TARGETS, Level, Protocol, Side
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.inference.bundle import load_bundle
from volspine.inference.locate import locate
from volspine.landmarks import POINT_OF_TARGET, Landmarks
from volspine.models.localizer import Localizer
from volspine.phantom.cohort import generate
from volspine.report.upright import View, nearest_slice, upright_slice
from volspine.types import FloatArray
from volspine.viewer.truth import read_truth

COHORTS = ("clean", "probe", "rsna_like", "shift")
COLORS = {Side.LEFT: "#5ea1ff", Side.RIGHT: "#ffb454", None: "#ffe45e"}
SHOWN = Level.L4_L5
SAGITTAL_MM, AXIAL_MM = 110.0, 45.0


@dataclass(frozen=True)
class Shown:
    """One study with what was found in it.

    Attributes:
        title: What it is.
        study: Its images.
        found: Its landmarks.
        truth_mm: (25, 3) LPS millimetres, if known.
    """

    title: str
    study: Study
    found: Landmarks
    truth_mm: FloatArray | None


def main() -> None:
    """Locate, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", type=Path, help="studies to draw beside the phantoms")
    parser.add_argument("--model", type=Path, help="bundle with a localizer; else the demo bundle")
    parser.add_argument("--out", type=Path, default=Path("located_levels.png"))
    parser.add_argument("--each", type=int, default=1, help="phantoms of each cohort")
    parser.add_argument("--seed", type=int, default=77, help="root seed of the phantoms")
    parser.add_argument("--second", nargs="*", default=[], help="people of the second phantom")
    arguments = parser.parse_args()
    localizer = load_bundle(arguments.model).localizer
    if localizer is None:
        raise SystemExit("the bundle has no localizer")
    rows = [
        [Shown(f"{cohort} {n}", study, locate(study, localizer), truth)
         for n, (study, truth) in enumerate(phantoms(cohort, arguments.each, arguments.seed))]
        for cohort in COHORTS
    ]  # fmt: skip
    others = [another(name, localizer) for name in arguments.second]
    rows += [others] * bool(others)
    given = [read_study(path, protocol=lone(path)) for path in arguments.studies]
    rows += [[Shown("given study", one, locate(one, localizer), None) for one in given]] * bool(
        given
    )
    figure = draw_rows(rows)
    figure.savefig(arguments.out, dpi=70)
    print(f"saved {arguments.out}")


def lone(path: Path) -> Protocol | None:
    """Return what a lone NIfTI file is taken for."""
    return Protocol.SAGITTAL_T2 if path.name.endswith((".nii", ".nii.gz")) else None


def phantoms(cohort: str, count: int, seed: int) -> list[tuple[Study, FloatArray]]:
    """Return synthetic studies, read from files, and the true places of their targets."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        root = generate(Path(folder, cohort), studies=count, cohort=cohort, seed=seed)
        for record in sorted((root / "truth").glob("*.json")):
            study = read_study(root / "train_images" / record.stem)
            for series in study.series:
                for stack in series.stacks:
                    _ = stack.voxels  # The files will be gone.
            made.append((study, read_truth(record).points_mm))
    return made


def another(name: str, localizer: Localizer) -> Shown:
    """Return a person of the second phantom, which is part of the tests: `SEED:INDEX`."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.second_phantom.case import make_case

    seed, index = map(int, name.split(":"))
    case = make_case(seed, index)
    truth = case.points_mm[list(POINT_OF_TARGET)]
    return Shown(f"second phantom {name}", case.study, locate(case.study, localizer), truth)


def draw_rows(rows: list[list[Shown]]) -> plt.Figure:
    """Draw a grid of studies, two panels each."""
    columns = 2 * max(len(row) for row in rows)
    size = (3.6 * columns, 4.0 * len(rows))
    figure, axes = plt.subplots(len(rows), columns, figsize=size, facecolor="black", squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, line in zip(rows, axes, strict=True):
        for n, shown in enumerate(row):
            draw_sagittal(line[2 * n], shown)
            draw_axial(line[2 * n + 1], shown)
    figure.tight_layout()
    return figure


def draw_sagittal(axis: Axes, shown: Shown) -> None:
    """Draw the canal points on the sagittal slice nearest to them."""
    canal = [n for n, target in enumerate(TARGETS) if target.side is None]
    axis.set_title(title(shown, canal), color="white", fontsize=8)
    place = middle(shown, canal)
    stacks = stacks_of(shown.study, (Protocol.SAGITTAL_T2, Protocol.SAGITTAL_T1, Protocol.OTHER))
    if not stacks or place is None:
        return
    view = view_at(stacks, place, SAGITTAL_MM)
    draw_points(axis, view, shown, canal)
    for n in canal:
        if shown.found.found[n]:
            row, column = view.locate(shown.found.points_mm[n])
            aside = column + 9 / view.spacing_mm[1]
            axis.text(aside, row, TARGETS[n].level.label, color="white", fontsize=8, va="center")


def draw_axial(axis: Axes, shown: Shown) -> None:
    """Draw the points of L4/L5 on the axial slice nearest to them."""
    chosen = [n for n, target in enumerate(TARGETS) if target.level is SHOWN]
    axis.set_title(f"axial, {SHOWN.label}", color="white", fontsize=8)
    place = middle(shown, chosen)
    stacks = stacks_of(shown.study, (Protocol.AXIAL_T2,))
    if place is None or not stacks:
        axis.text(0.5, 0.5, "no axial slice there", color="white", ha="center")
        return
    draw_points(axis, view_at(stacks, place, AXIAL_MM), shown, chosen)


def view_at(stacks: list[Stack], place: FloatArray, reach_mm: float) -> View:
    """Return the surroundings of a place in the slice of some stacks that is nearest to it."""
    stack = min(stacks, key=lambda one: off_mm(one, place))
    return upright_slice(stack, nearest_slice(stack, place)).around(place, reach_mm)


def off_mm(stack: Stack, place: FloatArray) -> float:
    """Return how far a place is from the nearest slice of a stack."""
    k = nearest_slice(stack, place)
    return float(abs((place - stack.slice_origins_mm[k]) @ stack.normal))


def draw_points(axis: Axes, view: View, shown: Shown, targets: list[int]) -> None:
    """Draw one slice with circles where targets were found and crosses where they are."""
    high, wide = view.pixels.shape
    top = max(float(np.percentile(view.pixels, 99.5)), 1e-6)
    aspect = view.spacing_mm[0] / view.spacing_mm[1]
    axis.imshow(view.pixels, cmap="gray", vmin=0, vmax=top, aspect=aspect)
    for letter, x in zip(view.edges[:2], (0.04, 0.96), strict=True):
        axis.text(x * wide, high / 2, letter, color="gold", ha="center", va="center")
    for n in targets:
        color = COLORS[TARGETS[n].side]
        if shown.truth_mm is not None:
            row, column = view.locate(shown.truth_mm[n])
            axis.plot(column, row, "+", color="#3ddc97", markersize=9)
        if shown.found.found[n]:
            row, column = view.locate(shown.found.points_mm[n])
            axis.plot(column, row, "o", color=color, markersize=8, fillstyle="none")
    axis.set_xlim(-0.5, wide - 0.5)
    axis.set_ylim(high - 0.5, -0.5)


def middle(shown: Shown, targets: list[int]) -> FloatArray | None:
    """Return the middle of some targets: where they were found, else where they are."""
    for points in (shown.found.points_mm[targets], shown.truth_mm):
        if points is not None:
            known = points[np.isfinite(points).all(axis=1)]
            if len(known):
                return np.asarray(known.mean(axis=0), dtype=np.float64)
    return None


def stacks_of(study: Study, protocols: tuple[Protocol, ...]) -> list[Stack]:
    """Return the stacks of the first of some protocols that a study has."""
    for protocol in protocols:
        found = [stack for series in study.by_protocol(protocol) for stack in series.stacks]
        if found:
            return found
    return []


def title(shown: Shown, canal: list[int]) -> str:
    """Return what stands over a study."""
    parts = [shown.title]
    if shown.truth_mm is not None:
        error = np.linalg.norm(shown.found.points_mm[canal] - shown.truth_mm[canal], axis=1)
        seen = error[np.isfinite(error)]
        parts.append(
            f"canal {np.median(seen):.1f} mm, worst {seen.max():.1f}" if len(seen) else "none found"
        )
    missing = [LEVELS[n].label for n in range(len(LEVELS)) if not shown.found.found[n]]
    if missing:
        parts.append("absent: " + ", ".join(missing))
    parts += [f"doubt: {doubt}" for doubt in shown.found.doubts]
    return "\n".join(textwrap.fill(part, 48) for part in parts)


if __name__ == "__main__":
    main()
