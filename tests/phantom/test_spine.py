"""The painted spine: joints, processes and foramina where a slice should show them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tests.phantom import proofs
from volspine.anatomy import Protocol
from volspine.phantom.arch import ellipse, smooth_min
from volspine.phantom.focus import focus
from volspine.phantom.painting import LabelCanvas
from volspine.phantom.plan import disc_plane
from volspine.phantom.render import render_labels
from volspine.phantom.section import build_section
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.tissues import Tissue
from volspine.phantom.truth import build_truth

BONE = (Tissue.CORTEX, Tissue.MARROW)


@pytest.fixture(scope="module")
def anatomy():
    return build_truth(Spec(seed=4, cohort=Cohort.CLEAN, size=Size.SMALL)).anatomy


def axial(anatomy, centre, tilt, pixels=200, pixel_mm=0.6):
    plan = proofs.single_slice(
        Protocol.AXIAL_T2, [0.0, centre[0] + 10.0, centre[1]], tilt, pixel_mm, pixels
    )
    return render_labels(anatomy, plan)[0]


def vertebra(anatomy, index, pixels=220, above=4.0):
    """Return an axial label map some way above the middle of a vertebra, through its pedicles."""
    frame = anatomy.frame
    tilt = float(frame.tilts[index])
    up = np.array([np.sin(tilt), np.cos(tilt)])
    return axial(anatomy, frame.centres_mm[index] + above * up, tilt, pixels)


def test_an_ellipse_is_exact_on_its_axes():
    x, y = np.array([5.0, 0.0], np.float32), np.array([0.0, 5.0], np.float32)
    assert ellipse(x, y, 4.0, 4.0) == pytest.approx([1.0, 1.0])
    assert ellipse(np.zeros(1, np.float32), np.full(1, 2.0, np.float32), 3.0, 2.0)[0] == 0.0


def test_a_smooth_minimum_is_never_above_the_minimum_and_equals_it_far_off():
    a, b = np.linspace(-5, 5, 41), np.zeros(41)
    least = smooth_min(a, b, 2.0)
    assert (least <= np.minimum(a, b)).all()
    assert (least[np.abs(a) >= 2.0] == np.minimum(a, b)[np.abs(a) >= 2.0]).all()


def test_a_wide_joint_is_wide_on_its_own_side_only(anatomy):
    joints = anatomy.subject.joints.copy()
    joints[:, 0], joints[:, 1] = 2.4, 0.8
    anatomy = replace(anatomy, subject=replace(anatomy.subject, joints=joints))
    centre, tilt = disc_plane(anatomy, 3)
    fluid = axial(anatomy, centre, tilt, pixel_mm=0.3, pixels=300) == Tissue.JOINT
    left, right = fluid[:, 150:].sum(), fluid[:, :150].sum()  # left is on the image's right
    assert left > 2 * right


def test_transverse_processes_reach_out_at_pedicles_and_not_at_discs(anatomy):
    index = 7  # L3
    at_pedicles = np.isin(vertebra(anatomy, index), BONE)
    centre, tilt = disc_plane(anatomy, 2)
    at_disc = np.isin(axial(anatomy, centre, tilt, 220), BONE)
    middle = 109.5
    for sign in (-1, 1):
        column = round(middle + sign * 36.0 / 0.6)
        assert at_pedicles[:, column].any()
        assert not at_disc[:, column].any()


def test_the_canal_is_closed_by_bone_at_the_pedicles(anatomy):
    labels = vertebra(anatomy, 7, above=0.5)
    solid = np.isin(labels, (*BONE, Tissue.VEIN, Tissue.LIGAMENT))
    # Fluid cannot leak to the edge of the picture without crossing bone.
    regions, _ = ndimage.label(~ndimage.binary_closing(solid, iterations=2))
    inside = set(regions[labels == Tissue.CSF].tolist()) - {0}
    assert inside
    assert not inside & set(regions[0].tolist())


def test_foramina_alternate_with_pedicles_beside_the_canal(anatomy):
    plan = proofs.single_slice(Protocol.SAGITTAL_T1, [17.0, 12.0, -5.0], 0.0, 0.5, 400)
    labels = render_labels(anatomy, plan)[0]
    regions, count = ndimage.label(labels == Tissue.ROOT)
    sizes = ndimage.sum_labels(np.ones_like(regions), regions, np.arange(1, count + 1))
    assert (sizes > 20).sum() >= 5
    fat = ndimage.binary_dilation(labels == Tissue.ROOT, iterations=6)
    assert (labels[fat] == Tissue.EPIDURAL_FAT).mean() > 0.25


def test_the_sacrum_tapers(anatomy):
    widths = []
    for index in (10, 12, 13):  # S1, S3, S4
        labels = vertebra(anatomy, index)
        body = np.isin(labels[90:115], BONE).any(axis=0)
        middle = ndimage.label(body)[0]
        widths.append((middle == middle[110]).sum())
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize("shape", ["list", "rows and columns"])
def test_focus_paints_what_painting_everywhere_paints(anatomy, shape):
    y, z = np.meshgrid(np.arange(-10.0, 50.0), np.arange(-30.0, 0.0))
    if shape == "list":
        section = build_section(anatomy, anatomy.frame.place(y.ravel(), z.ravel()))
        u = np.linspace(-20, 20, y.size, dtype=np.float32)
    else:
        section = build_section(anatomy, anatomy.frame.place(y[:1].T, z[:1].T))
        u = np.broadcast_to(np.linspace(-20, 20, 50, dtype=np.float32), (60, 50))

    def disc(canvas, c, w):
        canvas.paint(np.hypot(w, c.v - 12.0).astype(np.float32) - 6.0, Tissue.NUCLEUS)

    whole, part = np.zeros(u.shape, np.int16), np.zeros(u.shape, np.int16)
    disc(LabelCanvas(whole), section, u)
    focus(LabelCanvas(part), section, u, (np.abs(u) < 7) & (np.abs(section.v - 12) < 7), disc)
    assert whole.any()
    assert (whole == part).all()


def root_share(truth, level):
    """Return the share of roots in a disc's sac, and their area outside of it, mm2."""
    where = truth.anatomy, truth.landmarks_mm[level], level
    labels, _ = proofs.disc_map(*where)
    # The same person without roots shows where the sac is.
    subject = truth.anatomy.subject
    away = replace(subject, roots=np.full_like(subject.roots, 50.0))
    bare, _ = proofs.disc_map(replace(truth.anatomy, subject=away), *where[1:])
    sac = np.isin(bare, (Tissue.CSF, Tissue.CORD))
    added = (labels == Tissue.ROOT) & (bare != Tissue.ROOT)
    return (added & sac).sum() / sac.sum(), (added & ~sac).sum() * 0.01


@pytest.mark.parametrize("level", [1, 2])
def test_the_roots_of_a_narrow_canal_stay_in_the_sac_and_crowd_there(level):
    # A canal of a fifth of its area, cut in by flavum and facets, and a wide one below it.
    truth = build_truth(Spec(seed=7, index=3, cohort=Cohort.PROBE))
    assert truth.measures[level] < 0.3
    assert truth.measures[3] > 0.6
    (tight, strewn), (wide, free) = root_share(truth, level), root_share(truth, 3)
    assert tight > 1.5 * wide > 0.1
    assert max(strewn, free) < 0.5
