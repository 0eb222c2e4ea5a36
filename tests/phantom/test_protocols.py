"""Protocols: pixels, distances, timings as published, and a `shift` that is really wider."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.phantom.protocols import (
    draw_field,
    draw_rasters,
    draw_sequence,
    draw_snr,
    draw_spacing,
)
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.tissues import Sequence, Tissue, relaxation, signals

LIKE, SHIFT = Spec(), Spec(cohort=Cohort.SHIFT)
N = 400
VIEWS = list(Protocol)[:3]
TABLE = relaxation(0.4, np.ones((len(Tissue), 2)))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def rasters(rng, spec, protocol):
    return [draw_rasters(rng, spec, [protocol])[0] for _ in range(N)]


def pixels(rng, spec, protocol):
    return np.array(
        [r.acquired_mm * r.acquired[0] / r.matrix[0] for r in rasters(rng, spec, protocol)]
    )


@pytest.mark.parametrize(
    ("protocol", "mean", "deviation"),
    list(zip(VIEWS, (0.68, 0.65, 0.47), (0.17, 0.20, 0.15), strict=True)),
)
def test_pixels_are_as_large_and_as_varied_as_in_public_series(protocol, mean, deviation, rng):
    values = pixels(rng, LIKE, protocol)
    # 0.02 mm allows for the two digits of the published figures and for their own sampling.
    assert values.mean() == pytest.approx(mean, abs=3 * deviation / np.sqrt(N) + 0.02)
    assert values.std() == pytest.approx(deviation, abs=0.03)
    assert values.min() > 0.2
    assert values.max() < 1.3


@pytest.mark.parametrize(
    ("protocol", "mean", "deviation"),
    list(zip(VIEWS, (4.52, 4.52, 4.59), (0.56, 0.56, 0.80), strict=True)),
)
def test_slices_are_as_far_apart_as_in_public_series(protocol, mean, deviation, rng):
    drawn = np.array([draw_spacing(rng, LIKE, protocol) for _ in range(N)])
    assert drawn[:, 1].mean() == pytest.approx(mean, abs=3 * deviation / np.sqrt(N) + 0.02)
    assert drawn[:, 1].std() == pytest.approx(deviation, abs=0.06)
    assert (drawn[:, 0] < drawn[:, 1]).all()


@pytest.mark.parametrize(
    ("protocol", "side", "share"),
    [(Protocol.SAGITTAL_T1, 512, 0.44), (Protocol.SAGITTAL_T1, 384, 0.17),
     (Protocol.SAGITTAL_T2, 512, 0.26), (Protocol.SAGITTAL_T2, 320, 0.21),
     (Protocol.AXIAL_T2, 320, 0.27), (Protocol.AXIAL_T2, 640, 0.18)],
)  # fmt: skip
def test_matrices_are_as_frequent_as_in_public_series(protocol, side, share, rng):
    found = np.mean([r.matrix == (side, side) for r in rasters(rng, LIKE, protocol)])
    assert found == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / N) + 0.02)


@pytest.mark.parametrize("spec", [LIKE, SHIFT], ids=["rsna_like", "shift"])
@pytest.mark.parametrize("protocol", VIEWS)
def test_an_image_is_never_measured_finer_than_it_is_stored(spec, protocol, rng):
    for raster in rasters(rng, spec, protocol)[:200]:
        ratios = [m / a for m, a in zip(raster.matrix, raster.acquired, strict=True)]
        assert ratios[0] == pytest.approx(ratios[1], rel=1e-12)
        assert ratios[0] >= 1.0
        assert all(side % 2 == 0 for side in (*raster.matrix, *raster.acquired))


def test_series_that_share_slices_share_their_measured_grid(rng):
    for _ in range(60):
        first, second = draw_rasters(rng, LIKE, VIEWS[:2])
        assert (first.acquired, first.acquired_mm) == (second.acquired, second.acquired_mm)


def test_the_shift_is_wider_in_pixel_slice_field_and_noise(rng):
    for protocol in VIEWS:
        assert pixels(rng, SHIFT, protocol).std() > 1.3 * pixels(rng, LIKE, protocol).std()
        assert pixels(rng, SHIFT, protocol).min() >= 0.399
        assert pixels(rng, SHIFT, protocol).max() < 2.05
        thickness = [np.array([draw_spacing(rng, s, protocol)[0] for _ in range(N)])
                     for s in (LIKE, SHIFT)]  # fmt: skip
        assert thickness[1].std() > 1.5 * thickness[0].std()
        assert thickness[1].min() >= 2.5
        assert thickness[1].max() <= 7.0
    fields = np.array([draw_field(rng, Cohort.SHIFT) for _ in range(N)])
    assert {draw_field(rng, Cohort.RSNA_LIKE) for _ in range(N)} == {1.5, 3.0}
    assert fields.min() < 0.35
    assert fields.max() > 2.8
    snr = [np.log([draw_snr(rng, s, 1.5) for _ in range(N)]).std() for s in (LIKE, SHIFT)]
    assert snr[1] > 1.5 * snr[0]


def contrasts(rng, spec, protocol, tissue):
    """Log ratio of a tissue's signal to that of muscle."""
    ratios = []
    for _ in range(N):
        signal = signals(TABLE, draw_sequence(rng, spec, protocol, draw_field(rng, spec.cohort)))
        ratios.append(np.log((signal[tissue] + 0.01) / (signal[Tissue.MUSCLE] + 0.01)))
    return np.array(ratios)


@pytest.mark.parametrize("protocol", VIEWS)
@pytest.mark.parametrize("tissue", [Tissue.FAT, Tissue.CSF, Tissue.NUCLEUS, Tissue.MARROW])
def test_the_contrast_of_the_shift_spreads_wider(protocol, tissue, rng):
    wide = contrasts(rng, SHIFT, protocol, tissue).std()
    assert wide > 1.2 * contrasts(rng, LIKE, protocol, tissue).std()


def test_t1_shows_fat_brighter_than_fluid_and_t2_fluid_brighter_than_muscle(rng):
    for field in (1.5, 3.0):
        for _ in range(60):
            t1 = signals(TABLE, draw_sequence(rng, LIKE, Protocol.SAGITTAL_T1, field))
            t2 = signals(TABLE, draw_sequence(rng, LIKE, Protocol.SAGITTAL_T2, field))
            assert t1[Tissue.FAT] > 3 * t1[Tissue.CSF]
            assert t2[Tissue.CSF] > 2 * t2[Tissue.MUSCLE]


def test_some_rsna_like_sagittal_series_are_stir_and_no_probe_is(rng):
    def share(spec):
        names = [draw_sequence(rng, spec, Protocol.SAGITTAL_T2, 1.5).name for _ in range(N)]
        return np.mean([name == "STIR" for name in names])

    assert share(LIKE) == pytest.approx(0.08, abs=3 * np.sqrt(0.08 * 0.92 / N))
    assert share(Spec(cohort=Cohort.PROBE)) == 0.0


def test_a_stir_of_the_plan_leaves_little_fat(rng):
    drawn = [
        draw_sequence(rng, LIKE, Protocol.SAGITTAL_T2, f) for f in (1.5, 3.0) for _ in range(N)
    ]
    plain = signals(TABLE, Sequence("T2", 3500.0, 50.0))[Tissue.FAT]
    for sequence in drawn:
        if sequence.name == "STIR":
            assert signals(TABLE, sequence)[Tissue.FAT] < 0.35 * plain


def test_the_cohort_without_noise_has_no_noise_and_all_its_lines(rng):
    clean = Spec(cohort=Cohort.CLEAN)
    assert all(draw_snr(rng, clean, 1.5) == 0.0 for _ in range(20))
    assert all(r.phase_share == 1.0 for r in rasters(rng, clean, Protocol.AXIAL_T2)[:20])
