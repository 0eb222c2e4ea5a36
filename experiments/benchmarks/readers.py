"""How readers do on the difficult series of the tests: right, refused, or wrong without a word.

    python experiments/benchmarks/readers.py [path of a JSON file for the verdicts]

Every series holds 2000 + 4x + 3y + 5z at each voxel, in millimetres of the patient, so a voxel that
a reader puts elsewhere shows by its value. What a reader returns is judged by that alone:

    right      all voxels within 3 grey levels, all slices; or an error where nothing can be trusted
    part       voxels right, slices missing and nothing said
    refused    an error, although the series can be read
    accepted   voxels right, although two patients, or pixels that cannot be trusted, are among them
    wrong      a voxel that is not where the affine says
    crash      the process died, ran out of 6 GB or of 20 seconds

Readers run in a process of their own for each series. Those that are not installed are left out.
"""

import importlib.util
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.dicom.cases import Right  # noqa: E402  the path is set first
from tests.dicom.series_factory import ramp  # noqa: E402
from tests.dicom.test_inputs import CASES  # noqa: E402

VERDICTS = ("right", "part", "refused", "accepted", "wrong", "crash")
TOLERANCE, SECONDS, BYTES = 3.0, 20.0, 6 << 30
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])

Volume = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Voxels (I, J, K), affine from index to LPS, and the origin of each slice where it is given."""


def volspine(folder: Path) -> list[Volume]:
    """Read with this library."""
    from volspine.dicom.reading import read_study

    stacks = [stack for series in read_study(folder).series for stack in series.stacks]
    return [(stack.voxels, stack.affine_lps, stack.slice_origins_mm) for stack in stacks]


def simpleitk(folder: Path) -> list[Volume]:
    """Read every series that GDCM finds, as SimpleITK's documentation does."""
    import SimpleITK

    sitk: Any = SimpleITK

    found = []
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        image = sitk.ReadImage(names)
        affine = np.eye(4)
        affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, 3] = image.GetOrigin()
        found.append((sitk.GetArrayFromImage(image).T.astype(float), affine, None))
    if not found:
        raise FileNotFoundError(folder)
    return found


def torchio(folder: Path) -> list[Volume]:
    """Read the folder as one image."""
    import torchio as tio

    image = tio.ScalarImage(folder)
    return [(image.data[0].numpy().astype(float), FLIP @ image.affine, None)]


def naive(folder: Path) -> list[Volume]:
    """Stack pixel_array by InstanceNumber; geometry of the first file and SliceThickness."""
    import pydicom

    slices = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    slices.sort(key=lambda ds: int(ds.InstanceNumber))
    first, second = slices[0], slices[1]
    voxels = np.stack([ds.pixel_array.T for ds in slices], axis=-1).astype(float)
    affine = np.eye(4)
    cosines = np.array(first.ImageOrientationPatient, float)
    affine[:3, 0] = cosines[:3] * float(first.PixelSpacing[1])
    affine[:3, 1] = cosines[3:] * float(first.PixelSpacing[0])
    origin = np.array(first.ImagePositionPatient, float)
    affine[:3, 2] = np.array(second.ImagePositionPatient, float) - origin
    affine[:3, 3] = origin
    slope, intercept = (
        float(first.get(k, d)) for k, d in (("RescaleSlope", 1), ("RescaleIntercept", 0))
    )
    return [(voxels * slope + intercept, affine, None)]


def highdicom(folder: Path) -> list[Volume]:
    """Read all files of the folder as one volume."""
    import highdicom as hd
    import pydicom

    slices = [pydicom.dcmread(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    volume = hd.get_volume_from_series(slices)
    # Its index runs slice, row, column.
    return [(volume.array.transpose(2, 1, 0).astype(float), volume.affine[:, [2, 1, 0, 3]], None)]


def dcm2niix(folder: Path) -> list[Volume]:
    """Convert to NIfTI and read what was written."""
    import nibabel as nib

    with tempfile.TemporaryDirectory() as out:
        program = Path(sys.executable).with_name("dcm2niix")
        command = [str(program), "-z", "n", "-f", "%s_%j_%t", "-o", out, str(folder)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)
        images = [nib.load(path) for path in sorted(Path(out).glob("*.nii"))]
        if not images:
            raise RuntimeError(f"no image written, exit code {done.returncode}")
        return [(np.asarray(im.dataobj, float), FLIP @ im.affine, None) for im in images]


READERS: dict[str, Callable[[Path], list[Volume]]] = {
    "volspine": volspine,
    "SimpleITK": simpleitk,
    "TorchIO": torchio,
    "naive stack": naive,
    "highdicom": highdicom,
    "dcm2niix": dcm2niix,
}
_MODULES = {"naive stack": "pydicom", "TorchIO": "torchio"}


def is_installed(name: str) -> bool:
    """Return whether a reader can be run here."""
    if name == "dcm2niix":
        return Path(sys.executable).with_name("dcm2niix").exists() or bool(shutil.which(name))
    return importlib.util.find_spec(_MODULES.get(name, name)) is not None


def is_on_ramp(volume: Volume) -> bool:
    """Return whether every voxel holds what its place implies."""
    voxels, affine, origins = volume
    if voxels.ndim != 3:
        return False
    i, j, k = np.meshgrid(*map(np.arange, voxels.shape), indexing="ij")
    plane = i[..., None] * affine[:3, 0] + j[..., None] * affine[:3, 1]
    first = affine[:3, 3] + k[..., None] * affine[:3, 2] if origins is None else origins[k]
    return bool(np.all(np.abs(voxels - ramp(plane + first)) < TOLERANCE))


def judge(read: Callable[[Path], list[Volume]], folder: Path, expected: object) -> str:
    """Return the verdict on one reader and one series."""
    is_readable = isinstance(expected, Right)
    try:
        volumes = read(folder)
    except Exception:  # noqa: BLE001  readers raise whatever they like
        return "refused" if is_readable else "right"
    if not all(map(is_on_ramp, volumes)):
        return "wrong"
    if not is_readable:
        return "accepted"
    return "right" if sum(v[0].shape[2] for v in volumes) >= sum(expected.slices) else "part"


def guarded(read: Callable[[Path], list[Volume]], folder: Path, expected: object) -> str:
    """Return the verdict from a process with limits on memory and time."""
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_child, args=(theirs, read, folder, expected))
    process.start()
    theirs.close()
    try:
        return str(ours.recv()) if ours.poll(SECONDS) else "crash"
    except EOFError:
        return "crash"
    finally:
        process.kill()
        process.join()


def _child(
    pipe: Connection, read: Callable[[Path], list[Volume]], folder: Path, expected: object
) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    pipe.send(judge(read, folder, expected))


def verdicts() -> dict[str, dict[str, str]]:
    """Return the verdict of every installed reader on every series."""
    readers = {name: read for name, read in READERS.items() if is_installed(name)}
    found: dict[str, dict[str, str]] = {name: {} for name in readers}
    for name in readers:
        if name != "dcm2niix":
            importlib.import_module(_MODULES.get(name, name))  # Once, not in each process.
    importlib.import_module("volspine.dicom.reading")
    for case, (write, expected) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "series"
            write(path)
            for name, read in readers.items():
                found[name][case] = guarded(read, path, expected)
    return found


def table_of(found: dict[str, dict[str, str]]) -> Table:
    """Return the counts as a table."""
    total = len(next(iter(found.values())))
    table = Table(title=f"{total} difficult series")
    for heading in ("reader", *VERDICTS):
        table.add_column(heading, justify="left" if heading == "reader" else "right")
    for name, by_case in found.items():
        counts = Counter(by_case.values())
        table.add_row(name, *(str(counts[verdict]) for verdict in VERDICTS))
    return table


def main() -> None:
    """Judge all readers and show the table."""
    found: dict[str, Any] = verdicts()
    Console().print(table_of(found))
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
