"""Reading a series as the challenge stores it: against pydicom, file by file.

Headers: `read_study` makes a study of 60 files, pydicom only parses them. Pixels: 30 slices of
512 x 512 that are run-length encoded, decoded and rescaled by `Stack.voxels`, against
`pixel_array` as it is with our requirements installed, and as it is with pydicom alone.
Scan: the whole command on a study of 300 files, against a new interpreter in which pydicom parses
them; its CPU time, which others on the machine stretch less than the clock, is said beside.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless
from timing import Row, compare

from volspine.dicom.reading import read_study

__all__ = ["rows"]

_SIZE, _SCANNED = 512, 300
_PARSE = (
    "import pathlib, sys, pydicom\nfor p in pathlib.Path(sys.argv[1]).iterdir(): pydicom.dcmread(p)"
)


def _write(folder: Path, count: int, size: int) -> list[Path]:
    rng = np.random.default_rng(0)
    return [_slice(folder / f"{n}.dcm", n, _picture(rng, size, n)) for n in range(count)]


def _picture(rng: np.random.Generator, size: int, number: int) -> np.ndarray:
    """Air around a smooth, noisy body, as in a slice of the spine."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = (x**2 + (0.9 * y) ** 2 < 0.8) * (900 + 250 * np.sin(9 * x + number) * np.cos(7 * y))
    return np.asarray(np.maximum(body + (body > 0) * rng.normal(0, 20, body.shape), 0), dtype="<u2")


def _slice(path: Path, number: int, picture: np.ndarray) -> Path:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, f"1.2.3.4.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = "1.2.3", "1.2.3.4", "benchmark"
    ds.SeriesDescription, ds.InstanceNumber = "SAG T2", number
    ds.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    ds.ImagePositionPatient = [4 * number, -100, 100]
    ds.PixelSpacing, ds.SliceThickness = [0.5, 0.5], 4
    ds.Rows, ds.Columns = picture.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PixelData = picture.tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.compress(RLELossless, generate_instance_uid=False)
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def _voxels(folder: Path) -> np.ndarray:
    return read_study(folder).series[0].stacks[0].voxels


def _pixel_arrays(paths: list[Path]) -> np.ndarray:
    return np.stack([dcmread(path).pixel_array for path in paths])


def rows() -> list[Row]:
    """Compare the headers, then the pixels."""
    with tempfile.TemporaryDirectory() as temporary:
        headers, pixels = Path(temporary) / "headers", Path(temporary) / "pixels"
        whole = Path(temporary) / "whole"
        for folder in (headers, pixels, whole):
            folder.mkdir()
        small, large = _write(headers, 60, 32), _write(pixels, 30, _SIZE)
        _write(whole, _SCANNED, 32)
        return [_headers(headers, small), *_decoding(pixels, large), _scan(whole)]


def _headers(folder: Path, paths: list[Path]) -> Row:
    if read_study(folder).series[0].stacks[0].shape[2] != len(paths):
        raise AssertionError("a slice is missing")
    return compare(
        "headers of 60 files",
        ("read_study", lambda: read_study(folder)),
        ("pydicom's dcmread", lambda: [dcmread(path, stop_before_pixels=True) for path in paths]),
        agreement="same files",
    )


def _decoding(folder: Path, paths: list[Path]) -> list[Row]:
    if not np.array_equal(_voxels(folder), _pixel_arrays(paths).transpose(2, 1, 0)):
        raise AssertionError("the decoders disagree")
    name = f"30 slices of {_SIZE} x {_SIZE}, run-length encoded, CPU"
    ours = ("read_study and voxels", lambda: _voxels(folder))
    usual = ("pixel_array", lambda: _pixel_arrays(paths))
    bare = ("pixel_array without pylibjpeg", lambda: _with("pydicom", paths))
    return [
        compare(name, ours, usual, agreement="equal", clock=time.process_time),
        compare(name, ours, bare, agreement="equal", clock=time.process_time, rounds=3),
    ]


def _scan(folder: Path) -> Row:
    command = [sys.executable, "-m", "volspine", "scan", str(folder), "--json"]
    before = os.times()
    found = subprocess.run(command, check=True, capture_output=True).stdout
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])  # Of children: user and system.
    (study,) = json.loads(found)["studies"]
    slices = sum(s["shape"][2] for one in study["series"] for s in one["stacks"])
    if slices != _SCANNED:
        raise AssertionError(f"{slices} slices of {_SCANNED} were found")
    return compare(
        f"scan of {_SCANNED} files",
        ("volspine scan", lambda: subprocess.run(command, check=True, capture_output=True)),
        ("a process of pydicom", lambda: subprocess.run(
            [sys.executable, "-c", _PARSE, str(folder)], check=True)),
        agreement=f"every slice found, {spent:.2f} s of CPU", rounds=5,
    )  # fmt: skip


def _with(plugin: str, paths: list[Path]) -> list[np.ndarray]:
    found = []
    for path in paths:
        ds = dcmread(path)
        ds.pixel_array_options(decoding_plugin=plugin)
        found.append(ds.pixel_array)
    return found
