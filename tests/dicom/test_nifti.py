"""NIfTI: the affine decides which side is which, never the order of the array."""

import gzip
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from tests.dicom.series_factory import largest_affine_error, ramp
from volspine.anatomy import Protocol
from volspine.dicom.reading import read_study
from volspine.errors import (
    GeometryError,
    InputError,
    LimitError,
    NoUsableSeriesError,
    PixelError,
    VolspineError,
)

SHAPE = (12, 40, 50)


def ramp_image(affine_ras, shape=SHAPE, dtype=np.float32):
    """A volume whose voxels hold the ramp of their LPS place."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    ras = index @ affine_ras[:3, :3].T + affine_ras[:3, 3]
    return nib.Nifti1Image(ramp(ras * [-1, -1, 1]).astype(dtype), affine_ras)


def orientations():
    for order in permutations(range(3)):
        for signs in product((-1.0, 1.0), repeat=3):
            affine = np.eye(4)
            affine[:3, :3] = np.diag([4.0, 1.0, 0.9])[:, list(order)] * np.array(signs)
            affine[:3, 3] = [20, -30, 11]
            yield affine, tuple(SHAPE[axis] for axis in order)


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)
    return path


def stack_of(path, **options):
    (series,) = read_study(path, **options).series
    return series.stacks[0]


def test_every_voxel_keeps_its_place_in_all_48_orientations(tmp_path):
    for n, (affine, shape) in enumerate(orientations()):
        path = save(ramp_image(affine, shape), tmp_path / f"{n}.nii")
        stack = stack_of(path, protocol="sagittal_t2")
        assert largest_affine_error(stack) < 0.01
        assert stack.shape == (40, 50, 12)
        assert stack.plane == "sagittal"


def test_what_lies_on_the_right_in_ras_is_found_at_negative_x(tmp_path):
    # RAS: index 11 along the first axis is at x = -20 + 11 * 4 = +24, the patient's right.
    values = np.zeros(SHAPE, np.float32)
    values[11, 20, 30] = 5
    affine = np.diag([4.0, 1.0, 0.9, 1.0])
    affine[:3, 3] = [-20, 0, 0]
    stack = stack_of(
        save(nib.Nifti1Image(values, affine), tmp_path / "a.nii"), protocol="sagittal_t1"
    )
    place = stack.affine_lps @ [*np.unravel_index(int(stack.voxels.argmax()), stack.shape), 1]
    np.testing.assert_allclose(place, [-24, -20, 27, 1], atol=1e-5)
    assert np.unravel_index(int(stack.voxels.argmax()), stack.shape)[2] == 0  # Rightmost slice.


def test_axial_protocol_makes_axial_slices(tmp_path):
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    path = save(ramp_image(affine, (30, 40, 9)), tmp_path / "x.nii.gz")
    stack = stack_of(path, protocol=Protocol.AXIAL_T2)
    assert stack.plane == "axial"
    assert stack.shape == (30, 40, 9)
    assert stack.affine_lps[:3, :3].diagonal().tolist() == [1, 1, 4]


def test_file_names_in_a_folder_say_the_protocols(tmp_path):
    affine = np.diag([4.0, 1.0, 1.0, 1.0])
    for name in ("sagittal_t1.nii.gz", "sag_T2.nii", "ax_t2_tse.nii.gz"):
        save(ramp_image(affine), tmp_path / "s" / name)
    study = read_study(tmp_path / "s")
    assert [series.protocol for series in study.series] == [
        Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2,
    ]  # fmt: skip
    assert len(study.name) == 16


def test_the_plane_of_an_unnamed_volume_is_that_of_its_thick_slices(tmp_path):
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    study = read_study(save(ramp_image(affine, (30, 40, 9)), tmp_path / "t2.nii"))
    assert study.series[0].protocol is Protocol.AXIAL_T2
    assert "voxel size" in study.series[0].reason


def test_the_name_follows_the_bytes_and_not_the_path(tmp_path):
    image = ramp_image(np.diag([4.0, 1.0, 1.0, 1.0]))
    first = read_study(save(image, tmp_path / "sag_t1.nii"))
    second = read_study(save(image, tmp_path / "elsewhere" / "t1_sag_b.nii"))
    assert first.name == second.name


def test_without_orientation_it_is_refused(tmp_path):
    image = nib.Nifti1Image(np.zeros(SHAPE, np.float32), None)
    image.header.set_sform(None, code=0)
    image.header.set_qform(None, code=0)
    path = tmp_path / "sag_t1.nii"
    path.write_bytes(image.to_bytes())
    with pytest.raises(GeometryError, match="neither sform nor qform"):
        read_study(path)


def test_forms_that_disagree_about_left_and_right_are_refused(tmp_path):
    image = ramp_image(np.diag([4.0, 1.0, 1.0, 1.0]))
    image.set_qform(np.diag([-4.0, 1.0, 1.0, 1.0]), code=1)
    image.set_sform(np.diag([4.0, 1.0, 1.0, 1.0]), code=1)
    with pytest.raises(GeometryError, match="left and right"):
        read_study(save(image, tmp_path / "sag_t1.nii"))


@pytest.mark.parametrize("shape", [(12, 40, 50, 3), (2, 40, 50), (40, 50)])
def test_what_is_no_volume_is_refused(shape, tmp_path):
    image = nib.Nifti1Image(np.zeros(shape, np.float32), np.diag([4.0, 1.0, 1.0, 1.0]))
    with pytest.raises(NoUsableSeriesError):
        read_study(save(image, tmp_path / "sag_t1.nii"))


def test_a_size_that_wraps_around_in_64_bits_is_beyond_the_limits(tmp_path):
    header = nib.Nifti2Header()
    header.set_data_dtype(np.uint8)
    header["dim"] = [3, 2**22, 2**21, 2**21, 1, 1, 1, 1]  # 2 ** 64 voxels
    header.set_sform(np.diag([1.0, 1.0, 4.0, 1.0]), code=1)
    header["vox_offset"] = 544
    path = tmp_path / "sag_t1.nii"
    path.write_bytes(header.binaryblock + bytes(100))
    with pytest.raises(LimitError):
        read_study(path)


def test_scaling_is_applied_and_holes_are_filled_and_said(tmp_path):
    values = np.full(SHAPE, 2.0, np.float32)
    values[0, 0, 0] = np.nan
    image = nib.Nifti1Image(values, np.diag([4.0, 1.0, 1.0, 1.0]))
    (series,) = read_study(save(image, tmp_path / "sag_t1.nii")).series
    assert set(np.unique(series.stacks[0].voxels)) == {0.0, 2.0}
    assert "1 voxels that were not finite" in series.repairs[0]


def test_a_volume_cut_short_is_a_pixel_error(tmp_path):
    path = save(ramp_image(np.diag([4.0, 1.0, 1.0, 1.0])), tmp_path / "sag_t1.nii")
    path.write_bytes(path.read_bytes()[:-1000])
    stack = stack_of(path)
    with pytest.raises(PixelError, match="cut short"):
        _ = stack.voxels


# Named cases: pytest would name them by their bytes, and parallel workers must agree on names.
@pytest.mark.parametrize(
    "content",
    [b"", b"no volume at all" * 40, gzip.compress(b"x" * 900, mtime=0)],
    ids=["empty", "text", "gzipped text"],
)
def test_a_file_that_only_calls_itself_nifti_is_an_input_error(content, tmp_path):
    path = tmp_path / "sag_t1.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError):
        read_study(path)


def test_an_unreadable_volume_is_a_fault_beside_a_readable_one(tmp_path):
    save(ramp_image(np.diag([4.0, 1.0, 1.0, 1.0])), tmp_path / "sag_t1.nii")
    (tmp_path / "sag_t2.nii").write_bytes(b"nothing")
    study = read_study(tmp_path)
    assert [fault.path for fault in study.faults] == ["sag_t2.nii"]
    with pytest.raises(VolspineError):
        read_study(tmp_path, strict=True)


def test_a_real_volume_lies_as_nibabel_says(testdata):
    path = testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz"
    image = nib.load(path)
    stack = stack_of(path, protocol="sagittal_t2")
    values = np.asarray(image.dataobj)
    rng = np.random.default_rng(0)
    for index in rng.integers(0, stack.shape, (50, 3)):
        lps = stack.affine_lps @ [*index, 1]
        there = np.linalg.inv(image.affine) @ (lps * [-1, -1, 1, 1])
        i, j, k = np.rint(there[:3]).astype(int)
        assert stack.voxels[tuple(index)] == pytest.approx(values[i, j, k])
