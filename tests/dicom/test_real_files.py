"""Real files: every transfer syntax gives the same pixels, dirty bits are masked, frames placed."""

import numpy as np
import pytest
from pydicom import dcmread

from volspine.dicom.files import DiskFile
from volspine.dicom.frames import read_frames
from volspine.dicom.instance import Acquisition, Instance
from volspine.dicom.layout import read_layout
from volspine.dicom.limits import DEFAULT_LIMITS
from volspine.dicom.parse import read_header
from volspine.dicom.pixels import stored_values
from volspine.dicom.reading import read_study


def values_of(path):
    """Stored values of a file that is no slice (a mosaic), so that no geometry is asked of it."""
    file = DiskFile(str(path), path.name, path.stat().st_size)
    header = read_header(file, DEFAULT_LIMITS)
    layout = read_layout(header, DEFAULT_LIMITS)
    nowhere = {"origin_mm": (0.0, 0.0, 0.0), "directions": np.eye(3)[:2], "spacing_mm": (1.0, 1.0)}
    nobody = dict.fromkeys(("study_uid", "series_uid", "sop_uid", "frame_of_reference"), "")
    instance = Instance(
        header=header, layout=layout, frame=0, number=None, slope=1.0, intercept=0.0,
        acquisition=Acquisition(), **nowhere, **nobody,
    )  # fmt: skip
    (raw,) = read_frames([instance], DEFAULT_LIMITS)
    return stored_values(raw, layout).astype(int)


@pytest.mark.parametrize("number", range(1, 10))
def test_nine_transfer_syntaxes_of_one_image_give_the_same_pixels(number, testdata):
    pytest.importorskip("openjpeg")
    pytest.importorskip("jpeg_ls")
    folder = testdata / "mr_dcm_qa_ts" / "In"
    expected = dcmread(folder / "1.dcm").pixel_array
    np.testing.assert_array_equal(values_of(folder / f"{number}.dcm"), expected)


def test_dirty_bits_are_masked_and_the_sign_is_in_bit_eleven(testdata):
    folder = testdata / "mr_dcm_qa_12bit" / "In"
    clean = values_of(folder / "12bitUnsigned.dcm")
    unsigned = values_of(folder / "12bitUnsigned_0x0F0F.dcm")
    signed = values_of(folder / "12bitSigned_0x0F0F.dcm")
    assert clean.max() <= 4095
    # As documented beside the files: stripes of 0x0F0F and 0xFFFF.
    assert {3855, 4095} <= set(np.unique(unsigned))
    assert {-241, -1} <= set(np.unique(signed))
    assert unsigned.max() == 4095


def test_an_enhanced_file_lies_where_its_functional_groups_say(testdata):
    folder = testdata / "dicom2nifti_mr" / "philips_enhanced"
    (path,) = folder.rglob("*.dcm")
    ds = dcmread(path)
    (series,) = read_study(folder).series
    (stack,) = series.stacks
    groups = ds.PerFrameFunctionalGroupsSequence
    for k, source in enumerate(series.instances[0]):
        group = groups[source.frame_number - 1]
        position = group.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(stack.slice_origins_mm[k], position, atol=1e-9)
        slope = group.PixelValueTransformationSequence[0].RescaleSlope
        frame = ds.pixel_array[source.frame_number - 1]
        np.testing.assert_allclose(stack.voxels[:, :, k], frame.T * float(slope), rtol=1e-5)
