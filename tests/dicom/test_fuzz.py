"""Damaged bytes: a study or a VolspineError, quickly, and nothing else."""

import contextlib
import random
import time

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from tests.dicom.series_factory import SAGITTAL, enhanced, normal, save, save_all, series
from volspine.dicom.reading import read_study
from volspine.errors import VolspineError


def originals(folder):
    """The bytes of a few series, by transfer syntax and kind of file."""
    for syntax in (RLELossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        save_all(series(4), folder, syntax)
        yield [path.read_bytes() for path in sorted(folder.iterdir())]
    places = [np.array([-28.0, -20, 30]) + 4.0 * k * normal(SAGITTAL) for k in range(5)]
    for syntax in (RLELossless, ExplicitVRLittleEndian):
        path = save(enhanced(places, [SAGITTAL] * 5), folder / "frames.dcm", syntax)
        yield [path.read_bytes()]


def damage(data, rng):
    """Change, remove, cut or insert bytes, anywhere after the preamble."""
    at = rng.randrange(132, len(data))
    kind = rng.random()
    if kind < 0.6:
        data[at] = rng.randrange(256)
    elif kind < 0.8:
        del data[at : at + rng.choice([1, 2, 4, 8])]
    elif kind < 0.9:
        del data[at:]
    else:
        data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 2, 4])))


def read_damaged(folder, files, rng):
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for n, data in enumerate(files):
        (folder / f"{n}.dcm").write_bytes(data)
    with contextlib.suppress(VolspineError):
        study = read_study(folder, strict=rng.random() < 0.3)
        for stack in (stack for found in study.series for stack in found.stacks):
            assert stack.voxels.shape == stack.shape
            assert np.all(np.isfinite(stack.affine_lps))


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [(1, 40), pytest.param(2, 1500, marks=pytest.mark.slow)],
)
def test_damaged_files_give_a_study_or_one_of_our_errors_within_seconds(seed, rounds, tmp_path):
    rng = random.Random(seed)
    bases = list(originals(tmp_path / "originals"))
    for _ in range(rounds):
        files = [bytearray(data) for data in rng.choice(bases)]
        broken = rng.choice(files)
        for _ in range(rng.choice([1, 1, 2, 8])):
            if len(broken) > 140:
                damage(broken, rng)
        started = time.monotonic()
        read_damaged(tmp_path / "damaged", files, rng)
        assert time.monotonic() - started < 5
