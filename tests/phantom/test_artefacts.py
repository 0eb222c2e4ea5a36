"""Artefacts: as often as said, as strong as said, and none of them moves what is measured."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.acquire import acquire
from volspine.phantom.artefacts import (
    Artefacts,
    Void,
    cross_talk,
    darken_fluid,
    draw_artefacts,
    fold,
    ghost,
    render_marred,
    shift_fat,
)
from volspine.phantom.render import render_series
from volspine.phantom.spec import Cohort, Size, Spec, Stage
from volspine.phantom.truth import build_truth

SPEC = Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL)
SAGITTAL = proofs.single_slice(Protocol.SAGITTAL_T2, [0.0, 5.0, -8.0], 0.0, 2.0, 128)
AXIAL = proofs.single_slice(Protocol.AXIAL_T2, [0.0, 22.0, -18.0], -0.1, 1.5, 96)


@pytest.fixture(scope="module")
def truth():
    return build_truth(SPEC)


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def drawn(anatomy, cohort, plan, count):
    rng = np.random.default_rng(8)
    spec = Spec(cohort=cohort)
    return [draw_artefacts(rng, spec, plan, anatomy) for _ in range(count)]


@pytest.fixture(scope="module")
def draws(truth):
    return drawn(truth.anatomy, Cohort.RSNA_LIKE, SAGITTAL, 600)


def test_fat_is_never_drawn_to_move_by_more_than_a_pixel(draws):
    assert 0.9 < max(abs(a.fat_shift) for a in draws) <= 1.0


@pytest.mark.parametrize(
    ("has", "share"),
    [
        (lambda a: bool(a.ghosts), 0.15),
        (lambda a: bool(a.voids), 0.25),
        (lambda a: a.fat_shift != 0.0, 0.30),
        (lambda a: a.lost > 0.0, 0.05),
        (lambda a: a.fold[1] > 0.0, 0.05),
    ],
    ids=["ghosts", "voids", "fat", "cross-talk", "fold"],
)
def test_each_artefact_is_as_frequent_as_said(has, share, draws):
    found = np.mean([has(a) for a in draws])
    assert abs(found - share) < 3 * np.sqrt(share * (1 - share) / len(draws))


@pytest.mark.parametrize("cohort", [Cohort.PROBE, Cohort.PAIRS, Cohort.CLEAN])
def test_the_cohorts_for_proofs_have_no_artefact(cohort, truth):
    assert set(drawn(truth.anatomy, cohort, SAGITTAL, 60)) == {Artefacts()}


def test_fluid_flows_dark_on_t2_and_not_on_t1(truth):
    plan = replace(SAGITTAL, sequence=replace(SAGITTAL.sequence, name="T1"))
    assert not any(a.needs_fluid for a in drawn(truth.anatomy, Cohort.RSNA_LIKE, plan, 60))


def test_artefacts_have_a_stream_of_their_own():
    spec = Spec(seed=2, index=3)
    first, again = (spec.stream(Stage.ARTEFACTS).random(4) for _ in range(2))
    assert (first == again).all()
    assert not np.isin(first, spec.stream(Stage.NOISE).random(4)).any()


@given(st.floats(-1.0, 1.0), st.integers(0, 1))
@settings(max_examples=40, deadline=None)
def test_fat_moves_by_the_wanted_distance_and_keeps_its_signal(pixels, axis):
    fat = np.zeros((1, 24, 24), np.float32)
    fat[0, 12, 12] = 2.0
    images = fat.copy()
    shift_fat(images, fat, pixels, axis)
    places = np.arange(24) @ images[0].sum(axis=1 - axis) / images.sum()
    assert images.sum() == pytest.approx(2.0, rel=1e-5)
    assert places == pytest.approx(12 + pixels, abs=1e-4)


def test_water_stays_where_it_is_when_fat_moves():
    images = noise((2, 16, 16))
    before = images.copy()
    shift_fat(images, np.zeros_like(images), 1.0, 1)
    assert images == pytest.approx(before)


def test_a_ghost_is_a_copy_at_its_share_of_the_field():
    image = np.zeros((1, 40, 30), np.float32)
    image[0, 5, 7] = 1.0
    ghost(image, image.copy(), ((0.25, 0.1), (-0.25, 0.05)), 0)
    assert image[0, 5, 7] == 1.0
    assert image[0, 15, 7] == pytest.approx(0.1)
    assert image[0, 35, 7] == pytest.approx(0.05)
    assert image.sum() == pytest.approx(1.15)


def test_every_second_slice_of_each_stack_is_darker():
    images = np.ones((5, 2, 2), np.float32)
    cross_talk(images, (0, 0, 0, 1, 1), 0.08)
    assert images[:, 0, 0] == pytest.approx([1.0, 0.92, 1.0, 1.0, 0.92])


@pytest.mark.parametrize("axis", [0, 1])
def test_folding_leaves_the_middle_of_the_field_alone(axis):
    images = noise((1, 50, 50))
    before = images.copy()
    fold(images, axis, 0.1, 0.3)
    inside = np.moveaxis(images - before, 1 + axis, 1)
    assert (inside[:, 5:-5] == 0).all()
    # The outermost line has that of the opposite edge at full strength.
    turned = np.moveaxis(before, 1 + axis, 1)
    assert inside[0, 0] == pytest.approx(0.3 * turned[0, -1], abs=1e-6)
    assert inside[0, -1] == pytest.approx(0.3 * turned[0, 0], abs=1e-6)


@pytest.mark.parametrize("plan", [SAGITTAL, AXIAL], ids=["sagittal", "axial"])
def test_a_void_takes_its_share_of_the_fluid_where_it_lies(plan):
    across, down = plan.axes(0)
    point = plan.first_pixel(0) + plan.acquired_mm * (40 * across + 60 * down)
    images = np.ones((1, *plan.acquired), np.float32)
    darken_fluid(images, images.copy(), plan, (Void(point, 4.0, 9.0, 0.6),))
    assert images[0, 60, 40] == pytest.approx(0.4, abs=1e-5)
    assert np.unravel_index(images[0].argmin(), images[0].shape) == (60, 40)
    aside, along = images[0, 60, 46], images[0, 66, 40]
    assert (along < aside) if plan.is_sagittal else along == pytest.approx(aside, abs=1e-5)


def test_a_void_darkens_nothing_but_fluid(truth):
    void = Void(truth.landmarks_mm[2], 30.0, 60.0, 0.8)
    plain = render_marred(truth.anatomy, [SAGITTAL], [Artefacts()])[0]
    dark = render_marred(truth.anatomy, [SAGITTAL], [Artefacts(voids=(void,))])[0]
    labels = proofs.render_labels(truth.anatomy, SAGITTAL)
    fluid = proofs.ndimage.binary_dilation(labels == proofs.Tissue.CSF, iterations=6)
    assert dark[~fluid] == pytest.approx(plain[~fluid], abs=1e-5)
    assert (
        dark[labels == proofs.Tissue.CSF].mean() < 0.7 * plain[labels == proofs.Tissue.CSF].mean()
    )


def test_without_artefacts_the_images_are_those_of_the_plain_rendering(truth):
    plans = [SAGITTAL, replace(SAGITTAL, sequence=replace(SAGITTAL.sequence, echo_ms=20.0))]
    marred = render_marred(truth.anatomy, plans, [Artefacts(), Artefacts()])
    assert (np.array(marred) == render_series(truth.anatomy, plans)).all()


def test_layers_of_one_series_leave_the_other_alone(truth):
    plans = [SAGITTAL, replace(SAGITTAL, sequence=replace(SAGITTAL.sequence, echo_ms=20.0))]
    marred = render_marred(truth.anatomy, plans, [Artefacts(), Artefacts(fat_shift=1.5)])
    plain = render_series(truth.anatomy, plans)
    assert marred[0] == pytest.approx(plain[0], abs=1e-6)
    assert np.abs(marred[1] - plain[1]).max() > 0.05


def place(image, reference):
    """Shift (rows, columns) that best lays an image over a reference."""
    spectrum = np.fft.fft2(image - image.mean()) * np.conj(
        np.fft.fft2(reference - reference.mean())
    )
    peak = np.unravel_index(np.fft.ifft2(spectrum).real.argmax(), image.shape)
    return [int((p + n // 2) % n - n // 2) for p, n in zip(peak, image.shape, strict=True)]


@pytest.fixture(scope="module")
def worst(truth):
    return Artefacts(
        ghosts=((0.2, 0.1), (-0.2, -0.1), (0.4, 0.07)),
        pulses=((0.15, 0.12),),
        voids=(Void(truth.landmarks_mm[2], 4.0, 20.0, 0.8),),
        fat_shift=1.0,
        lost=0.08,
        fold=(0.12, 0.45),
    )


@pytest.mark.parametrize("plan", [SAGITTAL, AXIAL], ids=["sagittal", "axial"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_worst_artefacts_neither_flip_nor_move_the_image(plan, axis, truth, worst):
    plan = replace(plan, snr=15.0, phase_axis=axis, phase_share=0.7)
    plain = stored(render_series(truth.anatomy, [plan])[0], plan)
    marred = stored(render_marred(truth.anatomy, [plan], [worst])[0], plan)
    assert max(abs(n) for n in place(marred, plain)) <= 1

    def likeness(other):
        return np.corrcoef(marred.ravel(), other.ravel())[0, 1]

    assert likeness(plain) > 0.8
    assert likeness(plain) > likeness(plain[:, ::-1]) + 0.02
    assert likeness(plain) > likeness(plain[::-1]) + 0.02


def stored(images, plan):
    return acquire(images, plan, np.random.default_rng(1))[0].astype(float)
