"""A study as a TorchIO subject."""

import numpy as np
import pytest
import torchio

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import NoUsableSeriesError
from volspine.geometry.stack import Stack
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_study
from volspine.volume.subject import voxelize


def study_with(*protocols):
    rng = np.random.default_rng(0)
    stack = Stack.from_array(rng.uniform(0, 9, (12, 10, 8)).astype(np.float32), np.eye(4))
    return Study("s", [Series(p.value, p.value, p, "", [stack]) for p in protocols])


GRID = Grid(spacing_mm=(1, 1, 1), shape=(6, 8, 20))


def test_a_subject_holds_the_protocols_there_are_and_a_mask_for_each():
    subject = voxelize(study_with(Protocol.SAGITTAL_T2, Protocol.AXIAL_T2), GRID)
    assert set(subject) == {"sagittal_t2", "sagittal_t2_mask", "axial_t2", "axial_t2_mask"}
    assert isinstance(subject["axial_t2"], torchio.ScalarImage)
    assert isinstance(subject["axial_t2_mask"], torchio.LabelMap)


def test_a_subject_holds_the_same_numbers_as_the_sampled_study_in_ras():
    study = study_with(Protocol.SAGITTAL_T1)
    sampled, subject = sample_study(study, GRID), voxelize(study, GRID)
    np.testing.assert_array_equal(subject["sagittal_t1"].data[0].numpy(), sampled.images[0])
    np.testing.assert_array_equal(subject["sagittal_t1_mask"].data[0].numpy(), sampled.masks[0])
    np.testing.assert_allclose(subject["sagittal_t1"].affine, sampled.grid.affine_ras)
    assert subject["sagittal_t1"].orientation == ("R", "A", "S")


def test_a_study_without_a_graded_series_is_refused():
    with pytest.raises(NoUsableSeriesError, match="no graded series reaches"):
        voxelize(study_with(Protocol.OTHER), GRID)
