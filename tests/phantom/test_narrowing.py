"""Narrowing: one measure has many looks, and each measure is reached whatever the others are."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.phantom.anatomy import assemble
from volspine.phantom.canal import roof, sac_distance, wall
from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.measure import measure, sac_areas
from volspine.phantom.narrowing import Wanted, disc_section, narrow, sac_area
from volspine.phantom.subject import draw_subject

L4_L5 = FIRST_SEGMENT + 3
SUBJECT = draw_subject(np.random.default_rng(3), 0.5)


class Split(np.random.Generator):
    """A stand-in for a random stream: a given split of the canal, looks of one half."""

    def __init__(self, *shares):
        super().__init__(np.random.PCG64(0))
        self.shares = np.array(shares)

    def dirichlet(self, alpha, size):
        assert len(alpha) == len(self.shares)
        return np.tile(self.shares, (size, 1))

    def random(self, shape):
        return np.full(shape, 0.5)


def shapes(ratio, recess=4.0, stream=None):
    wanted = Wanted(np.full(5, ratio), np.full((5, 2), recess), np.full((5, 2), 0.5))
    return narrow(SUBJECT, wanted, stream or Split(0.25, 0.25, 0.25, 0.25))


def measured(narrowing):
    anatomy = assemble(SUBJECT, narrowing)
    return measure(anatomy, sac_areas(anatomy))


def looks(count, ratio=0.55):
    return [shapes(ratio, stream=np.random.default_rng(n)) for n in range(count)]


@pytest.mark.slow
def test_one_ratio_has_many_looks_and_no_other_measure_follows_them():
    drawn = looks(6)
    tables = np.array([measured(narrowing) for narrowing in drawn])
    assert tables[:, :5] == pytest.approx(0.55, rel=0.005)
    assert np.ptp(tables[:, 5:], axis=0) == pytest.approx(0.0, abs=1e-9)
    for part in ("bulge", "flavum"):
        amounts = np.array([getattr(narrowing, part)[L4_L5] for narrowing in drawn])
        assert np.ptp(amounts) > 3.0
    facets = np.array([narrowing.facet[L4_L5].mean() for narrowing in drawn])
    assert np.ptp(facets) > 3.0
    assert np.ptp([narrowing.shrink[L4_L5] for narrowing in drawn]) > 0.05


@pytest.mark.parametrize("ratio", [0.95, 0.7, 0.5, 0.3])
@pytest.mark.parametrize("recess", [1.0, 4.0, 7.5])
def test_canal_and_recess_are_reached_together(ratio, recess):
    values = measured(shapes(ratio, recess))
    reachable = ratio < 0.9 or recess > 2.0  # a full sac needs the room of the recesses
    if reachable:
        assert values[:5] == pytest.approx(ratio, rel=0.01)
    assert values[15:] == pytest.approx(recess)


@pytest.mark.parametrize(
    ("stream", "part"),
    [
        (Split(0.97, 0.01, 0.01, 0.01), "bulge"),
        (Split(0.01, 0.97, 0.01, 0.01), "flavum"),
        (Split(0.01, 0.01, 0.97, 0.01), "facet"),
    ],
)
def test_each_share_drives_its_own_structure(stream, part):
    narrowing = shapes(0.6, stream=stream)
    amounts = {n: np.mean(getattr(narrowing, n)[L4_L5]) for n in ("bulge", "flavum", "facet")}
    assert max(amounts, key=amounts.get) == part


def outline(narrowing):
    """The sac at L4/L5 as a mask over u (left) and v (back), 0.1 mm."""
    section = disc_section(SUBJECT, narrowing, L4_L5)
    u = np.arange(-13.95, 14, 0.1)
    v = np.arange(0, 22, 0.1)[:, None] + float(section.half_depth[0])
    return sac_distance(section, u, v) < 0


def hollow(mask):
    """How many pixels the sac's width falls short of a straight line between two other rows."""
    rows = np.array([np.ptp(np.flatnonzero(r)) + 1 for r in mask if r.any()])
    first, last = np.triu_indices(len(rows), 2)
    return ((rows[first] + rows[last]) / 2 - rows[(first + last) // 2]).max()


def width_in_front_over_behind(mask):
    rows = np.flatnonzero(mask.any(axis=1))
    front, behind = (rows[0] + int(share * (rows[-1] - rows[0])) for share in (0.25, 0.75))
    return mask[front].sum() / mask[behind].sum()


def test_the_sac_turns_from_oval_to_triangular_to_trefoil():
    oval = outline(shapes(0.97, 7.5))
    triangle = outline(shapes(0.6, 4.0, Split(0.02, 0.45, 0.45, 0.08)))
    trefoil = outline(shapes(0.7, 5.0, Split(0.02, 0.90, 0.06, 0.02)))
    assert width_in_front_over_behind(oval) == pytest.approx(1.0, abs=0.12)
    assert width_in_front_over_behind(triangle) > 1.3
    assert width_in_front_over_behind(trefoil) > 1.3
    # The oval and the triangle have straight or round sides; the trefoil's are drawn in by 0.5 mm.
    assert hollow(oval) <= 4
    assert hollow(triangle) <= 8
    assert hollow(trefoil) >= 10


def test_the_facet_is_thicker_on_the_side_of_the_narrower_recess():
    wanted = Wanted(np.full(5, 0.5), np.tile([2.0, 6.0], (5, 1)), np.full((5, 2), 0.5))
    narrowing = narrow(SUBJECT, wanted, Split(0.1, 0.1, 0.7, 0.1))
    assert (narrowing.facet[FIRST_SEGMENT:10, 0] > narrowing.facet[FIRST_SEGMENT:10, 1]).all()


def test_a_focal_bulge_leans_to_its_side():
    section = disc_section(SUBJECT, shapes(0.6), L4_L5)
    for focus in (3.0, -3.0):
        section = replace(section, focus=np.array([focus]), bulge=np.array([5.0]))
        left, right = (float(wall(section, np.array([u]))[0]) for u in (3.0, -3.0))
        assert np.sign(left - right) == np.sign(focus)


def test_the_canal_is_never_closed_by_its_roof():
    for narrowing in looks(3, 0.25):
        section = disc_section(SUBJECT, narrowing, L4_L5)
        u = np.linspace(-3, 3, 61)
        assert (roof(section, u) - wall(section, u) > 2.0).all()


def test_a_finer_grid_finds_the_same_area():
    section = disc_section(SUBJECT, shapes(0.5), L4_L5)
    coarse, fine, finest = (sac_area(section, step) for step in (0.4, 0.2, 0.05))
    assert abs(fine - finest) < abs(coarse - finest) + 0.02
    assert coarse == pytest.approx(finest, rel=0.005)
