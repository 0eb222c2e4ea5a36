"""The study in memory equals the study read back from its files."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.reading import read_study
from volspine.phantom.acquire import acquire
from volspine.phantom.dicom import write_study
from volspine.phantom.plan import draw_plan
from volspine.phantom.render import render_labels, render_series
from volspine.phantom.spec import Cohort, Header, Size, Spec, Stage
from volspine.phantom.study import acquire_study, render_study
from volspine.phantom.tissues import Tissue
from volspine.phantom.truth import build_truth


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


SAC = (Tissue.CSF, Tissue.ROOT, Tissue.CORD)


@pytest.mark.slow
@pytest.mark.parametrize("index", range(2))
def test_a_canals_landmark_lies_in_the_sac_however_the_shift_looks(index):
    spec = Spec(seed=6, index=index, cohort=Cohort.SHIFT, size=Size.SMALL)
    made, study = acquire_study(spec), render_study(spec)
    number = next(n for n, s in enumerate(made.plan.series) if s.protocol is Protocol.SAGITTAL_T2)
    labels = render_labels(made.truth.anatomy, made.plan.series[number])
    inverse = np.linalg.inv(study.by_protocol(Protocol.SAGITTAL_T2)[0].stacks[0].affine_lps)
    order = np.argsort(made.plan.series[number].centres_mm[:, 0])
    for point in made.landmarks_mm[:5]:
        i, j, k = np.rint(inverse[:3, :3] @ point + inverse[:3, 3]).astype(int)
        assert np.isin(labels[order[k], j - 1 : j + 2, i - 1 : i + 2], SAC).any()


def brightness(spec):
    """Log ratio of fluid to marrow in one stored slice of the T2."""
    anatomy = build_truth(spec).anatomy
    plan = next(s for s in draw_plan(spec, anatomy).series if s.protocol is Protocol.SAGITTAL_T2)
    middle = replace(plan, centres_mm=plan.centres_mm[4:5], tilts=np.zeros(1), stacks=(0,))
    stored = acquire(render_series(anatomy, [middle])[0], middle, spec.stream(Stage.NOISE))
    labels = render_labels(anatomy, middle)
    return np.log(stored[labels == Tissue.CSF].mean() / stored[labels == Tissue.MARROW].mean())


@pytest.mark.slow
def test_two_studies_of_the_shift_differ_more_in_contrast_than_two_of_the_plain_cohort():
    plain, shift = (
        np.std([brightness(Spec(6, n, cohort, size=Size.SMALL)) for n in range(10)])
        for cohort in (Cohort.CLEAN, Cohort.SHIFT)
    )
    assert shift > 1.5 * plain


def test_headers_change_neither_pixels_nor_places():
    plain, full = (acquire_study(Spec(6, 2, header=h, size=Size.SMALL)) for h in Header)
    assert (plain.landmarks_mm == full.landmarks_mm).all()
    assert all((a == b).all() for a, b in zip(plain.pixels, full.pixels, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("missing", list(Protocol)[:3])
def test_a_study_without_a_protocol_can_be_acquired(missing, monkeypatch):
    spec = Spec(seed=6, index=1, size=Size.SMALL)

    def fewer(spec, anatomy):
        plan = draw_plan(spec, anatomy)
        return replace(plan, series=tuple(s for s in plan.series if s.protocol is not missing))

    monkeypatch.setattr("volspine.phantom.study.draw_plan", fewer)
    made = acquire_study(spec)
    assert len(made.pixels) == 2
    assert missing not in {s.protocol for s in render_study(spec).series}
    assert made.labels.shape == (25,)
