"""Frames: run-length encoded words are those that pydicom decodes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, RLELossless

from tests.dicom.series_factory import make_slice, save, set_pixels
from volspine.dicom.files import DiskFile
from volspine.dicom.frames import read_frames
from volspine.dicom.instance import read_instances
from volspine.dicom.limits import DEFAULT_LIMITS
from volspine.dicom.parse import read_header
from volspine.errors import MissingExtraError, PixelError


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


def packed(tmp_path, **options):
    """A slice in run lengths, in fragments of one's own choice; its path and its pixels."""
    path = save(make_slice((0, 0, 0), rows=64, columns=50), tmp_path / "1.dcm", RLELossless)
    ds = dcmread(path)
    (data,) = generate_frames(ds.PixelData, number_of_frames=1)
    ds.PixelData = encapsulate([data], **options)
    ds.save_as(path)
    return path, ds.pixel_array


@pytest.mark.parametrize("options", [{"has_bot": False}, {"has_bot": True}, {
    "fragments_per_frame": 5}, {"fragments_per_frame": 5, "has_bot": False}])  # fmt: skip
def test_a_slice_in_one_fragment_or_in_five_is_the_same(options, tmp_path):
    path, expected = packed(tmp_path, **options)
    np.testing.assert_array_equal(frames_of(path)[0], expected)


@pytest.mark.parametrize("end", [8, 7, 4, 1])
def test_a_slice_without_the_end_of_its_sequence_is_read_or_refused(end, tmp_path):
    path, expected = packed(tmp_path)
    path.write_bytes(path.read_bytes()[:-end])
    try:
        (found,) = frames_of(path)
    except PixelError:
        return
    np.testing.assert_array_equal(found, expected)


def test_a_fragment_that_leads_out_of_its_file_is_an_error(tmp_path):
    path, _ = packed(tmp_path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(PixelError, match="damaged"):
        raise_first(frames_of(path))


def raise_first(frames):
    raise frames[0] if isinstance(frames[0], PixelError) else AssertionError(frames)


HIGH_THROUGHPUT = UID("1.2.840.10008.1.2.4.201")


def in_jpeg_2000(path, syntax):
    """A slice in JPEG 2000 under the name of some syntax; its pixels."""
    ds = make_slice((0, 0, 0), rows=64, columns=50)
    ds = dcmread(save(ds, path))
    expected = ds.pixel_array.copy()
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path)
    return expected


def test_high_throughput_jpeg_2000_is_decoded_where_its_codec_is(tmp_path):
    pytest.importorskip("openjpeg")
    expected = in_jpeg_2000(tmp_path / "1.dcm", HIGH_THROUGHPUT)
    np.testing.assert_array_equal(frames_of(tmp_path / "1.dcm")[0], expected)


@pytest.mark.parametrize("syntax", [HIGH_THROUGHPUT, JPEGLosslessSV1, JPEG2000Lossless])
def test_without_its_codec_a_syntax_names_the_extra_that_has_it(syntax, tmp_path, monkeypatch):
    pytest.importorskip("openjpeg")
    in_jpeg_2000(tmp_path / "1.dcm", syntax)
    none = SimpleNamespace(is_available=False)
    monkeypatch.setattr("volspine.dicom.frames.get_decoder", lambda _: none)
    with pytest.raises(MissingExtraError, match="no codec is installed") as caught:
        frames_of(tmp_path / "1.dcm")
    assert "volspine[codecs]" in caught.value.remedy
