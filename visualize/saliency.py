"""What the grade of a severe finding looked at: native slices, attention beside Grad-CAM.

    python visualize/saliency.py [--model BUNDLE] [--out FILE.png] [--seed 4242] [--target NAME]

A phantom is made and graded. The finding is the one that is named, else the first that is severe
in truth and in the grade; canals come first, since they are read from sagittal and axial slices. A
row is a view of it: the slice that was looked at most, then the same with the attention (what the
grade was read from) and with Grad-CAM (what speaks for the grade), each as a share of its largest
value in that slice, which the title names. The ring is where the finding was located.
Synthetic studies say nothing about patients. Research use only, not a medical device.
"""

import argparse
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from volspine import Predictor, read_study
from volspine.anatomy import TARGETS, Grade, Target
from volspine.inference.graded import GradedStudy
from volspine.phantom.cohort import generate
from volspine.report.heatmap import heat_seen
from volspine.report.upright import View, nearest_slice, upright_slice
from volspine.viewer.palette import HEAT_COLOR
from volspine.viewer.truth import read_truth
from volspine.volume.heat import PatchHeat

METHODS = {"attention": "attention", "gradcam": "Grad-CAM"}
REACH_MM = 38.0
TINT = LinearSegmentedColormap.from_list("heat", [HEAT_COLOR, HEAT_COLOR])


def main() -> None:
    """Make, grade and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a bundle that looks at levels; else the demo")
    parser.add_argument("--out", type=Path, default=Path("saliency.png"))
    parser.add_argument("--seed", type=int, default=4242, help="of the phantom")
    parser.add_argument("--target", choices=[t.name for t in TARGETS], help="as volspine targets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = generate(Path(folder, "root"), studies=1, cohort="probe", seed=arguments.seed)
        record = next((root / "truth").glob("*.json"))
        graded = Predictor(arguments.model).predict(read_study(root / "train_images" / record.stem))
        truth = [None if grade is None else int(grade) for grade in read_truth(record).grades]
        target = chosen(graded, truth, arguments.target)
        figure = draw(graded, target, Grade(truth[target.index]))
    figure.savefig(arguments.out, dpi=90, facecolor="black")
    print(f"saved {arguments.out}: {target.label}")


def chosen(graded: GradedStudy, truth: list[int | None], name: str | None) -> Target:
    """Return the finding to draw."""
    if name is not None:
        return next(target for target in TARGETS if target.name == name)
    for target, is_true in zip(TARGETS, truth, strict=True):  # Canals come first.
        if is_true == Grade.SEVERE == graded.grades.grades[target.index]:
            return target
    raise SystemExit("this phantom has no severe finding that is graded severe: try another --seed")


def draw(graded: GradedStudy, target: Target, truth: Grade) -> Figure:
    """Return the picture: a row a view, a column the slice alone and with each heat."""
    looks = [graded.saliency(target, method).patches for method in METHODS]
    size = (4.0 * (1 + len(METHODS)), 4.5 * len(looks[0]) + 0.5)
    figure, axes = plt.subplots(
        len(looks[0]), 1 + len(METHODS), figsize=size, squeeze=False, facecolor="black"
    )
    point = graded.grades.points_mm[target.index]
    for row, patches in zip(axes, zip(*looks, strict=True), strict=True):
        view = shown(graded, patches[0])
        draw_slice(row[0], view, point, patches[0].protocol.label)
        for axis, name, patch in zip(row[1:], METHODS.values(), patches, strict=True):
            share = patch.slices[patch.hottest_slice]
            view = shown(graded, patch)
            draw_slice(axis, view, point, f"{name}, {share:.0%} of it in this slice")
            draw_heat(axis, patch, view)
    given = graded.grades.grades[target.index]
    said = "not graded" if given is None else given.label
    confidence = graded.grades.confidence[target.index]
    figure.suptitle(
        f"{target.label}: {said} ({confidence:.2f}), in truth {truth.label}. Synthetic.",
        color="white",
    )
    figure.text(
        0.5,
        0.01,
        "Dotted: what the network was shown. Research use only, not a medical device.",
        color="silver",
        ha="center",
        fontsize=9,
    )
    figure.tight_layout(rect=(0.0, 0.03, 1.0, 1.0))
    return figure


def shown(graded: GradedStudy, patch: PatchHeat) -> View:
    """Return the surroundings of a patch in the native slice that it was cut from."""
    middle = patch.slice_middle_mm(patch.hottest_slice)
    stacks = [s for series in graded.study.by_protocol(patch.protocol) for s in series.stacks]
    found = [(stack, nearest_slice(stack, middle)) for stack in stacks]
    stack, k = min(
        found, key=lambda one: abs((middle - one[0].slice_origins_mm[one[1]]) @ one[0].normal)
    )
    return upright_slice(stack, k).around(middle, REACH_MM)


def draw_slice(axis: Axes, view: View, point: np.ndarray, title: str) -> None:
    """Draw a slice with its sides, and a ring where the finding is."""
    high, wide = view.pixels.shape
    top = max(float(np.percentile(view.pixels, 99.5)), 1e-6)
    axis.imshow(view.pixels, cmap="gray", vmin=0, vmax=top, aspect=aspect(view))
    row, column = view.locate(point)
    axis.plot(column, row, "o", color="#5ea1ff", markersize=9, fillstyle="none")
    for letter, x in zip(view.edges[:2], (0.04, 0.96), strict=True):
        look = {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.6}
        axis.text(x * wide, high / 2, letter, color="gold", ha="center", va="center", bbox=look)
    axis.set_title(title, color="white", fontsize=10)
    axis.set_axis_off()


def draw_heat(axis: Axes, patch: PatchHeat, view: View) -> None:
    """Lay the heat of a patch's hottest slice over a slice, in a frame of what was shown of it."""
    seen = heat_seen(patch, view)
    axis.imshow(np.ones_like(seen), cmap=TINT, alpha=0.75 * seen, aspect=aspect(view))
    rows, columns = (n - 0.5 for n in patch.values.shape[1:])
    corners = [(-0.5, -0.5), (rows, -0.5), (rows, columns), (-0.5, columns), (-0.5, -0.5)]
    index = [[patch.hottest_slice, *corner, 1.0] for corner in corners]
    places = [view.locate((patch.affine_lps @ one)[:3]) for one in index]
    axis.plot([c for _, c in places], [r for r, _ in places], ":", color="silver", linewidth=0.9)


def aspect(view: View) -> float:
    """Return how much higher than wide a pixel is."""
    return view.spacing_mm[0] / view.spacing_mm[1]


if __name__ == "__main__":
    main()
