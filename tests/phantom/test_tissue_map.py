"""Tissue maps: points on their tissues, left on the left, the same person as in the label maps."""

from dataclasses import replace

import numpy as np
import pytest

import volspine.phantom.tissue_map as tissue_map_module
from volspine.errors import ConfigurationError, GeometryError, InputError
from volspine.landmarks import CHAIN, MIRRORED_POINT, POINT_OF_TARGET, POINTS
from volspine.phantom.frame import FIRST_SEGMENT, build_frame
from volspine.phantom.labelmap import label_study
from volspine.phantom.spec import Cohort, Size, Spec, Stage
from volspine.phantom.study import outline_study
from volspine.phantom.subject import draw_subject
from volspine.phantom.tissue_map import SHAPE, TissueMap, map_points, tissue_map
from volspine.phantom.tissue_map_people import (
    RATES,
    is_plain,
    proportioned,
    strain,
    varied_anatomy,
)
from volspine.phantom.tissue_map_store import (
    MapStore,
    map_specs,
    read_map,
    write_map,
    write_maps,
)
from volspine.phantom.tissues import Tissue
from volspine.phantom.truth import build_truth
from volspine.volume.grid import Grid

L5_S1 = FIRST_SEGMENT + 4
IN_SAC = (Tissue.CSF, Tissue.ROOT, Tissue.CORD)
AROUND_ROOT = (
    Tissue.ROOT, Tissue.FAT, Tissue.EPIDURAL_FAT, Tissue.VEIN, Tissue.ANNULUS, Tissue.LIGAMENT,
    Tissue.CAPSULE,
)  # fmt: skip
SPECS = map_specs(3, seed=77)
PLAIN = Spec(seed=8, cohort=Cohort.PROBE, size=Size.SMALL)


@pytest.fixture(scope="module")
def maps():
    return [tissue_map(spec) for spec in SPECS]


@pytest.fixture(scope="module")
def plain():
    return tissue_map(PLAIN, varied=False)


@pytest.fixture
def ready(maps, monkeypatch):
    """Let the store take the maps that are there already: each costs half a second."""
    made = {m.spec: m for m in maps}
    monkeypatch.setattr("volspine.phantom.tissue_map_store.tissue_map", made.__getitem__)


def tissue_at(made, points_index):
    i, j, k = np.rint(points_index).astype(int).T
    return made.tissues[i, j, k]


@pytest.mark.slow
def test_the_canal_points_lie_in_the_dural_sac(maps):
    found = np.array([tissue_at(m, m.points_index)[: len(CHAIN)] for m in maps])
    assert np.isin(found, IN_SAC).all()


def test_the_foraminal_points_lie_on_the_root_or_on_what_crowds_it(maps):
    lateral = [n for n, name in enumerate(POINTS) if "foraminal" in name]
    found = np.array([tissue_at(m, m.points_index)[lateral] for m in maps])
    assert np.isin(found, AROUND_ROOT).all()
    assert (found == Tissue.ROOT).mean() > 0.5


def test_the_points_of_the_left_are_on_the_patient_s_left(maps):
    for made in maps:
        left = [n for n, name in enumerate(POINTS) if name.startswith("left")]
        right = [MIRRORED_POINT[n] for n in left]
        assert (made.points_mm[left, 0] > made.points_mm[right, 0] + 8.0).all()
        assert (made.points_index[left, 0] < made.points_index[right, 0] - 4.0).all()


def test_the_aorta_lies_left_of_the_vena_cava(plain):
    # In front of L2 the aorta's middle is 8 mm left of the body's, and the vena cava's 16 mm right.
    at = np.rint(plain.points_index[POINTS.index("canal_l2_l3")]).astype(int)
    blood = plain.tissues[:, at[1] + 10 :, at[2] + 4] == Tissue.BLOOD
    x = plain.affine_lps[0, 3] + plain.affine_lps[0, 0] * np.arange(SHAPE[0])
    weight = blood.sum(axis=1)
    assert weight[(x > 2) & (x < 14)].sum() > 0
    assert weight[(x < -8) & (x > -24)].sum() > 0
    assert weight[x > 20].sum() == 0


def test_the_chain_runs_from_the_head_to_the_feet(maps):
    for made in maps:
        steps = -np.diff(made.points_mm[: len(CHAIN), 2])
        assert (steps > 10.0).all()
        assert (steps < 50.0).all()


def test_its_lattice_is_ordered_as_a_grid_is(maps):
    for made in maps:
        low, high = made.affine_lps[:3, 3], (made.affine_lps @ [*(n - 1 for n in SHAPE), 1])[:3]
        grid = Grid((2.0, 2.0, 2.0), SHAPE, tuple((low + high) / 2))
        np.testing.assert_allclose(made.affine_lps, grid.affine_lps)
        np.testing.assert_allclose(made.points_index, grid.index_from_mm(made.points_mm), atol=1e-9)


def test_the_plain_map_has_the_points_of_the_study(plain):
    expected = build_truth(PLAIN).landmarks_mm
    np.testing.assert_array_equal(plain.points_mm[list(POINT_OF_TARGET)], expected)


def test_the_plain_map_agrees_with_the_label_maps_of_the_study(plain):
    """Discs and canal of the map, looked up through patient space, sides and all."""
    made = outline_study(PLAIN)
    disc = np.isin(plain.tissues, (Tissue.ANNULUS, Tissue.NUCLEUS))
    agree, total = 0, 0
    for found in list(label_study(made))[:1]:
        nodes = np.argwhere(np.isin(found.labels, range(202, 207)))
        lps = (nodes @ found.affine_ras[:3, :3].T + found.affine_ras[:3, 3]) * [-1, -1, 1]
        body = (lps - made.plan.pose.shift_mm) @ made.plan.pose.rotation
        index = np.rint(plain.index_from_mm(body)).astype(int)
        inside = ((index >= 0) & (index < SHAPE)).all(axis=1)
        agree += int(disc[tuple(index[inside].T)].sum())
        total += int(inside.sum())
    assert total > 500
    assert agree / total > 0.9


def test_a_map_is_the_same_at_every_call(maps):
    again = tissue_map(SPECS[1])
    np.testing.assert_array_equal(again.tissues, maps[1].tissues)
    np.testing.assert_array_equal(again.points_mm, maps[1].points_mm)


def test_people_of_different_specs_differ(maps):
    assert not np.allclose(maps[0].points_mm, maps[1].points_mm, atol=0.5)


def test_the_stream_of_what_is_strained_is_none_of_the_phantom_s():
    stages = {float(SPECS[0].stream(stage).random()) for stage in Stage}
    subjects = [varied_anatomy(SPECS[0]).subject.size, build_truth(SPECS[0]).anatomy.subject.size]
    assert len(stages) == len(Stage)
    assert subjects[0] != subjects[1]


def test_sacra_are_fused_anywhere_between_wholly_and_hardly_but_transitional_ones_stay():
    base = draw_subject(np.random.default_rng(0), 0.0)
    people = [strain(base, np.random.default_rng(n)) for n in range(200)]
    kept = np.array([p.discs[L5_S1 + 1] / base.discs[L5_S1 + 1] for p in people])
    assert kept.min() < 0.2
    assert kept.max() > 1.2
    assert 0.3 < np.median(kept) < 0.55  # The root of 0.1 times 1.6 is 0.4.
    transitional = replace(base, transition=1)
    for seed in range(5):
        strained = strain(transitional, np.random.default_rng(seed))
        assert strained.discs[L5_S1 + 1] == base.discs[L5_S1 + 1]


def test_people_are_strained_about_as_often_as_the_rates_say():
    base = draw_subject(np.random.default_rng(0), 0.0)
    people = [strain(base, np.random.default_rng(n)) for n in range(400)]
    share = {
        "scoliosis": np.mean([p.sway != base.sway for p in people]),
        "slip": np.mean([p.slips.max() >= 3.0 for p in people]),
        "fracture": np.mean([(p.heights < base.heights).any() for p in people]),
        "collapse": np.mean([(p.discs / base.discs)[: L5_S1 + 1].min() <= 0.7 for p in people]),
    }
    for name, found in share.items():
        # Four standard errors of a share of 400.
        assert abs(found - RATES[name]) < 4 * np.sqrt(RATES[name] * (1 - RATES[name]) / 400), name
    curves = np.array([p.bends[5:10].sum() for p in people]) / base.bends[5:10].sum()
    assert 0.15 < curves.std() < 0.45
    fat = np.array([p.dorsal_fat for p in people])
    assert fat.min() < 5.0
    assert fat.max() > 50.0


def test_proportions_vary_from_part_to_part_and_the_sacrum_s_as_a_whole():
    base = draw_subject(np.random.default_rng(0), 0.0)
    people = [proportioned(base, np.random.default_rng(n)) for n in range(300)]
    tall = np.log([p.heights / base.heights for p in people])
    lumbar, s1 = tall[:, L5_S1 - 4], tall[:, L5_S1 + 1]
    assert abs(lumbar.mean()) < 0.02
    assert 0.045 < lumbar.std() < 0.09
    assert s1.std() > 1.5 * lumbar.std()
    wide = np.log([p.widths / base.widths for p in people])
    assert np.ptp(wide[:, L5_S1 + 1 :], axis=1).max() < 1e-12  # One factor for all of a sacrum.
    assert not wide[:, : L5_S1 + 1].any()
    at_will = np.mean([(p.hydration != base.hydration).any() for p in people])
    assert abs(at_will - 0.4) < 4 * np.sqrt(0.24 / 300)
    assert all((p.hydration[L5_S1 + 1 :] == base.hydration[L5_S1 + 1 :]).all() for p in people)


def test_what_lies_beside_the_spine_says_little_of_levels():
    base = draw_subject(np.random.default_rng(0), 0.0)
    assert base.raised == (0.0, 0.0, 0.0)
    people = [strain(base, np.random.default_rng(n)) for n in range(300)]
    raised = np.array([p.raised for p in people])
    assert raised[:, 0].std() > 25.0  # Nearly the height of a level.
    assert raised[:, 1].std() > 20.0
    assert raised[:, 2].std() > 7.0
    assert abs(np.corrcoef(raised.T)[0, 1]) < 0.2
    conus = np.array([p.conus for p in people])
    assert conus.min() < 4.0
    assert conus.max() > 7.0


@pytest.mark.parametrize(("which", "tissue"), [(1, Tissue.ORGAN), (2, Tissue.MARROW)])
@pytest.mark.slow
def test_organs_that_are_raised_are_painted_higher(plain, monkeypatch, which, tissue):
    """Kidneys, of which a map holds the inner part, and iliac bones."""
    truth = build_truth(PLAIN)
    raised = tuple(20.0 * (n == which) for n in range(3))
    subject = replace(truth.anatomy.subject, raised=raised)
    moved = replace(truth, anatomy=replace(truth.anatomy, subject=subject))
    monkeypatch.setattr(tissue_map_module, "build_truth", lambda spec: moved)
    found = tissue_map(PLAIN, varied=False)
    changed = plain.tissues != found.tissues
    before, after = (
        np.argwhere((each.tissues == tissue) & changed)[:, 2].mean() for each in (plain, found)
    )
    assert after > before + 3.0


def test_a_spine_whose_planes_cross_near_it_is_not_plain():
    subject = draw_subject(np.random.default_rng(0), 0.0)
    parts = (subject.heights, subject.discs)
    assert is_plain(build_frame(*parts, subject.bends, subject.pitch))
    # The plane of S5 stands upright and runs through the lumbar bodies.
    folded = subject.bends - np.deg2rad(35.0) * (np.arange(len(subject.bends)) > 9)
    assert not is_plain(build_frame(*parts, folded, subject.pitch))


def test_the_discs_of_the_widest_varied_people_lie_a_vertebra_apart():
    for index in range(12):
        spec = Spec(seed=78, index=index, cohort=Cohort.SHIFT)
        points = map_points(varied_anatomy(spec))[: len(CHAIN)]
        assert np.linalg.norm(np.diff(points, axis=0), axis=1).min() > 15.0


def test_a_wedged_vertebra_is_lower_and_the_spine_bends_forwards_over_it():
    base = draw_subject(np.random.default_rng(0), 0.0)
    for n in range(60):
        bent = strain(base, np.random.default_rng(n))
        wedged = np.flatnonzero(bent.wedges < base.wedges)
        assert (bent.heights[wedged] < base.heights[wedged]).all()
        assert (np.rad2deg(base.wedges - bent.wedges) < 25).all()


@pytest.mark.usefixtures("ready")
def test_written_maps_are_read_back_and_are_the_same_bytes_again(tmp_path, maps):
    first = write_map(tmp_path / "a", SPECS[2])
    second = write_map(tmp_path / "b", SPECS[2])
    assert first.read_bytes() == second.read_bytes()
    back = read_map(first)
    np.testing.assert_array_equal(back.tissues, maps[2].tissues)
    np.testing.assert_array_equal(back.points_mm, maps[2].points_mm)
    np.testing.assert_array_equal(back.affine_lps, maps[2].affine_lps)
    assert back.spec == SPECS[2]
    assert back.varied


@pytest.mark.usefixtures("ready")
def test_an_interrupted_store_goes_on_where_it_stopped(tmp_path):
    calls = []
    write_map(tmp_path, SPECS[0])
    untouched = (tmp_path / "rsna_like_77_00000.npz").stat().st_mtime_ns
    store = write_maps(SPECS[:2], tmp_path, progress=lambda done, of: calls.append((done, of)))
    assert calls == [(2, 2)]
    assert len(store) == 2
    assert [made.spec for made in store] == SPECS[:2]
    assert store.files[0].stat().st_mtime_ns == untouched
    assert [f.name for f in MapStore.open(tmp_path).files] == [
        "probe_77_00000.npz",
        "rsna_like_77_00000.npz",
    ]


@pytest.mark.slow
def test_two_workers_write_the_same_bytes_as_one(tmp_path):
    one = write_maps(SPECS, tmp_path / "one")
    two = write_maps(SPECS, tmp_path / "two", workers=2)
    assert [f.read_bytes() for f in one.files] == [f.read_bytes() for f in two.files]


def test_specs_take_the_cohorts_in_turn_and_never_repeat():
    specs = map_specs(7, seed=5)
    assert [s.cohort for s in specs[:4]] == [
        Cohort.RSNA_LIKE, Cohort.PROBE, Cohort.SHIFT, Cohort.RSNA_LIKE,
    ]  # fmt: skip
    assert len(set(specs)) == 7


def test_a_folder_without_maps_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no tissue map"):
        MapStore.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"nothing of the kind"])
def test_a_damaged_map_is_refused(tmp_path, content):
    path = tmp_path / "rsna_like_1_00000.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a tissue map"):
        read_map(path)


@pytest.mark.usefixtures("ready")
def test_a_map_of_another_version_is_refused(tmp_path, monkeypatch):
    path = write_map(tmp_path, SPECS[0])
    monkeypatch.setattr("volspine.phantom.tissue_map_store.VERSION", 99)
    with pytest.raises(InputError, match="version"):
        read_map(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tissues": np.zeros((2, 2), np.uint8)},
        {"tissues": np.full((2, 2, 2), 200, np.uint8)},
        {"points_mm": np.zeros((25, 3))},
        {"points_mm": np.full((27, 3), np.nan)},
    ],
    ids=["flat", "unknown tissue", "too few points", "points nowhere"],
)
def test_a_map_that_cannot_be_is_refused(wrong):
    good = TissueMap(np.zeros((2, 2, 2), np.uint8), np.eye(4), np.zeros((27, 3)), PLAIN)
    with pytest.raises(GeometryError, match="cannot be"):
        replace(good, **wrong)
