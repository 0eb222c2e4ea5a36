"""Proof of the images: a turned person, finer pixels, the signal equation and the noise."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.acquire import acquire, shading
from volspine.phantom.render import render_labels, render_layers, render_series
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.tissues import FAT_GAIN, Sequence, Tissue, relaxation
from volspine.phantom.truth import build_truth

SPINE = (
    Tissue.MARROW,
    Tissue.ANNULUS,
    Tissue.NUCLEUS,
    Tissue.EPIDURAL_FAT,
    Tissue.CSF,
    Tissue.ROOT,
    Tissue.CORD,
)
SEQUENCES = {
    "T1": Sequence("T1", 560.0, 11.0),
    "T2": Sequence("T2", 3600.0, 102.0, echoes=16, spacing_ms=10.0),
    "STIR": Sequence("STIR", 4200.0, 52.0, 165.0),
}


@pytest.fixture(scope="module")
def truth():
    return build_truth(Spec(seed=5, index=2, cohort=Cohort.PROBE))


@pytest.mark.parametrize("degrees", [-25.0, 7.0])
def test_a_person_and_a_plane_turned_together_give_the_same_image(truth, degrees):
    turn = np.deg2rad(degrees)
    about_x = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    frame = truth.anatomy.frame
    there = replace(frame, centres_mm=frame.centres_mm @ about_x.T, tilts=frame.tilts + turn)
    turned = replace(truth.anatomy, frame=there)
    for level in (0, 3, 4):
        point, tilt = truth.landmarks_mm[level], proofs.disc_tilt(truth.anatomy, level)
        moved = np.concatenate([point[:1], about_x @ point[1:]])
        plans = [
            replace(proofs.single_slice(Protocol.AXIAL_T2, centre, lean, 0.4, 72), thickness_mm=0.5)
            for centre, lean in ((point, tilt), (moved, tilt + turn))
        ]
        image, again = (
            render_series(person, [plan])[0, 0]
            for person, plan in zip((truth.anatomy, turned), plans, strict=True)
        )
        # The spine turns; muscles and trunk stay upright, and shine through what is thin.
        labels = render_labels(truth.anatomy, plans[0])[0]
        spine = ndimage.binary_erosion(np.isin(labels, SPINE), iterations=2)
        assert spine.sum() > 500
        assert np.abs(image - again)[spine].max() < 1e-4 * image.max()
        assert image[spine].std() > 0.1 * image.max()


def test_the_fluids_area_converges_with_finer_pixels(truth):
    fluid = np.zeros((1, len(Tissue)))
    fluid[0, Tissue.CSF] = 1.0
    person = proofs.drained(truth.anatomy)

    def area(level, pixel_mm):
        tilt = proofs.disc_tilt(person, level)
        centre = truth.landmarks_mm[level]
        pixels = round(28.8 / pixel_mm)
        plan = proofs.single_slice(Protocol.AXIAL_T2, centre, tilt, pixel_mm, pixels)
        thin = replace(plan, thickness_mm=1e-3, sub_slices=1)
        return render_layers(person, thin, fluid)[0, 0].sum() * pixel_mm**2

    errors = np.array(
        [[area(n, mm) / area(n, 0.1) - 1 for mm in (1.6, 0.8, 0.4, 0.2)] for n in (0, 2, 4)]
    )
    coarse_to_fine = np.sqrt((errors**2).mean(axis=0))
    assert (np.diff(coarse_to_fine) < 0).all()
    # Of second order each halving is a quarter; corners of the outline cost some of it.
    assert coarse_to_fine[-1] < coarse_to_fine[0] / 12
    assert coarse_to_fine[-1] < 0.005


def test_an_image_converges_with_more_sub_slices(truth):
    point = truth.landmarks_mm[3] + np.array([0.0, 0.0, 6.0])
    plan = proofs.single_slice(Protocol.AXIAL_T2, point, 0.0, 0.8, 72)
    images = [render_series(truth.anatomy, [replace(plan, sub_slices=n)]) for n in (1, 3, 7, 21)]
    errors = [np.sqrt(((image - images[-1]) ** 2).mean()) for image in images[:-1]]
    assert (np.diff(errors) < 0).all()
    assert errors[1] < 0.06 * images[-1].std()


@pytest.mark.parametrize("name", SEQUENCES)
def test_the_signal_deep_in_a_tissue_is_that_of_the_equation(truth, name):
    sequence, subject = SEQUENCES[name], truth.anatomy.subject
    table = relaxation(subject.marrow_fat, subject.jitter)
    seen = {}
    for level, protocol in ((2, Protocol.AXIAL_T2), (0, Protocol.SAGITTAL_T2)):
        plan = proofs.single_slice(protocol, truth.landmarks_mm[level], 0.0, 0.3, 401)
        thin = replace(plan, thickness_mm=1e-3, sequence=sequence, sub_slices=1)
        labels = render_labels(truth.anatomy, thin)[0]
        image = render_series(truth.anatomy, [thin])[0, 0]
        for tissue in (Tissue.CSF, Tissue.MARROW, Tissue.CORD, Tissue.FAT):
            deep = ndimage.binary_erosion(labels == tissue, iterations=3)
            seen.setdefault(tissue, []).append(image[deep])
    for tissue, parts in seen.items():
        values = np.concatenate(parts)
        assert values.size > 30, tissue
        expected = by_hand(table[tissue], table[Tissue.FAT], sequence)
        # The median: here and there a vessel or a strand of another tissue runs through.
        assert np.median(values) == pytest.approx(expected, rel=0.01), tissue


def by_hand(row, fat, sequence):
    """PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2) of water, and of fat with its gain."""
    total = 0.0
    for share, (t1, t2, density), gain in (
        (1 - row[3], row[:3], 1.0),
        (row[3], fat[:3], FAT_GAIN),
    ):
        left = np.exp(-(sequence.repetition_ms - sequence.echoes * sequence.spacing_ms) / t1)
        inverted = sequence.inversion_ms
        size = 1 - left if inverted is None else abs(1 - 2 * np.exp(-inverted / t1) + left)
        total += share * gain * density * size * np.exp(-sequence.echo_ms / t2)
    return total


@pytest.mark.parametrize("matrix", [256, 384])
def test_the_noise_of_air_has_twice_the_variance_of_either_channel(matrix):
    image = np.zeros((1, 256, 256), np.float32)
    image[:, :, 128:] = 1.0
    plan = proofs.single_slice(Protocol.AXIAL_T2, [0.0, 0.0, 0.0], 0.0, 1.0, 256)
    plan = replace(plan, matrix=(matrix, matrix), snr=18.0)
    stored = acquire(image, plan, np.random.default_rng(3))[0].astype(np.float64)
    sigma = 1.0 / 18.0
    weight = shading(plan, np.random.default_rng(3)) * np.ones((256, 256))
    # Away from the edge, tissue holds the weighted signal and as much noise as air: that is
    # what the stored numbers are scaled by.
    part = matrix / 256
    tissue, air = stored[:, round(140 * part) : -8], stored[:, 8 : round(116 * part)]
    unit = (tissue**2).mean() / ((weight[:, 140:-8] ** 2).mean() + 2 * sigma**2)
    assert (air**2).mean() / unit == pytest.approx(2 * sigma**2, rel=0.02)
