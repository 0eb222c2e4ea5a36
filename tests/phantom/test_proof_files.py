"""Proof of the files: other readers find every voxel where the phantom says it is."""

import subprocess

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless

from volspine.anatomy import Protocol
from volspine.dicom.reading import read_study
from volspine.phantom.dicom import write_study
from volspine.phantom.spec import Cohort, Header, Size, Spec
from volspine.phantom.study import acquire_study, outline_study, study_of

TOLERANCE_MM = 0.05


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((Size.SMALL, Header.RSNA), id="small-rsna"),
        pytest.param((Size.SMALL, Header.FULL), id="small-full"),
        pytest.param((Size.FULL, Header.RSNA), id="full-rsna", marks=pytest.mark.slow),
    ],
)
def written(request, tmp_path_factory):
    """A clean study, as acquired and as files; the large one has a block of axial slices."""
    size, header = request.param
    specs = (
        Spec(seed=7, index=n, cohort=Cohort.CLEAN, header=header, size=size) for n in range(40)
    )
    spec = next(s for s in specs if size is Size.SMALL or is_block(outline_study(s)))
    made = acquire_study(spec)
    folder = tmp_path_factory.mktemp("files") / "study"
    write_study(made, folder)
    return made, folder


def is_block(made):
    return len(set(made.plan.series[-1].stacks)) == 1


def single_blocks(made):
    return [s for s in study_of(made).series if len(s.stacks) == 1]


@pytest.mark.parametrize(
    ("shift", "slope", "compress"),
    [
        pytest.param(0, 1.0, False, id="plain"),
        pytest.param(0, 1.0, True, id="rle"),
        pytest.param(1024, 1.0, False, id="signed"),
        pytest.param(1024, 0.25, True, id="signed-scaled-rle"),
    ],
)
def test_stored_pixels_are_read_exactly(written, tmp_path, shift, slope, compress):
    made, folder = written
    path = next(iter(sorted(folder.glob("*"))))
    for file in path.iterdir():
        data = pydicom.dcmread(file)
        stored = data.pixel_array.astype(np.int16) - np.int16(shift)
        data.PixelData, data.PixelRepresentation = stored.tobytes(), int(shift > 0)
        data.BitsStored, data.HighBit = 16, 15
        data.RescaleSlope, data.RescaleIntercept = slope, shift * slope
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        if compress:
            data.compress(RLELossless)
        data.save_as(tmp_path / file.name)
    original = next(s for s in study_of(made).series if s.name == path.name)
    (series,) = read_study(tmp_path).series
    for there, here in zip(series.stacks, original.stacks, strict=True):
        assert (there.voxels == here.voxels * np.float32(slope)).all()


def some_voxels(stack, count=200):
    """Indices of voxels and where they lie, by each slice's own origin."""
    rng = np.random.default_rng(0)
    index = np.stack([rng.integers(0, side, count) for side in stack.shape], axis=1)
    across = index[:, :2] @ stack.affine_lps[:3, :2].T
    return index, stack.slice_origins_mm[index[:, 2]] + across


def as_classic(folder, out):
    """The same files as objects of the classic class: GDCM seeks places elsewhere in enhanced ones.

    The stripped profile names the enhanced class, as the challenge's files do.
    """
    for path in sorted(folder.glob("*/*.dcm")):
        data = pydicom.dcmread(path)
        data.file_meta.MediaStorageSOPClassUID = MRImageStorage
        target = out / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        data.save_as(target)
    return out


def test_simpleitk_finds_every_voxel_of_a_block_where_it_is(written, tmp_path):
    made, folder = written
    folder = as_classic(folder, tmp_path)
    blocks = single_blocks(made)
    assert {s.protocol for s in blocks} >= {Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2}
    for series in blocks:
        reader = SimpleITK.ImageSeriesReader()
        files = reader.GetGDCMSeriesFileNames(str(folder / series.name))
        reader.SetFileNames(files)
        image = reader.Execute()
        stack = series.stacks[0]
        index, places = some_voxels(stack)
        for ijk, place in zip(index, places, strict=True):
            there = image.TransformPhysicalPointToContinuousIndex(place.tolist())
            slip = (np.array(there) - np.rint(there)) * image.GetSpacing()
            assert np.linalg.norm(slip) < TOLERANCE_MM
            value = image[tuple(int(n) for n in np.rint(there))]
            assert value == stack.voxels[tuple(ijk)]


def test_dcm2niix_finds_every_voxel_of_every_stack_where_it_is(written, tmp_path):
    dcm2niix = pytest.importorskip("dcm2niix", reason="dcm2niix is not installed")
    made, folder = written
    for series in study_of(made).series:
        out = tmp_path / series.name
        out.mkdir()
        command = [dcm2niix.bin, "-b", "n", "-z", "n", "-m", "n", "-o", str(out)]
        subprocess.run([*command, str(folder / series.name)], check=True, capture_output=True)
        images = [nibabel.load(path) for path in sorted(out.glob("*.nii"))]
        assert len(images) == len(series.stacks)
        for stack in series.stacks:
            assert any(agrees(image, stack) for image in images)


def agrees(image, stack):
    """Whether a NIfTI image, whose millimetres are RAS, holds a stack's voxels in their places."""
    index, places = some_voxels(stack)
    back = np.linalg.inv(image.affine)
    there = (places * [-1.0, -1.0, 1.0]) @ back[:3, :3].T + back[:3, 3]
    whole = np.rint(there).astype(int)
    if (whole < 0).any() or (whole >= image.shape[:3]).any():
        return False
    slip = np.linalg.norm((there - whole) @ image.affine[:3, :3].T, axis=1)
    values = np.asarray(image.dataobj)[tuple(whole.T)]
    return slip.max() < TOLERANCE_MM and (values == stack.voxels[tuple(index.T)]).all()
