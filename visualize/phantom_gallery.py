"""Five synthetic subjects from normal to severe, each as sagittal T1, sagittal T2 and axial T2.

    python visualize/phantom_gallery.py [--out FILE.png] [--seed N] [--level L4/L5]

Rows are subjects with a growing burden of findings at one level. Columns: the sagittal T1 through
the left and the right foramen, the sagittal T2 through the canal and the axial T2 through the disc,
each the slice nearest to the landmark, which a tick marks, under the true grades there. Sagittal
pictures have the front on the left; the axial one has the patient's right on the left, as its
letters say. Synthetic studies: research use only, not a medical device.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from volspine.anatomy import LEVELS, TARGETS, Finding, Grade, Level, Side, Target
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.study import Acquired, acquire_study
from volspine.phantom.tables import nearest_slice
from volspine.phantom.truth import build_truth


@dataclass(frozen=True)
class Panel:
    """One column of the gallery.

    Attributes:
        name: What it shows.
        finding: Whose landmark it goes through.
        side: Of that landmark.
        graded: Sides whose grades stand over it.
    """

    name: str
    finding: Finding
    side: Side | None
    graded: tuple[Side | None, ...]


PANELS = (
    Panel("sagittal T1, left foramen", Finding.FORAMEN, Side.LEFT, (Side.LEFT,)),
    Panel("sagittal T1, right foramen", Finding.FORAMEN, Side.RIGHT, (Side.RIGHT,)),
    Panel("sagittal T2, canal", Finding.CANAL, None, (None,)),
    Panel("axial T2, recesses", Finding.RECESS, Side.LEFT, (Side.RIGHT, Side.LEFT)),
)


def main() -> None:
    """Draw the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("phantom_gallery.png"))
    parser.add_argument("--seed", type=int, default=1, help="root seed of the cohort")
    parser.add_argument("--level", default="L4/L5", choices=[level.label for level in LEVELS])
    arguments = parser.parse_args()
    level = next(level for level in LEVELS if level.label == arguments.level)
    specs = from_normal_to_severe(arguments.seed, level)
    size = (4.2 * len(PANELS), 4.5 * len(specs))
    figure, axes = plt.subplots(len(specs), len(PANELS), figsize=size, facecolor="black")
    for row, spec in zip(axes, specs, strict=True):
        made = acquire_study(spec)
        for axis, panel in zip(row, PANELS, strict=True):
            draw(axis, made, panel, level)
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=90)
    print(f"saved {arguments.out}")


def from_normal_to_severe(seed: int, level: Level, pool: int = 40) -> list[Spec]:
    """Return five subjects of a pool, by the sum of their grades at a level."""
    specs = [Spec(seed=seed, index=n, cohort=Cohort.RSNA_LIKE) for n in range(pool)]
    first = LEVELS.index(level)
    burden = [int(build_truth(spec).grades[first :: len(LEVELS)].sum()) for spec in specs]
    order = np.argsort(burden, kind="stable")
    return [specs[order[n]] for n in np.linspace(0, pool - 1, 5).round().astype(int)]


def targets_of(panel: Panel, level: Level) -> list[Target]:
    """Return the targets whose grades stand over a panel."""
    return [
        next(t for t in TARGETS if (t.finding, t.side, t.level) == (panel.finding, side, level))
        for side in panel.graded
    ]


def draw(axis: Axes, made: Acquired, panel: Panel, level: Level) -> None:
    """Draw the slice nearest to a landmark, with grades, a tick and the letters of the sides."""
    shown = next(t for t in targets_of(panel, level) if t.side is panel.side)
    axis.set_axis_off()
    axis.set_title(f"{level.label} {panel.name}\n{grades(made, panel, level)}",
                   color="white", fontsize=9)  # fmt: skip
    found = nearest_slice(made, shown.index)
    if found is None:
        axis.text(0.5, 0.5, "not acquired", color="white", ha="center")
        return
    image, plan = made.pixels[found.series][found.index], made.plan.series[found.series]
    high, wide = image.shape
    axis.imshow(image, cmap="gray", vmax=np.percentile(image, 99.5))
    axis.plot([found.x - 0.08 * wide, found.x - 0.03 * wide], [found.y] * 2, color="gold", lw=1)
    letters = ("A", "P") if plan.is_sagittal else ("R", "L")
    for letter, x in zip(letters, (0.03, 0.97), strict=True):
        box = {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.6}
        look = {"color": "gold", "ha": "center", "va": "center", "bbox": box}
        axis.text(x * wide, 0.5 * high, letter, **look)


def grades(made: Acquired, panel: Panel, level: Level) -> str:
    """Return the true grades that stand over a panel."""
    parts = []
    for target in targets_of(panel, level):
        side = "" if target.side is None else f"{target.side.value}: "
        parts.append(side + Grade(int(made.truth.grades[target.index])).label)
    return ", ".join(parts)


if __name__ == "__main__":
    main()
