"""Rendering: the mirror, the equations, and agreement between planes."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.anatomy import mirrored
from volspine.phantom.render import render_labels, render_layers, render_series
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.sub_slices import slice_offsets, slice_profile
from volspine.phantom.tissues import Sequence, Tissue, relaxation, signals
from volspine.phantom.truth import build_truth

SPEC = Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL)


@pytest.fixture(scope="module")
def truth():
    return build_truth(SPEC)


@pytest.fixture(scope="module")
def anatomy(truth):
    return truth.anatomy


def axial(centre, pixels=96, pixel_mm=1.6, tilt=0.0):
    return proofs.single_slice(Protocol.AXIAL_T2, centre, tilt, pixel_mm, pixels)


def test_a_mirrored_person_gives_the_mirrored_axial_image_bit_for_bit(anatomy):
    plan = axial([0.0, 20.0, -18.0], tilt=-0.1)
    image = render_series(anatomy, [plan])[0, 0]
    mirror = render_series(mirrored(anatomy), [plan])[0, 0]
    assert (mirror == image[:, ::-1]).all()
    assert not (image == image[:, ::-1]).all()


def test_a_mirrored_person_gives_the_opposite_sagittal_slice_bit_for_bit(anatomy):
    plan = replace(axial([17.0, 10.0, -10.0], pixel_mm=2.5), protocol=Protocol.SAGITTAL_T1)
    opposite = replace(plan, centres_mm=plan.centres_mm * np.array([-1.0, 1.0, 1.0]))
    image = render_series(anatomy, [plan])[0, 0]
    assert (render_series(mirrored(anatomy), [opposite])[0, 0] == image).all()
    assert not (render_series(anatomy, [opposite])[0, 0] == image).all()


def test_the_aorta_is_on_the_left():
    # Above its division the aorta lies left of the midline: +x, right of the middle of the image.
    anatomy = build_truth(SPEC).anatomy
    plan = axial([0.0, -20.0, 40.0], pixels=128, pixel_mm=1.0)
    blood = render_labels(anatomy, plan)[0][:90] == Tissue.BLOOD
    columns = np.nonzero(blood)[1] - 63.5
    assert (columns > 0).sum() > 50  # the aorta, whose middle is 9 mm to the left
    assert np.median(columns[columns > 0]) < -np.median(columns[columns < 0])


def test_a_voxel_has_the_same_tissue_in_both_planes(anatomy):
    point = np.array([3.0, 22.0, -12.0])
    transverse = render_labels(anatomy, axial(point, pixels=41, pixel_mm=0.5))[0]
    plan = replace(axial(point, pixels=41, pixel_mm=0.5), protocol=Protocol.SAGITTAL_T2)
    sagittal = render_labels(anatomy, plan)[0]
    # They share the front-to-back line through the point: a column of one, a row of the other.
    assert (transverse[:, 20] == sagittal[20, :]).mean() > 0.97


def test_the_signal_of_deep_fluid_is_that_of_the_equation(anatomy):
    sequence = Sequence("T2", 3500.0, 100.0)
    points = build_truth(SPEC).landmarks_mm[2]
    plan = axial(points, pixels=101, pixel_mm=0.25)
    image = render_series(anatomy, [replace(plan, thickness_mm=0.3)])[0, 0]
    labels = render_labels(anatomy, plan)[0] == Tissue.CSF
    inner = proofs.ndimage.binary_erosion(labels, iterations=3)
    expected = signals(relaxation(anatomy.subject.marrow_fat, anatomy.subject.jitter), sequence)
    assert inner.sum() > 10
    assert np.median(image[inner]) == pytest.approx(expected[Tissue.CSF], rel=0.01)


@pytest.mark.parametrize("many", [1, 2, 3, 4, 5])
def test_sub_slices_lie_in_symmetric_pairs_within_the_profile(many):
    plan = replace(axial([0.0, 0.0, 0.0]), thickness_mm=4.0, sub_slices=many)
    pairs = slice_offsets(plan)
    assert sum(len(p) for p in pairs) == many
    assert all(p[0] == -p[-1] for p in pairs)
    assert max(p.max() for p in pairs) < 4.0 * 0.675


def test_sub_slices_halve_equal_shares_of_the_profile():
    # Half the profile lies within 0.25 of the thickness where it is flat: two sub-slices there.
    plan = replace(axial([0.0, 0.0, 0.0]), thickness_mm=1.0, sub_slices=2)
    assert slice_offsets(plan)[0][1] == pytest.approx(0.25, abs=0.002)
    assert slice_profile(np.array([0.0, 0.5, -0.5, 0.8])) == pytest.approx([1.0, 0.5, 0.5, 0.0])


@pytest.mark.parametrize("many", [2, 3, 4, 5])
def test_the_mirror_holds_bit_for_bit_whatever_the_sub_slices(anatomy, many):
    plan = replace(axial([17.0, 10.0, -10.0], pixel_mm=2.5), sub_slices=many)
    plan = replace(plan, protocol=Protocol.SAGITTAL_T1)
    opposite = replace(plan, centres_mm=plan.centres_mm * np.array([-1.0, 1.0, 1.0]))
    image = render_series(anatomy, [plan])[0, 0]
    assert (render_series(mirrored(anatomy), [opposite])[0, 0] == image).all()


def stacks():
    """Two stacks of unlike tilt and place, three and two slices."""
    centres = [[3.0, 20.0, -18.0 + 5.0 * n] for n in range(3)]
    centres += [[-2.0, 16.0, 20.0 + 4.0 * n] for n in range(2)]
    plan = replace(axial(centres[0], pixels=72), sub_slices=2, stacks=(0, 0, 0, 1, 1))
    return replace(plan, centres_mm=np.array(centres), tilts=np.array([-0.1] * 3 + [0.2] * 2))


@pytest.mark.parametrize("slices", [2, 9])
def test_axial_slices_painted_at_one_go_are_those_painted_one_by_one(anatomy, slices):
    plan = stacks()
    apart = render_series(anatomy, [plan])[0]
    together = render_series(anatomy, [plan], at_once=slices * 2 * 72 * 72)[0]
    assert np.abs(together - apart).max() < 3e-4 * apart.max()  # a third of a stored level
    # Neighbours differ far more, so that none stands in for another.
    assert (np.abs(together[1:] - apart[:-1]) > 1e-3 * apart.max()).mean() > 0.1


@pytest.mark.parametrize("x", [0.0, 6.0, 10.5, 17.0, -35.0, 50.0])  # at the ends of structures too
def test_sagittal_sub_slices_painted_at_one_go_are_those_painted_one_by_one(anatomy, x):
    plan = replace(axial([x, 10.0, -10.0], pixel_mm=2.5), protocol=Protocol.SAGITTAL_T1)
    plan = replace(plan, sub_slices=3)
    apart = render_series(anatomy, [plan])
    assert (render_series(anatomy, [plan], at_once=10**6) == apart).all()


def test_the_mirror_holds_bit_for_bit_for_slices_painted_at_one_go(anatomy):
    plan = stacks()
    opposite = replace(plan, centres_mm=plan.centres_mm * np.array([-1.0, 1.0, 1.0]))
    image = render_series(anatomy, [plan], at_once=100_000)[0]
    mirror = render_series(mirrored(anatomy), [opposite], at_once=100_000)[0]
    assert (mirror == image[:, :, ::-1]).all()


def test_three_sub_slices_err_less_than_the_noise_of_the_best_series(anatomy):
    plan = axial([0.0, 20.0, -18.0], pixel_mm=1.0)
    finest = render_series(anatomy, [replace(plan, sub_slices=15)])[0, 0]
    tissue = np.percentile(finest[finest > 0.02 * finest.max()], 95)
    box = finest[30:70, 30:66]
    errors = [
        np.sqrt(((render_series(anatomy, [replace(plan, sub_slices=k)])[0, 0, 30:70, 30:66] - box)
                 ** 2).mean()) / tissue
        for k in (1, 3, 5)
    ]  # fmt: skip
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 1 / 64


def test_layers_are_what_each_tissue_weighs(truth, anatomy):
    plan = replace(axial(truth.landmarks_mm[2], pixels=101, pixel_mm=0.25), sub_slices=1)
    fluid = (np.arange(len(Tissue)) == Tissue.CSF).astype(float)
    layer = render_layers(anatomy, plan, np.array([fluid]))[0, 0]
    labels = render_labels(anatomy, plan)[0]
    assert layer.min() >= 0.0
    assert layer[proofs.ndimage.binary_erosion(labels == Tissue.CSF, iterations=3)].min() > 0.9
    assert layer[proofs.ndimage.binary_erosion(labels != Tissue.CSF, iterations=6)].mean() < 0.05


def test_more_sub_slices_change_little():
    anatomy = build_truth(SPEC).anatomy
    plan = axial([0.0, 20.0, -18.0])
    thin = render_series(anatomy, [replace(plan, thickness_mm=0.01)])[0, 0]
    thick = render_series(anatomy, [plan])[0, 0]
    assert 0.0 < np.sqrt(((thin - thick) ** 2).mean()) < 0.35 * thick.std()
