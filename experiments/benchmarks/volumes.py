"""Five ways from a study on disk to three volumes on one grid; each adds up all that it made.

A way is made once, from the folder of a study and the grid, and then run as often as is wanted; it
returns its volumes with the affine from index to LPS. The peers are used as their documentation
shows: nothing is checked, each series is taken as one regular stack, and the folders tell which
series is which. All interpolate linearly, but for the last, which is not interpolation.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["GRID", "SERIES", "WAYS", "Volumes", "run_way"]

SERIES = ("sagittal_t1", "sagittal_t2", "axial_t2")
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


class Volumes(NamedTuple):
    """What a way made.

    Attributes:
        volumes: Three arrays, in the order of `SERIES`, axes as the affine counts them.
        affine_lps: Shape (4, 4), the same for the three.
        total: Sum over all their voxels, so that none can be left for later.
    """

    volumes: list[np.ndarray]
    affine_lps: np.ndarray
    total: float


class GRID(NamedTuple):
    """The grid, RAS order as everywhere in this library."""

    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    center_mm: tuple[float, float, float]

    @property
    def affine_ras(self) -> np.ndarray:
        """Index to RAS millimetres."""
        affine = np.diag([*self.spacing_mm, 1.0])
        middle = np.array(self.center_mm) * [-1, -1, 1]
        affine[:3, 3] = middle - np.array(self.spacing_mm) * (np.array(self.shape) - 1) / 2
        return affine


Way = Callable[[], Volumes]


def volspine(folder: Path, grid: GRID) -> Way:
    """Read, check, sample, and make the masks, too."""
    from volspine.dicom.reading import read_study
    from volspine.volume.grid import Grid
    from volspine.volume.sample import sample_study

    target = Grid(*grid)

    def run() -> Volumes:
        made = sample_study(read_study(folder), target)
        total = float(made.images.sum(dtype=np.float64)) + float(made.masks.sum())
        return Volumes(list(made.images), target.affine_lps, total)

    return run


def simpleitk(folder: Path, grid: GRID) -> Way:
    """Read each series with GDCM, resample it."""
    import SimpleITK

    sitk: Any = SimpleITK
    affine = FLIP @ grid.affine_ras

    def run() -> Volumes:
        volumes = []
        for series in SERIES:
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder / series))
            image = sitk.ReadImage(names, sitk.sitkFloat32)
            target = sitk.ResampleImageFilter()
            target.SetSize([int(n) for n in grid.shape])
            target.SetOutputSpacing(grid.spacing_mm)
            target.SetOutputOrigin(affine[:3, 3].tolist())
            target.SetOutputDirection((affine[:3, :3] / grid.spacing_mm).ravel().tolist())
            target.SetInterpolator(sitk.sitkLinear)
            volumes.append(sitk.GetArrayFromImage(target.Execute(image)).T)
        return Volumes(volumes, affine, _total(volumes))

    return run


def torchio(folder: Path, grid: GRID) -> Way:
    """Read each series as a folder, resample it to an image of the grid."""
    import torch
    import torchio as tio

    empty = torch.zeros(1, *grid.shape)
    resample = tio.Resample(tio.ScalarImage(tensor=empty, affine=grid.affine_ras))

    def run() -> Volumes:
        volumes = [resample(tio.ScalarImage(folder / s)).data[0].numpy() for s in SERIES]
        return Volumes(volumes, FLIP @ grid.affine_ras, _total(volumes))

    return run


def monai(folder: Path, grid: GRID) -> Way:
    """Read each series with its reader for DICOM, resample it to the grid's affine."""
    import torch
    from monai.transforms import LoadImage, SpatialResample

    load = LoadImage(reader="PydicomReader", image_only=True, ensure_channel_first=True)
    resample = SpatialResample(mode="bilinear", padding_mode="zeros")
    affine = torch.from_numpy(grid.affine_ras)

    def run() -> Volumes:
        volumes = []
        for series in SERIES:
            image = load(folder / series)
            found = resample(image, dst_affine=affine, spatial_size=grid.shape)
            volumes.append(found[0].numpy())
        return Volumes(volumes, FLIP @ grid.affine_ras, _total(volumes))

    return run


def point_cloud(folder: Path, grid: GRID) -> Way:
    """Fill the stretched cube of 256 cells a side with the points of each series."""
    from original_cloud import gridded_cloud

    del grid  # It has a lattice of its own.

    def run() -> Volumes:
        volumes, affine = gridded_cloud([folder / series for series in SERIES])
        return Volumes(volumes, affine, _total(volumes))

    return run


def _total(volumes: list[np.ndarray]) -> float:
    return sum(float(volume.sum(dtype=np.float64)) for volume in volumes)


WAYS: dict[str, Callable[[Path, GRID], Way]] = {
    "volspine": volspine,
    "SimpleITK": simpleitk,
    "TorchIO": torchio,
    "MONAI": monai,
    "point cloud": point_cloud,
}


def run_way(way: str, study: str, grid: list[Any]) -> Callable[[], dict[str, float]]:
    """Return what `serve` calls: read, resample, add up."""
    run = WAYS[way](Path(study), GRID(*map(tuple, grid)))
    return lambda: {"total": run().total}
