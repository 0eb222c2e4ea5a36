"""The foramen's painted root: round or flat, thick in the tunnel and thin outside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.foramen import root_radius
from volspine.phantom.render import render_labels
from volspine.phantom.section import ROOT_RADIUS_MM
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.tissues import Tissue
from volspine.phantom.truth import build_truth


@given(st.floats(0.3, 1.0))
def test_a_pressed_root_keeps_its_area(flatness):
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    radius = root_radius((np.cos(angle), np.sin(angle)), np.full(720, flatness))
    area = (radius**2).mean() * np.pi
    assert area == pytest.approx(np.pi * ROOT_RADIUS_MM**2, rel=1e-6)
    # Pressed from front and back: shorter along 0 than along pi / 2, in the given ratio.
    assert radius[0] / radius[180] == pytest.approx(flatness)


def test_the_root_is_thickest_at_its_ganglion():
    truth = build_truth(Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL))
    point = truth.landmarks_mm[5 + 2]  # left foramen of L3/L4
    areas = []
    for aside in (0.0, 10.0):
        centre = point + np.array([aside, -0.3 * aside, -0.45 * aside])
        plan = proofs.single_slice(Protocol.SAGITTAL_T1, centre, 0.0, 0.2, 101)
        areas.append((render_labels(truth.anatomy, plan)[0] == Tissue.ROOT).sum())
    assert areas[0] > 1.5 * areas[1] > 0
