"""Tiny challenge roots of real DICOM files, and what a folder holds, byte by byte."""

import shutil
from pathlib import Path

import numpy as np

from tests.data import made_roots
from tests.data.made_roots import SERIES_IDS
from tests.dicom.series_factory import AXIAL, number_on, save_all, series, tilted
from volspine.anatomy import Protocol


def write_dicom_root(root: Path, studies: int = 3) -> Path:
    """A root of studies with two sagittal series and an axial one of two tilted blocks."""
    grades = np.random.default_rng(0).integers(-1, 3, (studies, 25))
    made_roots.write_root(root, grades)
    for n, folder in enumerate(sorted((root / "train_images").iterdir())):
        (folder / "grades.txt").unlink()
        write_dicom_study(folder, n)
    return root


def write_dicom_study(folder: Path, seed: int) -> Path:
    """Three series; no two studies hold the same voxels."""
    for protocol, number in SERIES_IDS.items():
        slices = axial_blocks() if protocol is Protocol.AXIAL_T2 else series(8, start=(-14, -20, 9))
        for ds in slices:
            ds.StudyInstanceUID = f"1.2.3.{100 + seed}"
            ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.{number}"
            ds.RescaleSlope, ds.RescaleIntercept = "1", str(7 * seed)
        save_all(slices, folder / number)
    return folder


def axial_blocks():
    """Two blocks of slices, tilted against one another, in one series."""
    upper = series(4, cosines=tilted(AXIAL, 12), start=(-20, -18, 20))
    lower = series(5, cosines=tilted(AXIAL, -15), start=(-20, -18, -30))
    return number_on([*upper, *lower])


def everything(folder: Path) -> dict[str, bytes]:
    """What a folder holds: the bytes of each file by its path, and hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def copied(root: Path, place: Path) -> Path:
    """A copy elsewhere, whose files have other times."""
    return Path(shutil.copytree(root, place, copy_function=shutil.copy))
