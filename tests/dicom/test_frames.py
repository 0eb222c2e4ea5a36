"""Frames: run-length encoded words are those that pydicom decodes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import RLELossless

from tests.dicom.series_factory import make_slice, save, set_pixels
from volspine.dicom.files import DiskFile
from volspine.dicom.frames import read_frames
from volspine.dicom.instance import read_instances
from volspine.dicom.limits import DEFAULT_LIMITS
from volspine.dicom.parse import read_header


def frames_of(path):
    header = read_header(DiskFile(str(path), path.name, path.stat().st_size), DEFAULT_LIMITS)
    return read_frames(read_instances(header, DEFAULT_LIMITS), DEFAULT_LIMITS)


@pytest.mark.parametrize("kind", ["u1", "<u2", "<i2", "<u4", "<i4"])
@given(seed=st.integers(0, 2**31), rows=st.integers(1, 20), columns=st.integers(1, 300))
def test_run_length_decoding_equals_pydicoms(kind, seed, rows, columns, tmp_path):
    rng = np.random.default_rng(seed)
    dtype = np.dtype(kind)
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max, (rows, columns), dtype, endpoint=True)
    values[rng.random(values.shape) < 0.5] = values[0, 0]  # Runs as well as literal bytes.
    ds = make_slice((0, 0, 0), rows=rows, columns=columns)
    ds.BitsAllocated = ds.BitsStored = 8 * dtype.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, int(dtype.kind == "i")
    path = save(set_pixels(ds, values), tmp_path / "1.dcm", RLELossless)
    (found,) = frames_of(path)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(found, dcmread(path).pixel_array)
