"""Damaged bytes: voxels on the ramp or a VolspineError, within seconds and a gigabyte.

Files of every kind are damaged as transfers, disks and careless programs do: bytes change, vanish
or appear, files end early, elements lose their tag, type or length. What cannot be told from a
good file is left out of the ramp's judgement: the digits of positions and the pixels themselves.
"""

import io
import os
import resource
import secrets
import struct
import sys
import time
import zipfile
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom.cases import TOLERANCE, notes, stacks
from tests.dicom.series_factory import (
    SAGITTAL,
    enhanced,
    largest_error,
    normal,
    pixels,
    save_all,
    series,
    set_pixels,
)
from volspine.dicom.reading import read_study
from volspine.errors import VolspineError

SECONDS = 5.0
MEMORY_KB = 1 << 20
RANDOM_SEED = int(os.environ.get("VOLSPINE_FUZZ_SEED") or secrets.randbits(32))
LONG = ("OB", "OW", "OF", "OD", "SQ", "UN", "UT", "UC", "UR", "OL", "OV", "SV", "UV")
TYPES = ("DS", "IS", "US", "SS", "UL", "FD", "FL", "LO", "UN", "SQ", "OB", "OW", "zz")
DIGITS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
          "RescaleIntercept")  # fmt: skip
PIXELS = 0x7FE00010


class Place(NamedTuple):
    """Where an element starts, its value, and where it ends."""

    tag: int
    start: int
    value: int
    end: int


class Original(NamedTuple):
    """The files of a good series; of the first, its elements and the bytes that none can judge."""

    files: tuple
    places: tuple
    unjudged: tuple


def rescaled(slices):
    for ds in slices:
        ds.RescaleSlope, ds.RescaleIntercept = "0.5", "-1000"
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 15, 14, 1
        set_pixels(ds, ((pixels(ds).astype(int) + 1000) * 2 & 0x7FFF).astype("<u2"))
    return slices


def frames():
    places = [np.array([-28.0, -20, 30]) + 4.0 * k * normal(SAGITTAL) for k in range(5)]
    return [enhanced(places, [SAGITTAL] * 5, slopes=[0.5, 0.6, 0.7, 0.8, 0.9])]


def compressed(folder, syntax):
    for path in save_all(series(4, rows=32, columns=32), folder).iterdir():
        ds = dcmread(path)
        ds.compress(syntax, generate_instance_uid=False)
        ds.save_as(path)


KINDS = {
    "explicit": lambda folder: save_all(series(4), folder),
    "implicit": lambda folder: save_all(series(4), folder, ImplicitVRLittleEndian),
    "big-endian": lambda folder: save_all(series(4), folder, ExplicitVRBigEndian),
    "deflated": lambda folder: save_all(series(4), folder, DeflatedExplicitVRLittleEndian),
    "rle": lambda folder: save_all(series(4), folder, RLELossless),
    "rescaled": lambda folder: save_all(rescaled(series(4)), folder),
    "jpeg-2000": lambda folder: compressed(folder, JPEG2000Lossless),
    "jpeg-ls": lambda folder: compressed(folder, JPEGLSLossless),
    "enhanced": lambda folder: save_all(frames(), folder),
    "enhanced-rle": lambda folder: save_all(frames(), folder, RLELossless),
}


@cache
def originals(base):
    """Files of every kind, written once a process."""
    found = {}
    for kind, write in KINDS.items():
        write(base / kind)
        files = tuple(path.read_bytes() for path in sorted((base / kind).iterdir()))
        places = () if kind in ("big-endian", "deflated") else tuple(elements(files[0], kind))
        found[kind] = Original(files, places, tuple(unjudged(files[0], kind, places)))
    return found


def elements(data, kind):
    """Elements at the top of a little endian file, the file meta information included."""
    at, implicit = 132, False
    while at + 8 <= len(data):
        group, number = struct.unpack("<HH", data[at : at + 4])
        implicit = kind == "implicit" and group > 2
        vr = data[at + 4 : at + 6].decode("latin-1")
        if implicit or vr in LONG:
            value = at + (8 if implicit else 12)
            (length,) = struct.unpack("<I", data[value - 4 : value])
        else:
            value = at + 8
            (length,) = struct.unpack("<H", data[value - 2 : value])
        end = len(data) if length == 0xFFFFFFFF else value + length
        yield Place(group << 16 | number, at, value, end)
        at = end


def unjudged(data, kind, places):
    """Ranges of bytes whose every value makes a good file: pixels, and digits of numbers."""
    if not places:
        yield 132, len(data)
        return
    ds = dcmread(io.BytesIO(data))
    for place in places:
        if (
            place.tag == PIXELS
            or place.tag >> 16 == 0x5200
            or any(keyword in ds and ds[keyword].tag == place.tag for keyword in DIGITS)
        ):  # Functional groups hold digits.
            yield place.value, place.end


# Each kind of damage takes bytes and three numbers that say where and how.


def change(data, places, at, how, _):
    at = 132 + at % (len(data) - 132)
    data[at] = how % 256
    return at, at + 1


def flip(data, places, at, how, _):
    at = 132 + at % (len(data) - 132)
    data[at] ^= 1 << how % 8
    return at, at + 1


def remove(data, places, at, how, _):
    at = 132 + at % (len(data) - 132)
    del data[at : at + (1, 2, 4, 8)[how % 4]]
    return at, at + 1


def insert(data, places, at, how, _):
    at = 132 + at % (len(data) - 132)
    data[at:at] = how.to_bytes(4, "little")[: 1 + how % 4]
    return at, at + 1


def end_at_a_tag(data, places, at, how, _):
    place = places[at % len(places)] if places else Place(0, at % len(data), 0, len(data))
    cut = (place.start, place.value, (place.value + place.end) // 2)[how % 3]
    del data[cut:]
    return cut, cut


def delete_a_tag(data, places, at, _, __):
    if not places:
        return remove(data, places, at, 3, 0)
    place = places[at % len(places)]
    del data[place.start : place.end]
    return place.start, place.start


def exchange_a_type(data, places, at, how, _):
    if not places:
        return change(data, places, at, how, 0)
    place = places[at % len(places)]
    data[place.start + 4 : place.start + 6] = TYPES[how % len(TYPES)].encode()
    return place.start + 4, place.start + 6


def exchange_a_tag(data, places, at, how, _):
    if not places:
        return change(data, places, at, how, 0)
    place, other = places[at % len(places)], places[how % len(places)]
    data[place.start : place.start + 4] = struct.pack("<HH", other.tag >> 16, other.tag & 0xFFFF)
    return place.start, place.end


def exchange_a_length(data, places, at, how, more):
    if not places:
        return change(data, places, at, how, 0)
    place = places[at % len(places)]
    length = (0, 1, how % 4096, 0xFFFF, 0xFFFFFFFE, 0xFFFFFFFF)[more % 6]
    size = place.value - place.start
    data[place.value - (2 if size == 8 else 4) : place.value] = (
        struct.pack("<H", length & 0xFFFF) if size == 8 else struct.pack("<I", length)
    )
    return place.start, place.start + size


def repeat_a_tag(data, places, at, how, _):
    if not places:
        return insert(data, places, at, how, 0)
    place = places[at % len(places)]
    data[place.end : place.end] = data[place.start : place.end]
    return place.start, place.start


DAMAGE = (change, flip, flip, remove, insert, end_at_a_tag, delete_a_tag, exchange_a_type,
          exchange_a_tag, exchange_a_length, repeat_a_tag)  # fmt: skip

number = st.integers(0, 2**32 - 1)
damage = st.tuples(st.sampled_from(DAMAGE), number, number, number)
# One damage can be judged by the ramp, several cannot: most cases are of one.
damages = st.lists(damage, min_size=1, max_size=1) | st.lists(damage, min_size=1, max_size=3)


def damaged(original, steps):
    """Return damaged files, and whether the ramp can still be asked for."""
    data, is_judged = bytearray(original.files[0]), True
    for damage, at, how, more in steps:
        if len(data) <= 140:
            break
        # Places are right for the first damage only; later ones strike where they may.
        low, high = damage(data, original.places, at, how, more)
        is_judged &= not any(low < end and start < high for start, end in original.unjudged)
    return [bytes(data), *original.files[1:]], is_judged and len(steps) == 1


def check(path, *, strict, is_judged):
    """Read; every exception but a VolspineError fails the test by itself."""
    started = time.monotonic()
    try:
        study = read_study(path, strict=strict)
        found = [(stack, stack.voxels) for stack in stacks(study)]
    except VolspineError:
        found = []
    for stack, voxels in found:
        assert voxels.shape == stack.shape
        assert np.all(np.isfinite(voxels))
        assert np.all(np.isfinite(stack.affine_lps))
        if is_judged:
            assert largest_error(stack) < TOLERANCE or notes(study)
    assert time.monotonic() - started < SECONDS


def fresh(folder):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    return folder


def run(tmp_path_factory, tmp_path, *, number_of_cases, start):
    """Damage and read as many times; the seed stands in the output of a failure."""
    corpus = originals(tmp_path_factory.getbasetemp() / "corpus")
    sys.stdout.write(f"VOLSPINE_FUZZ_SEED={start}\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @seed(start)
    @settings(
        max_examples=number_of_cases,
        derandomize=False,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind=st.sampled_from(sorted(KINDS)), steps=damages, how=st.integers(0, 5))
    def one(kind, steps, how):
        files, is_judged = damaged(corpus[kind], steps)
        if how == 0:
            path = zipped(tmp_path / "damaged.zip", corpus[kind].files, steps)
            is_judged = True  # Checksums leave nothing that cannot be told from a good file.
        else:
            path = fresh(tmp_path / "damaged")
            for n, data in enumerate(files):
                (path / f"{n}.dcm").write_bytes(data)
        check(path, strict=how == 1, is_judged=is_judged)

    one()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY_KB


def zipped(path, files, steps):
    """An archive of good files, damaged as a whole."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, data in enumerate(files):
            archive.writestr(f"{n}.dcm", data)
    data = bytearray(bytes(132) + path.read_bytes())
    for damage, at, how, more in steps:
        if len(data) > 140:
            damage(data, (), at, how, more)
    path.write_bytes(data[132:])
    return path


def test_damaged_files_give_the_ramp_or_one_of_our_errors(tmp_path_factory, tmp_path):
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    run(tmp_path_factory, tmp_path, number_of_cases=100, start=20)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
@pytest.mark.parametrize("kind", ["fixed", "random"])
def test_many_damaged_files_give_the_ramp_or_one_of_our_errors(
    kind, chunk, tmp_path_factory, tmp_path
):
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    start = chunk + (1000 if kind == "fixed" else RANDOM_SEED)
    run(tmp_path_factory, tmp_path, number_of_cases=50, start=start)
