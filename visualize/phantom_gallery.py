"""Five synthetic subjects from normal to severe, each as sagittal T1, sagittal T2 and axial T2.

    python visualize/phantom_gallery.py [--out FILE.png] [--seed N]

Rows are subjects with a growing number of severe findings. Each picture is the slice nearest to one
landmark: left foramen at L4/L5 on T1, canal at L4/L5 on T2, recesses at L4/L5 on the axial series,
titled with the true grades there. Synthetic studies: research use only, not a medical device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from volspine.anatomy import TARGETS, Grade
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.study import Acquired, acquire_study
from volspine.phantom.tables import nearest_slice
from volspine.phantom.truth import build_truth

SHOWN = (
    "left_neural_foraminal_narrowing_l4_l5",
    "spinal_canal_stenosis_l4_l5",
    "left_subarticular_stenosis_l4_l5",
)


def main() -> None:
    """Draw the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("phantom_gallery.png"))
    parser.add_argument("--seed", type=int, default=1, help="root seed of the cohort")
    arguments = parser.parse_args()
    figure, axes = plt.subplots(5, len(SHOWN), figsize=(12, 20), facecolor="black")
    for row, spec in zip(axes, from_normal_to_severe(arguments.seed), strict=True):
        made = acquire_study(spec)
        for axis, name in zip(row, SHOWN, strict=True):
            draw(axis, made, name)
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=80)
    print(f"saved {arguments.out}")


def from_normal_to_severe(seed: int) -> list[Spec]:
    """Return five of 40 subjects, by the sum of their grades at L4/L5."""
    specs = [Spec(seed=seed, index=n, cohort=Cohort.RSNA_LIKE) for n in range(40)]
    burden = [int(build_truth(spec).grades[4 - 1 :: 5].sum()) for spec in specs]
    order = np.argsort(burden, kind="stable")
    return [specs[order[n]] for n in (0, 10, 20, 30, 39)]


def draw(axis: Axes, made: Acquired, name: str) -> None:
    """Draw the slice nearest to a target's landmark."""
    target = next(t for t in TARGETS if t.name == name)
    found = nearest_slice(made, target.index)
    if found is None:
        return
    image = made.pixels[found.series][found.index]
    axis.imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
    grade = Grade(int(made.truth.grades[target.index]))
    axis.set_title(f"{target.label}: {grade.label}", color="white", fontsize=9)
    axis.axis("off")


if __name__ == "__main__":
    main()
