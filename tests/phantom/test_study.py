"""The study in memory equals the study read back from its files."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.reading import read_study
from volspine.phantom.dicom import write_study
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study, render_study


@pytest.mark.parametrize("index", [0, 1])
def test_the_study_in_memory_is_the_study_on_disk(tmp_path, index):
    spec = Spec(seed=6, index=index, cohort=Cohort.PROBE, size=Size.SMALL)
    write_study(acquire_study(spec), tmp_path / spec.study_id)
    there, here = read_study(tmp_path / spec.study_id), render_study(spec)
    assert not there.faults
    assert [s.protocol for s in there.series] == [s.protocol for s in here.series]
    for read, made in zip(there.series, here.series, strict=True):
        assert len(read.stacks) == len(made.stacks)
        for a, b in zip(read.stacks, made.stacks, strict=True):
            assert a.affine_lps == pytest.approx(b.affine_lps, abs=1e-6)
            assert a.slice_origins_mm == pytest.approx(b.slice_origins_mm, abs=1e-6)
            assert (a.voxels == b.voxels).all()


def test_slices_grow_towards_the_left_and_the_head():
    study = render_study(Spec(seed=6, cohort=Cohort.CLEAN, size=Size.SMALL))
    for series in study.series:
        axis = 2 if series.protocol is Protocol.AXIAL_T2 else 0
        for stack in series.stacks:
            assert stack.affine_lps[axis, 2] > 0


def test_the_canals_landmark_is_in_bright_fluid_on_t2():
    spec = Spec(seed=6, index=3, cohort=Cohort.CLEAN, size=Size.SMALL)
    made, study = acquire_study(spec), render_study(spec)
    stack = study.by_protocol(Protocol.SAGITTAL_T2)[0].stacks[0]
    inverse = np.linalg.inv(stack.affine_lps)
    wide = [n for n in range(5) if made.truth.measures[n] > 0.7]
    for point in made.landmarks_mm[wide]:
        i, j, k = np.rint(inverse[:3, :3] @ point + inverse[:3, 3]).astype(int)
        around = stack.voxels[i - 1 : i + 2, j - 1 : j + 2, k]
        assert around.max() > np.percentile(stack.voxels, 90)
