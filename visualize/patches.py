"""The 40 patches that a level-mode grader is shown of one study, as a contact sheet.

    python visualize/patches.py [STORE/FILE.npz] [--out FILE.png] [--look SEED] [--mirror]

A block a view; in it a row a condition and a column a level. Of each patch the middle slice, with
the landmark's place in its middle marked. Patches of a right side are mirrored: sagittal slices run
outwards from the canal on both sides, and the outer edge of a recess is on the right of its patch,
so that both rows of a block look alike. The title of a patch says its grade and how much of it was
measured; one that is not there says so.

Without a file a phantom is made. `--look SEED` shows it as one step of training would: on places
that err as the localizer does, turned, zoomed, recoloured; `--mirror` shows the patient's mirror
image, whose grades have changed sides. Research use only, not a medical device.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Grade, Protocol, Target
from volspine.data.crop_looks import AS_THEY_ARE, Looks, draw_look, seen_patches, stacked_looks
from volspine.data.crop_store import read_crops
from volspine.phantom.levels import phantom_study_crops
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.views import TOKENS, VIEWS, Patches, StudyCrops
from volspine.volume.jitter import measured_errors
from volspine.volume.patches import tokens_of
from volspine.volume.study_crops import batched

ROWS = sum(len(view.targets) // 5 for view in VIEWS)
EDGES = {Protocol.AXIAL_T2: ("inner", "outer")}


def main() -> None:
    """Draw the patches of a study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="of a store of crops; else a phantom")
    parser.add_argument("--out", type=Path, default=Path("patches.png"))
    parser.add_argument("--seed", type=int, default=7, help="of the phantom")
    parser.add_argument("--size", choices=[s.value for s in Size], default="full")
    parser.add_argument("--look", type=int, help="seed of a look as in training")
    parser.add_argument("--mirror", action="store_true", help="show the mirror image")
    arguments = parser.parse_args()
    if arguments.file is None:
        spec = Spec(seed=arguments.seed, cohort=Cohort.PROBE, size=Size(arguments.size))
        crops, _, grades = phantom_study_crops(spec)
    else:
        stored = read_crops(arguments.file)
        crops, grades = stored.crops, stored.grades
    patches = patches_of(crops, look=arguments.look, mirror=arguments.mirror)
    if arguments.mirror:
        grades = grades[list(MIRRORED_INDEX)]
    draw(patches, grades).savefig(arguments.out, dpi=80, facecolor="black")
    print(f"saved {arguments.out}")


def patches_of(crops: StudyCrops, *, look: int | None, mirror: bool) -> Patches:
    """Return the patches of one study, as they are or as one step of training would see them."""
    rng = np.random.default_rng(look or 0)
    looks = AS_THEY_ARE if look is None else Looks()
    drawn = stacked_looks([draw_look(looks, measured_errors(), rng)])
    patches, _ = seen_patches(batched([crops]), drawn._replace(flip=torch.tensor([mirror])))
    return patches


def draw(patches: Patches, grades: torch.Tensor) -> Figure:
    """Return the contact sheet of the first study of some patches."""
    figure, axes = plt.subplots(ROWS, 5, figsize=(11.0, 2.35 * ROWS), facecolor="black")
    for number, axis in enumerate(axes.ravel()):
        view, target = TOKENS[number]
        place = number - tokens_of(view).start
        image, share = patches.images[view][0, place], patches.covered[view][0, place]
        draw_patch(axis, view, TARGETS[target], (image, float(share.mean())))
        grade = int(grades[target])
        name = "not graded" if grade < 0 else Grade(grade).label
        axis.set_title(f"{TARGETS[target].label}\n{VIEWS[view].protocol.label}: {name}",
                       color="white", fontsize=7)  # fmt: skip
    figure.tight_layout()
    return figure


def draw_patch(axis: Axes, view: int, target: Target, shown: tuple[torch.Tensor, float]) -> None:
    """Draw the middle slice of a patch (D, S, S), and how much of the patch was measured."""
    image, share = shown
    axis.set_axis_off()
    axis.set_xlim(-0.5, image.shape[-1] - 0.5)
    axis.set_ylim(image.shape[-2] - 0.5, -0.5)
    middle = (image.shape[-1] - 1) / 2
    if share == 0:
        axis.text(middle, middle, "not there", color="white", ha="center")
        return
    top = float(np.percentile(image.numpy(), 99.5))
    axis.imshow(image[len(image) // 2].numpy(), cmap="gray", vmin=-1.0, vmax=top)
    axis.plot(middle, middle, "+", color="yellow", ms=5, mew=0.8)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.6}
    axis.text(middle, 2.0, f"{share:.0%}", color="white", fontsize=6, ha="center", bbox=box)
    ends = ("front", "back") if VIEWS[view].protocol is not Protocol.AXIAL_T2 else ("R", "L")
    if target.side is not None:
        ends = EDGES.get(VIEWS[view].protocol, ends)
    for name, x in zip(ends, (0.02, 0.98), strict=True):
        side = "left" if x < 0.5 else "right"
        look = {"color": "gold", "fontsize": 6.5, "ha": side, "bbox": box}
        axis.text(x, 0.04, name, transform=axis.transAxes, **look)


if __name__ == "__main__":
    main()
