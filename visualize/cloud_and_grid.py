"""Look at one study twice: as the points it was measured at, and as the grid they become.

    python visualize/cloud_and_grid.py [STUDY] [--out FILE.png]

Left: every voxel at its true place, of the axial series the middle slice of each tilted stack.
Right: the same on the grid of `experiments/study_efficientnet.yaml`, in cells of 3 x 1.5 x 1.5 mm:
the points that land in a cell are averaged, at the same places in the same millimetres, and no cell
between them is empty. Without a study a synthetic one is made.
"""

import argparse
import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from volspine import read_study
from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.jobs import write_bytes
from volspine.phantom.cohort import generate
from volspine.types import BoolArray
from volspine.viewer.build import point_scene
from volspine.viewer.faces import visible_faces
from volspine.viewer.picture import scene_png
from volspine.viewer.point_layer import SHEET_MM
from volspine.viewer.scene import Faces, Scene
from volspine.viewer.tissue import body_mask
from volspine.volume.cloud_grid import grid_of_series
from volspine.volume.grid import Grid
from volspine.volume.normalize import normalize

GRID = Grid(spacing_mm=(3.0, 1.5, 1.5), shape=(48, 200, 200))
"""The recipe's cells, of which there are enough here for the whole study."""

SIZE_PX = (760, 760)

_AIR = 0.05
"""Normalised intensity below which a cell of a thin sheet shows air."""


def main() -> None:
    """Read or make a study, and save its picture."""
    parser = argparse.ArgumentParser(description="Save a study as points beside its grid.")
    parser.add_argument("study", nargs="?", type=Path, help="folder, zip or NIfTI; else a phantom")
    parser.add_argument("--out", type=Path, default=Path("cloud_and_grid.png"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.study
        if path is None:
            generate(Path(folder, "phantom"), studies=1, seed=7)
            path = next(Path(folder, "phantom", "train_images").iterdir())
        study = read_study(path)
        points = point_scene(study)
        cells = grid_scene(study, points)
    write_bytes(arguments.out, side_by_side(points, cells))
    print(f"saved {arguments.out}: {points.subtitle}; {cells.subtitle}")


def grid_scene(study: Study, beside: Scene) -> Scene:
    """Return what another scene shows as points, as the cells of one grid."""
    grid = GRID.centered_on(study)
    x = grid.mm_from_index(np.indices((grid.shape[0], 1, 1)).reshape(3, -1).T.astype(float))[:, 0]
    left = (x - np.mean([side[0] for side in beside.bounds_mm]))[:, None, None]
    sagittal = study.by_protocol(Protocol.SAGITTAL_T2)[:1]
    axial = [_middle_slices(series) for series in study.by_protocol(Protocol.AXIAL_T2)]
    near = (left > 0) & (left <= SHEET_MM)
    faces = [_faces(series, grid, left <= 0) for series in sagittal]
    faces += [_faces(series, grid, near) for series in axial]
    cells = " x ".join(f"{mm:g}" for mm in GRID.spacing_mm)
    return replace(
        beside, points=(), faces=tuple(faces), subtitle=f"the same in cells of {cells} mm"
    )


def _faces(series: Series, grid: Grid, kept: BoolArray) -> Faces:
    raw, mask = grid_of_series(series, grid)
    image = normalize(raw, mask)
    is_axial = series.protocol is Protocol.AXIAL_T2
    # Several thin sheets are not one body; the largest of them would hide the rest.
    solid = mask & (image > _AIR) if is_axial else body_mask(image, mask, axis=0)
    return visible_faces(image, solid & kept, grid, series.protocol)


def _middle_slices(series: Series) -> Series:
    """Return a series of which each stack is its middle slice."""
    stacks = []
    for stack in series.stacks:
        middle = slice(stack.shape[2] // 2, stack.shape[2] // 2 + 1)
        voxels, affine = stack.voxels[:, :, middle], stack.affine_lps.copy()
        affine[:3, 3] = stack.slice_origins_mm[middle][0]
        stacks.append(Stack.from_array(voxels, affine, stack.slice_origins_mm[middle]))
    return replace(series, stacks=stacks)


def side_by_side(*scenes: Scene) -> bytes:
    """Return a PNG file of several scenes, seen from the same place at the same scale."""
    pictures = [
        Image.open(io.BytesIO(scene_png(scene, size_px=SIZE_PX))).convert("RGB") for scene in scenes
    ]
    whole = Image.new("RGB", (SIZE_PX[0] * len(pictures), SIZE_PX[1]))
    for place, picture in enumerate(pictures):
        whole.paste(picture, (SIZE_PX[0] * place, 0))
    stream = io.BytesIO()
    whole.quantize(128).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


if __name__ == "__main__":
    main()
