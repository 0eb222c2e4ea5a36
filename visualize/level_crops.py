"""The crops that a grader sees: five levels, each from its own native slices, frames drawn in.

    python visualize/level_crops.py [STUDY --points FILE.json] [--out FILE.png] [--as-acquired]

Rows are levels. Columns: sagittal T1 through the left and the right foramen, sagittal T2 through
the canal, axial T2 through the disc: of each crop the slice nearest to the landmark. Sagittal crops
are turned so that the disc lies level; `--as-acquired` leaves them as they are. The arrows are the
level's frame, 15 mm each: left (red), back (green), head (blue). Landmarks within half a slice are
filled, others of the level hollow: canal yellow, foramina orange, recesses cyan. Under the picture
stand series, slices and their tilt against the disc; an empty crop says why.

Without a study a synthetic one is made, with its true landmarks; with one, its points come from a
`result.json` or a `truth/<study>.json`. Research use only, not a medical device.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from volspine import read_study
from volspine.anatomy import LEVELS, TARGETS, Condition, Finding, Level, Protocol
from volspine.dicom.study import Study
from volspine.landmarks import CHAIN, Landmarks
from volspine.phantom.cohort import generate
from volspine.types import FloatArray
from volspine.volume.crop import Cropper
from volspine.volume.crop_records import CropHow, LevelCrop

ARROW_MM = 15.0
LEGEND = (
    "Points: canal yellow, foramina orange, recesses cyan; filled: in this slice. "
    "Arrows, 15 mm: left red, back green, head blue.\n"
    "A front, P back, R and L the patient's right and left. "
    "Research use only, not a medical device."
)
COLORS = {Finding.CANAL: "yellow", Finding.FORAMEN: "orange", Finding.RECESS: "cyan"}
AXES = (("red", 0), ("lime", 1), ("deepskyblue", 2))


class Panel(NamedTuple):
    """One column: a view, and the target whose slice is shown."""

    view: Protocol
    condition: Condition
    edges: tuple[str, str]


PANELS = (
    Panel(Protocol.SAGITTAL_T1, Condition.LEFT_NEURAL_FORAMINAL_NARROWING, ("A", "P")),
    Panel(Protocol.SAGITTAL_T1, Condition.RIGHT_NEURAL_FORAMINAL_NARROWING, ("A", "P")),
    Panel(Protocol.SAGITTAL_T2, Condition.SPINAL_CANAL_STENOSIS, ("A", "P")),
    Panel(Protocol.AXIAL_T2, Condition.SPINAL_CANAL_STENOSIS, ("R", "L")),
)


def main() -> None:
    """Draw the crops of a study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", nargs="?", type=Path, help="folder, zip or NIfTI; else a phantom")
    parser.add_argument("--points", type=Path, help="result.json or truth/<study>.json")
    parser.add_argument("--out", type=Path, default=Path("level_crops.png"))
    parser.add_argument("--seed", type=int, default=7, help="of the phantom")
    parser.add_argument("--as-acquired", action="store_true", help="do not turn sagittal crops")
    arguments = parser.parse_args()
    if arguments.study is not None and arguments.points is None:
        parser.error("give the points of the study: --points result.json")
    how = CropHow(aligned=not arguments.as_acquired)
    with tempfile.TemporaryDirectory() as folder:
        path, points = arguments.study, arguments.points
        if path is None:
            root = Path(folder, "phantom")
            generate(root, studies=1, seed=arguments.seed)
            path = next((root / "train_images").iterdir())
            points = root / "truth" / f"{path.name}.json"
        figure = draw(read_study(path), landmarks_in(points), how)
    figure.savefig(arguments.out, dpi=80, facecolor="black")
    print(f"saved {arguments.out}")


def landmarks_in(path: Path) -> Landmarks:
    """Return the landmarks of a result or of a phantom's truth."""
    data = json.loads(path.read_text(encoding="utf-8"))
    chain = np.full((len(CHAIN), 3), np.nan)
    if "landmarks_mm" in data:
        found = data["landmarks_mm"]
    else:
        found = {name: point["mm"] for name, point in data["landmarks"]["points"].items()}
        places = [data["landmarks"]["chain"].get(disc) for disc in CHAIN]
        chain = np.array([place or [np.nan] * 3 for place in places], dtype=np.float64)
    points = np.array([found.get(t.name) or [np.nan] * 3 for t in TARGETS], dtype=np.float64)
    chain[1:-1] = points[: len(LEVELS)]
    is_there = np.isfinite(points).all(axis=1)
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(is_there, 0.0, np.nan),
        confidence=is_there.astype(np.float64),
        reasons=tuple("" if there else "not found" for there in is_there),
        chain_mm=chain,
        level_confidence=np.ones(len(LEVELS)),
    )


def draw(study: Study, landmarks: Landmarks, how: CropHow) -> "plt.Figure":
    """Return five levels times four panels."""
    cropper = Cropper(study, landmarks, how=how)
    size = (4.0 * len(PANELS), 4.4 * len(LEVELS))
    figure, axes = plt.subplots(len(LEVELS), len(PANELS), figsize=size, facecolor="black")
    for row, level in zip(axes, LEVELS, strict=True):
        for axis, panel in zip(row, PANELS, strict=True):
            draw_panel(axis, cropper, level, panel)
    figure.text(0.5, 0.004, LEGEND, color="silver", ha="center", va="bottom", fontsize=10)
    figure.tight_layout(rect=(0.0, 0.035, 1.0, 1.0), h_pad=2.8)
    return figure


def draw_panel(axis: Axes, cropper: Cropper, level: Level, panel: Panel) -> None:
    """Draw the slice of a crop that is nearest to a target, with its frame and landmarks."""
    crop = cropper.crop(level, panel.view)
    axis.set_axis_off()
    axis.set_title(f"{level.label} {panel.condition.label}\n{panel.view.label}",
                   color="white", fontsize=9)  # fmt: skip
    target = list(Condition).index(panel.condition)
    depth = float(crop.points_index[target, 0])
    d = int(np.clip(round(depth), 0, len(crop.image) - 1)) if np.isfinite(depth) else 0
    rows, columns = crop.image.shape[1:]
    axis.set_xlim(-0.5, columns - 0.5)
    axis.set_ylim(rows - 0.5, -0.5)
    axis.text(0.5, -0.03, caption(crop, d), color="silver", fontsize=7, ha="center", va="top",
              transform=axis.transAxes)  # fmt: skip
    if not crop.mask.any():
        axis.text(0.5, 0.5, "no crop", color="white", ha="center", transform=axis.transAxes)
        return
    top = float(np.percentile(crop.image[crop.mask].numpy(), 99.5))
    axis.imshow(crop.image[d].numpy(), cmap="gray", vmin=0.0, vmax=top)
    for letter, x in zip(panel.edges, (0.03, 0.97), strict=True):
        box = {"boxstyle": "round,pad=0.15", "facecolor": "black", "alpha": 0.6}
        look = {"color": "gold", "ha": "center", "bbox": box}
        axis.text(x, 0.5, letter, transform=axis.transAxes, **look)
    draw_frame(axis, cropper, level, crop)
    draw_points(axis, crop, d)


def caption(crop: LevelCrop, d: int) -> str:
    """Return where a crop comes from."""
    source = crop.source
    if source.reason:
        return source.reason
    shown = [k for k in source.slices if k >= 0]
    return (
        f"series {source.series}, stack {source.stack}, slice {source.slices[d]}\n"
        f"of {shown[0]} to {shown[-1]}, {source.tilt_deg:.0f} degrees off the frame"
    )


def draw_frame(axis: Axes, cropper: Cropper, level: Level, crop: LevelCrop) -> None:
    """Draw the axes of the level's frame from its origin."""
    frame = (cropper.frames or ())[LEVELS.index(level)]
    if frame is None:
        return
    ends = frame.patient(np.concatenate([np.zeros((1, 3)), ARROW_MM * np.eye(3)]))
    index = index_of(crop, ends)
    for color, n in AXES:
        start, end = index[0, 1:], index[n + 1, 1:]
        axis.annotate("", xy=end[::-1], xytext=start[::-1],
                      arrowprops={"arrowstyle": "->", "color": color, "lw": 1.2})  # fmt: skip


def draw_points(axis: Axes, crop: LevelCrop, d: int) -> None:
    """Draw the landmarks of a level."""
    for condition, (depth, row, column) in zip(Condition, crop.points_index.tolist(), strict=True):
        color = COLORS[condition.finding]
        fill = color if abs(depth - d) <= 0.5 else "none"
        axis.plot(column, row, "o", ms=5, mec=color, mfc=fill, mew=1.2)


def index_of(crop: LevelCrop, points_mm: FloatArray) -> FloatArray:
    """Return points in slice, row and column."""
    affine = crop.affine_lps.numpy()
    return np.asarray(np.linalg.solve(affine[:3, :3], (points_mm - affine[:3, 3]).T).T)


if __name__ == "__main__":
    main()
