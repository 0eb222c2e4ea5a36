"""What is kept from the model: pictures of nothing, and of other parts of the body."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import rotate

from tests.inference.made_up import make_study, spine
from volspine.anatomy import Protocol
from volspine.dicom.column import Column, clearest_column
from volspine.dicom.reading import read_study
from volspine.dicom.study import Series, Study
from volspine.errors import GeometryError, NoUsableSeriesError
from volspine.geometry.stack import Stack
from volspine.inference import screen
from volspine.inference.coverage import usable_part
from volspine.inference.predictor import Options, Predictor
from volspine.inference.screen import judge_spine, why_no_lumbar_spine, why_no_picture
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import render_study

T1, T2 = Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2

PIXELS, SLICES = 128, 15
Y, Z = np.meshgrid(np.arange(PIXELS) * 2 - 127.0, 127.0 - np.arange(PIXELS) * 2, indexing="ij")
"""Where pixels of a sagittal slice are: to the back, and to the head."""


def sagittal(image_at, *, noise=8.0):
    """A series of 2 mm pixels and 4 mm slices from a function of x."""
    affine = np.array([[0, 0, 4.0, -28], [2.0, 0, 0, -127], [0, -2.0, 0, 127], [0, 0, 0, 1]])
    slices = [image_at(x) for x in np.arange(SLICES) * 4.0 - 28]
    voxels = np.stack(slices, axis=-1) + np.random.default_rng(0).normal(0, noise, (1, 1, SLICES))
    voxels = voxels + np.random.default_rng(1).normal(0, noise, voxels.shape)
    return Stack.from_array(np.clip(voxels, 0, None).astype(np.float32), affine)


def head(x):
    """Scalp, skull, folded brain, a ventricle, and a neck with its canal below."""
    out = np.hypot(np.hypot(Z / 105, Y / 92), x / 75)
    image = np.where((Z < -60) & (np.abs(Y - 20) < 50), 300.0, 0.0)
    image[(Z < -60) & (np.abs(Y - 30) < 8)] = 800
    image[out < 1], image[out < 0.93] = 700, 60
    brain = 350 + 60 * np.sin(Y / 9) * np.sin(Z / 7)
    image[out < 0.88] = brain[out < 0.88]
    image[np.hypot(Z / 12, Y / 30) < 1] = 900
    return image


def knee(_):
    """Two cylinders of marrow in their cortex, cartilage between, a patella in front."""
    image = np.where(np.abs(Y) < 65, 250.0, 0.0)
    image[np.abs(np.abs(Y) - 62) < 4] = 900
    image[(np.abs(Y + 10) < 28) & (np.abs(Z) > 4)] = 690
    image[(np.abs(np.abs(Y + 10) - 29) < 2) & (np.abs(Z) > 4)] = 60
    image[(np.abs(Z) <= 4) & (np.abs(Y + 10) < 30)] = 400
    image[np.hypot(Z - 20, Y + 52) < 16] = 720
    return image


def ball(_):
    return np.where(np.hypot(Y, Z) < 90, 600.0, 0.0)


def series_of(stack, protocol=T2):
    return Series("a", "a", protocol, "made for a test", [stack])


def study_of(stack):
    return Study("study", [series_of(stack, T1), series_of(stack, T2)])


@pytest.mark.parametrize("image_at", [head, knee, ball], ids=lambda made: made.__name__)
def test_another_part_of_the_body_shows_no_lumbar_spine(image_at):
    why = why_no_lumbar_spine(study_of(sagittal(image_at)))
    assert why.startswith("no lumbar spine is seen in its sagittal series: ")


def lumbar_like(pitch_mm):
    stack = sagittal(lambda _: np.zeros_like(Y))
    made = spine(stack, is_t2=True, pitch_mm=pitch_mm)
    noise = np.random.default_rng(0).gamma(16, 25, stack.shape)
    return Stack.from_array((made * noise).astype(np.float32), stack.affine_lps)


@pytest.mark.parametrize("pitch_mm", [26, 30, 34, 40, 46])
def test_the_distance_of_discs_is_measured(pitch_mm):
    column = clearest_column(lumbar_like(pitch_mm), is_bright=True)
    assert column.period_mm == pytest.approx(pitch_mm, abs=2)
    assert column.is_lumbar
    assert why_no_lumbar_spine(Study("study", [series_of(lumbar_like(pitch_mm))])) is None


@pytest.mark.parametrize("pitch_mm", [14, 17, 20])
def test_vertebrae_as_near_to_one_another_as_in_a_neck_are_no_lumbar_spine(pitch_mm):
    why = why_no_lumbar_spine(Study("study", [series_of(lumbar_like(pitch_mm))]))
    assert "too short for a lumbar spine" in why
    column = clearest_column(lumbar_like(pitch_mm), is_bright=True)
    assert column.period_mm == pytest.approx(pitch_mm, abs=2)


@pytest.mark.parametrize(
    ("band", "repeat", "is_refused", "is_doubted"),
    [
        (0.4, 0.9, False, False),
        (0.33, 0.28, False, True),  # A real lumbar spine, turned by 15 degrees.
        (0.06, 0.9, True, False),  # A head has no band.
        (0.4, 0.1, True, False),
    ],
)
def test_between_clear_and_refused_a_study_is_doubted(
    monkeypatch, band, repeat, is_refused, is_doubted
):
    column = Column(band, repeat, 34.0)
    monkeypatch.setattr(screen, "clearest_column", lambda *_, **__: column)
    judged = judge_spine(Study("study", [series_of(sagittal(ball))]))
    assert bool(judged.refusal) == is_refused
    assert bool(judged.warning) == is_doubted


def test_a_header_that_names_the_lumbar_spine_is_evidence_for_it(monkeypatch):
    column = Column(0.4, 0.2, 34.0)
    monkeypatch.setattr(screen, "clearest_column", lambda *_, **__: column)
    series = series_of(sagittal(ball))
    assert judge_spine(Study("study", [series])).refusal
    series.names_lumbar = True
    judged = judge_spine(Study("study", [series]))
    assert not judged.refusal
    assert judged.warning.startswith("This may not be a lumbar spine: nothing in front")


def test_in_doubt_t1_and_t2_must_show_one_band_dark_and_bright(monkeypatch):
    column = Column(0.3, 0.4, 34.0)
    monkeypatch.setattr(screen, "clearest_column", lambda *_, **__: column)
    for difference, is_refused in ((0.05, True), (0.4, False)):
        monkeypatch.setattr(screen, "fluid_difference", lambda *_, d=difference: d)
        judged = judge_spine(study_of(sagittal(ball)))
        assert bool(judged.refusal) == is_refused
        assert bool(judged.warning) != is_refused


def test_one_series_that_shows_a_spine_is_enough():
    both = Study("study", [series_of(sagittal(head), T1), series_of(lumbar_like(34))])
    assert why_no_lumbar_spine(both) is None


def test_axial_slices_alone_are_not_judged_by_a_column_they_cannot_show():
    assert why_no_lumbar_spine(make_study(protocols=("axial_t2",))) is None


def test_mirroring_or_rescaling_a_study_changes_nothing_of_the_judgement():
    stack = lumbar_like(34)
    mirror = Stack.from_array(stack.voxels, np.diag([-1.0, 1, 1, 1]) @ stack.affine_lps)
    brighter = Stack.from_array(stack.voxels * 19, stack.affine_lps)
    expected = clearest_column(stack, is_bright=True)
    for other in (mirror, brighter):
        assert clearest_column(other, is_bright=True) == pytest.approx(expected, abs=1e-4)


def white_noise(seed=0, shape=(96, 96, 9)):
    return np.random.default_rng(seed).normal(400, 80, shape).astype(np.float32)


def shade():
    i, j, k = np.meshgrid(*map(np.arange, (96, 96, 9)), indexing="ij")
    return (300 + 2 * i + j + 0.01 * j**2 + k).astype(np.float32)


@pytest.mark.parametrize(
    ("voxels", "why"),
    [
        (np.full((96, 96, 9), 7, np.float32), "constant image"),
        (white_noise(), "noise"),
        (shade(), "smooth shade"),
        (white_noise() - 700, "as in CT"),
    ],
    ids=["constant", "noise", "gradient", "CT"],
)
def test_what_is_no_picture_is_named(voxels, why):
    affine = sagittal(ball).affine_lps
    assert why in why_no_picture(series_of(Stack.from_array(voxels, affine)))


def test_a_picture_in_noise_is_a_picture():
    noisy = lumbar_like(34).voxels + white_noise(shape=(PIXELS, PIXELS, SLICES))
    assert why_no_picture(series_of(Stack.from_array(noisy, sagittal(ball).affine_lps))) is None


def test_signed_mr_values_around_zero_are_no_ct():
    stack = lumbar_like(34)
    scaled = (stack.voxels - stack.voxels.mean()) / stack.voxels.std()
    assert why_no_picture(series_of(Stack.from_array(scaled, stack.affine_lps))) is None


@pytest.mark.parametrize("cohort", [Cohort.RSNA_LIKE, Cohort.PROBE, Cohort.CLEAN, Cohort.SHIFT])
@pytest.mark.parametrize("index", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_lumbar_phantom_is_never_refused(cohort, index):
    study = render_study(Spec(cohort=cohort, index=index, seed=3, size=Size.SMALL))
    assert [why_no_picture(series) for series in study.series] == [None] * len(study.series)
    assert why_no_lumbar_spine(study) is None


def test_the_real_lumbar_volume_is_not_refused(testdata):
    study = read_study(testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz")
    assert why_no_picture(study.series[0]) is None
    assert why_no_lumbar_spine(study) is None


def test_real_heads_show_no_lumbar_spine(testdata):
    for folder in ("ge/anatomical", "siemens/anatomical", "philips_enhanced/anatomical"):
        study = read_study(testdata / "dicom2nifti_mr" / folder)
        (series,) = study.series
        graded = Study("study", [replace(series, protocol=p) for p in (T1, T2)])
        assert why_no_lumbar_spine(graded) is not None


@pytest.fixture(scope="module")
def predictor(tiny_bundle):
    return Predictor(tiny_bundle, device="cpu")


def test_a_head_is_refused_with_the_reason_and_no_grade(predictor):
    graded = predictor.predict(study_of(sagittal(head)))
    assert graded.status == "refused"
    assert "no lumbar spine is seen" in graded.reason
    with pytest.raises(NoUsableSeriesError, match="no lumbar spine"):
        predictor.predict(study_of(sagittal(head)), Options(strict=True))


def test_a_doubted_study_is_graded_with_a_warning_where_nobody_can_miss_it(predictor, monkeypatch):
    monkeypatch.setattr(screen, "clearest_column", lambda *_, **__: Column(0.33, 0.28, 16.0))
    study = Study("study", [series_of(lumbar_like(34))])
    graded = predictor.predict(study)
    assert graded.status == "partial"  # For want of T1 and axial slices, not of the warning.
    (warning,) = graded.to_dict()["warnings"]
    assert warning.startswith("This may not be a lumbar spine")
    assert graded.to_dict()["notices"][1] == warning
    monkeypatch.undo()
    assert predictor.predict(make_study()).to_dict()["warnings"] == []


def test_the_report_shows_the_warning_in_its_box(predictor, monkeypatch, tmp_path):
    monkeypatch.setattr(screen, "clearest_column", lambda *_, **__: Column(0.33, 0.28, 16.0))
    graded = predictor.predict(Study("study", [series_of(lumbar_like(34))]))
    page = graded.save_html(tmp_path / "report.html").read_text(encoding="utf-8")
    box = page[page.index('class="notice"') : page.index("<nav")]
    assert "This may not be a lumbar spine" in box


@pytest.mark.parametrize(
    ("change", "is_doubted"),
    [("turned by 15 degrees", True), ("lower 60 %", False), ("upper 60 %", False)],
)
def test_the_real_lumbar_volume_is_not_refused_when_stressed(testdata, change, is_doubted):
    study = read_study(testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz")
    (stack,) = study.series[0].stacks
    part = round(0.6 * stack.shape[1])
    affine = stack.affine_lps.copy()
    if change == "turned by 15 degrees":
        voxels = rotate(stack.voxels, 15, axes=(0, 1), reshape=False, order=1)
    elif change == "upper 60 %":
        voxels = stack.voxels[:, :part]
    else:
        voxels = stack.voxels[:, -part:]
        affine[:3, 3] += affine[:3, 1] * (stack.shape[1] - part)
    stressed = Stack.from_array(np.ascontiguousarray(voxels), affine)
    judged = judge_spine(Study("study", [series_of(stressed)]))
    assert not judged.refusal
    assert bool(judged.warning) == is_doubted


def test_noise_beside_good_series_is_left_out_with_a_fault(predictor):
    study = make_study()
    noise = np.random.default_rng(0).normal(400, 80, (48, 48, 16)).astype(np.float32)
    study.series[2].stacks[0] = Stack.from_array(noise, study.series[2].stacks[0].affine_lps)
    graded = predictor.predict(study)
    assert graded.status == "partial"
    assert "the axial T2 series was not used: it is noise" in graded.reason
    assert graded.to_dict()["faults"][0]["reason"] == "noise"


def test_a_series_in_another_frame_of_reference_is_left_out_and_strictly_an_error(predictor):
    study = make_study()
    for series, frame in zip(study.series, "AAB", strict=True):
        series.frame_of_reference = frame
    graded = predictor.predict(study)
    assert "another frame of reference" in graded.reason
    assert [entry["code"] for entry in graded.to_dict()["faults"]] == ["VS-GEO-035"]
    with pytest.raises(GeometryError, match="another frame of reference"):
        usable_part(study, strict=True)
