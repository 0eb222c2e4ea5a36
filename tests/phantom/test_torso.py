"""The trunk: organs on their sides, muscles and fat as thick as they are said to be."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.anatomy import mirrored
from volspine.phantom.render import render_labels
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.surroundings import Surroundings
from volspine.phantom.tissues import Tissue
from volspine.phantom.truth import build_truth


@pytest.fixture(scope="module")
def anatomy():
    return build_truth(Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL)).anatomy


def axial(anatomy, z, pixels=220, pixel_mm=1.0, y=0.0):
    plan = proofs.single_slice(Protocol.AXIAL_T2, [0.0, y, z], 0.0, pixel_mm, pixels)
    return render_labels(anatomy, plan)[0]


def test_the_right_kidney_reaches_lower_than_the_left(anatomy):
    organ = axial(anatomy, 8.0) == Tissue.ORGAN
    right, left = organ[:, :110].sum(), organ[:, 110:].sum()  # the patient's right is drawn left
    assert right > 100
    assert left == 0
    organ = axial(mirrored(anatomy), 8.0) == Tissue.ORGAN
    assert organ[:, :110].sum() == 0


def test_the_fat_of_the_back_is_as_thick_as_the_subjects(anatomy):
    for thick in (10.0, 30.0):
        person = replace(anatomy, subject=replace(anatomy.subject, dorsal_fat=thick))
        column = axial(person, -20.0, pixel_mm=0.5, pixels=300, y=75.0)[:, 150]
        skin = np.flatnonzero(column == Tissue.SKIN)[-1]
        air = column[skin + 1 :]
        assert (air == Tissue.AIR).all()
        fat = (column[skin - round(2 * thick) : skin + 1] != Tissue.MUSCLE).sum() / 2
        assert fat == pytest.approx(thick, abs=1.0)


def test_fat_in_the_muscles_grows_with_their_fat_fraction(anatomy):
    shares = []
    for fraction in (0.05, 0.25, 0.5):
        person = replace(anatomy, subject=replace(anatomy.subject, muscle_fat=fraction))
        labels = axial(person, -20.0)
        box = labels[140:170, 50:100]
        shares.append((box == Tissue.FAT).sum() / np.isin(box, (Tissue.FAT, Tissue.MUSCLE)).sum())
    assert shares[0] < shares[1] < shares[2]


def test_psoas_grows_downwards(anatomy):
    areas = []
    for z in (60.0, 0.0, -50.0):
        labels = axial(anatomy, z)
        areas.append((labels[60:125, 130:175] == Tissue.MUSCLE).sum())
    assert areas[0] < areas[1] < areas[2]


def test_iliac_bone_appears_below_the_crest_only(anatomy):
    def lateral_bone(z):
        return np.isin(axial(anatomy, z)[:, 190:], (Tissue.CORTEX, Tissue.MARROW)).sum()

    assert lateral_bone(20.0) == 0
    assert lateral_bone(-85.0) > 50


def test_the_grain_is_split_exactly_into_sideways_and_the_rest(anatomy):
    x = np.linspace(-60, 60, 7, dtype=np.float32)[None]
    y, z = np.linspace(20, 60, 5)[:, None], np.full((5, 1), -10.0, np.float32)
    whole = Surroundings.at(anatomy, x, y, z).grain(anatomy)
    for column, place in enumerate(x[0]):
        sagittal = Surroundings.at(anatomy, np.zeros((1, 1), np.float32), y, z).moved(float(place))
        np.testing.assert_allclose(sagittal.grain(anatomy)[:, 0], whole[:, column], atol=1e-5)
    assert whole.std() == pytest.approx(1.0, abs=0.6)
