"""Straight to tensors: the same numbers as through DICOM files, from NumPy and torch alone."""

import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch.utils.data import DataLoader

from volspine.anatomy import LEVELS, MIRRORED_INDEX, PROTOCOLS, TARGETS, Level, Protocol
from volspine.dicom.reading import read_study
from volspine.errors import ConfigurationError, GeometryError
from volspine.phantom import scene as scene_module
from volspine.phantom.anatomy import mirrored
from volspine.phantom.dicom import write_study
from volspine.phantom.direct import (
    CropShape,
    PhantomCrops,
    PhantomGrids,
    Scan,
    level_crops,
    localizer_example,
    study_crops,
)
from volspine.phantom.plan import Pose, draw_plan
from volspine.phantom.render import render_series
from volspine.phantom.spec import Cohort, Size, Spec
from volspine.phantom.study import acquire_study, outline_study, render_study
from volspine.phantom.truth import build_truth
from volspine.phantom.windows import cut, interpolation
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_study

CLEAN = Spec(seed=6, index=3, cohort=Cohort.CLEAN, size=Size.SMALL)
NOISY = replace(CLEAN, cohort=Cohort.RSNA_LIKE)
GRID = Grid(spacing_mm=(6.0, 3.0, 3.0), shape=(16, 56, 72))
SHAPES = (CropShape(7, (40, 40), 2.0), CropShape(3, (32, 32), 2.0))
VIEWS = ("sagittal_t1", "sagittal_t2", "axial_t2")


def agreement(ours, files, inside):
    """Return the best factor, the correlation and the difference left, per standard deviation."""
    x, y = ours[inside].astype(np.float64), files[inside].astype(np.float64)
    factor = (x * y).sum() / (x * x).sum()
    left = np.sqrt(((factor * x - y) ** 2).mean()) / y.std()
    return factor, np.corrcoef(x, y)[0, 1], left


def sampled_from_files(stacks, affine_lps, shape):
    """Interpolate the stack that reaches most of a crop, by SciPy."""
    lattice = np.indices(shape).reshape(3, -1).T
    points = lattice @ affine_lps[:3, :3].T + affine_lps[:3, 3]
    best = None
    for stack in stacks:
        inverse = np.linalg.inv(stack.affine_lps)
        index = points @ inverse[:3, :3].T + inverse[:3, 3]
        half = np.array(stack.shape) / 2
        inside = (np.abs(index - half + 0.5) <= half + 1e-9).all(axis=1)
        if best is None or inside.sum() > best[1].sum():
            values = map_coordinates(stack.voxels, index.T, order=1, mode="nearest")
            best = values, inside
    return best[0].reshape(shape), best[1].reshape(shape)


@cache
def truth_of(spec):
    return build_truth(spec)


@cache
def clean_study():
    return render_study(CLEAN)


@cache
def clean_grid():
    return localizer_example(CLEAN, GRID, protocols=PROTOCOLS)


@cache
def clean_crops():
    return study_crops(CLEAN, shapes=SHAPES)


def test_a_grid_holds_what_the_written_and_read_files_hold(tmp_path):
    write_study(acquire_study(CLEAN), tmp_path / "study")
    files = sample_study(read_study(tmp_path / "study"), GRID)
    ours = clean_grid()
    assert ours.affine_lps.numpy() == pytest.approx(files.grid.affine_lps, abs=1e-3)
    for n in range(3):
        mask = ours.masks[n].numpy()
        assert (mask != files.masks[n]).mean() < 1e-4
        factor, correlation, left = agreement(
            ours.images[n].numpy(), files.images[n], mask & files.masks[n]
        )
        assert 0.9 < factor < 1.1
        assert correlation > 0.9995
        assert left < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_a_grid_of_full_size_holds_what_the_study_holds(index):
    spec = Spec(seed=1, index=index, cohort=Cohort.CLEAN)
    grid = Grid(spacing_mm=(4.0, 2.0, 2.0), shape=(24, 96, 128))
    files, ours = sample_study(render_study(spec), grid), localizer_example(spec, grid)
    for n in range(2):
        assert (ours.masks[n].numpy() == files.masks[n]).all()
        factor, correlation, left = agreement(
            ours.images[n].numpy(), files.images[n], files.masks[n]
        )
        assert 0.85 < factor < 1.15
        assert correlation > 0.9995
        assert left < 0.03


@pytest.mark.parametrize("level", [0, 4])
@pytest.mark.parametrize("view", VIEWS)
def test_a_crop_holds_what_the_stacks_of_the_study_hold(level, view):
    crop = getattr(clean_crops()[level], view)
    stacks = clean_study().by_protocol(Protocol(view))[0].stacks
    image, inside = sampled_from_files(stacks, crop.affine_lps.numpy(), tuple(crop.image.shape))
    assert (crop.mask.numpy() == inside).all()
    assert (crop.image.numpy()[~inside] == 0).all()
    factor, correlation, left = agreement(crop.image.numpy(), image, inside)
    assert 0.9 < factor < 1.1
    assert correlation > 0.9995
    assert left < 0.03


@pytest.mark.slow
def test_a_crop_of_full_size_holds_what_the_stacks_of_the_study_hold():
    spec = Spec(seed=1, index=1, cohort=Cohort.CLEAN)
    study, crops = render_study(spec), level_crops(spec, Level.L4_L5)
    for view in VIEWS:
        crop = getattr(crops, view)
        stacks = study.by_protocol(Protocol(view))[0].stacks
        image, inside = sampled_from_files(stacks, crop.affine_lps.numpy(), tuple(crop.image.shape))
        factor, correlation, left = agreement(crop.image.numpy(), image, inside)
        assert 0.85 < factor < 1.15
        assert correlation > 0.998
        assert left < 0.06


def test_one_level_is_that_level_of_the_study():
    alone, among = level_crops(CLEAN, "l3_l4", shapes=SHAPES), clean_crops()[2]
    assert int(alone.level) == int(among.level) == 2
    for view in VIEWS:
        here, there = getattr(alone, view), getattr(among, view)
        assert here.affine_lps.equal(there.affine_lps)
        assert here.image.numpy() == pytest.approx(there.image.numpy(), abs=25)


@pytest.mark.parametrize("number", [0, 2])
def test_noise_free_pixels_of_a_window_are_those_of_the_whole(number):
    truth = truth_of(CLEAN)
    plan = draw_plan(CLEAN, truth.anatomy).series[number]
    rows, columns, slices = range(30, 61), range(25, 70), [4, 2]
    whole = render_series(truth.anatomy, [plan])[0]
    part = render_series(truth.anatomy, [cut(plan, slices, rows, columns)])[0]
    expected = whole[slices, 30:61, 25:70]
    assert np.abs(part - expected).max() < 1e-4 * whole.max()


@pytest.mark.parametrize("lines", [48, 60, 64])
@pytest.mark.parametrize("stored", [48, 64, 96, 150])
def test_interpolation_of_the_whole_field_is_zero_filling(lines, stored):
    image = np.random.default_rng(3).standard_normal(64)
    spectrum, kept = np.fft.fft(image), min(lines, stored)
    filled = np.zeros(stored, dtype=complex)
    filled[: kept // 2] = spectrum[: kept // 2]
    filled[-(kept // 2) :] = spectrum[-(kept // 2) :]
    # The outermost frequency, which has one sign only, counts half at either.
    expected = np.fft.ifft(filled).real * stored / 64
    weights = interpolation(range(stored), stored, range(64), 64, lines=lines).double().numpy()
    assert weights @ image == pytest.approx(expected, abs=1e-5)


@given(first=st.integers(0, 60), size=st.integers(30, 60), stored=st.sampled_from([96, 120, 250]))
def test_interpolation_in_a_window_keeps_a_constant_and_nearly_a_wave(first, size, stored):
    painted = range(first, first + size)
    low, high = (first + 11) * stored // 120, (first + size - 12) * stored // 120
    wanted = range(low + 1, max(high, low + 2))
    weights = interpolation(wanted, stored, painted, 120, lines=120).double().numpy()
    assert weights.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    place = np.array(wanted) * 120 / stored
    wave = np.cos(2 * np.pi * np.array(painted) / 6.0)
    assert weights @ wave == pytest.approx(np.cos(2 * np.pi * place / 6.0), abs=0.02)


def test_landmarks_are_the_truths_in_millimetres_and_in_every_index():
    made, ours = outline_study(CLEAN), clean_grid()
    assert ours.landmarks_mm.numpy() == pytest.approx(made.landmarks_mm, abs=1e-9)
    index = ours.landmarks_index.double().numpy()
    affine = ours.affine_lps.numpy()
    assert index @ affine[:3, :3].T + affine[:3, 3] == pytest.approx(made.landmarks_mm, abs=1e-3)
    for level, crops in enumerate(clean_crops()):
        expected = made.landmarks_mm[level::5]
        assert crops.landmarks_mm.numpy() == pytest.approx(expected, abs=1e-9)
        assert crops.grades.tolist() == made.truth.grades[level::5].tolist()
        for view in VIEWS:
            crop = getattr(crops, view)
            affine, index = crop.affine_lps.numpy(), crop.landmarks_index.double().numpy()
            there = index @ affine[:3, :3].T + affine[:3, 3]
            assert there == pytest.approx(expected, abs=1e-3)


def test_the_canals_landmark_is_in_bright_fluid_on_t2():
    measures = truth_of(CLEAN).measures
    wide = [n for n in range(5) if measures[n] > 0.7]
    assert wide
    for n in wide:
        crop = clean_crops()[n].sagittal_t2
        d, h, w = crop.landmarks_index[0].round().long().tolist()
        around = crop.image[d, h - 1 : h + 2, w - 1 : w + 2]
        assert around.max() > np.percentile(crop.image[crop.mask].numpy(), 90)


def test_a_crop_is_centred_on_the_canal_and_moves_with_the_offset():
    for view in VIEWS:
        crop = getattr(clean_crops()[1], view)
        depth, row, column = crop.landmarks_index[0].tolist()
        size = crop.image.shape
        assert (row, column) == pytest.approx(((size[1] - 1) / 2, (size[2] - 1) / 2), abs=1e-3)
        assert abs(depth - (size[0] - 1) / 2) <= 0.5 + 1e-6
    moved = level_crops(CLEAN, Level.L2_L3, offset_mm=(0.0, 6.0, 0.0), shapes=SHAPES)
    shift = moved.sagittal_t2.landmarks_index[0] - clean_crops()[1].sagittal_t2.landmarks_index[0]
    # 6 mm backwards is 3 columns; the body's yaw leaks a little into the other axes.
    assert shift.tolist() == pytest.approx([0.0, 0.0, -3.0], abs=0.3)


def test_left_is_on_the_right_of_an_axial_crop_and_last_in_a_sagittal_one():
    for crops in clean_crops():
        canal, left, right, *_ = crops.axial_t2.landmarks_index[:, 2].tolist()
        assert right < canal < left
        canal, left, right, *_ = crops.sagittal_t1.landmarks_index[:, 0].tolist()
        assert right < canal < left


@pytest.mark.slow
def test_an_aligned_sagittal_crop_has_its_disc_level():
    spec = replace(CLEAN, index=0)
    straight, turned = (
        level_crops(spec, "l5_s1", shapes=SHAPES, aligned=aligned).sagittal_t2
        for aligned in (False, True)
    )
    frame = truth_of(spec).anatomy.frame
    tilt = float(frame.tilts[9:11].mean())
    pose = draw_plan(spec, truth_of(spec).anatomy).pose
    normal = pose.rotation @ np.array([0.0, np.sin(tilt), np.cos(tilt)])
    # The columns run along the disc: at right angles to its normal.
    along = [crop.affine_lps[:3, 2].numpy() @ normal for crop in (straight, turned)]
    assert abs(along[1]) < 0.02
    assert abs(along[0]) > 0.2
    assert turned.landmarks_index[0].tolist() == pytest.approx(
        straight.landmarks_index[0].tolist(), abs=1e-3
    )


def mirrored_builders(monkeypatch, spec):
    """Make the scene of a spec that of the same person in a mirror, scanned symmetrically."""
    truth = truth_of(spec)
    plan = draw_plan(spec, truth.anatomy)
    other = np.array([-1.0, 1.0, 1.0])
    rotation = np.diag(other) @ plan.pose.rotation @ np.diag(other)
    flipped = [replace(s, centres_mm=s.centres_mm * other) for s in plan.series]
    for n, series in enumerate(plan.series[1:], start=1):
        if series.centres_mm is plan.series[n - 1].centres_mm:
            flipped[n] = replace(flipped[n], centres_mm=flipped[n - 1].centres_mm)
    index = np.array(MIRRORED_INDEX)
    swapped = replace(
        truth,
        anatomy=mirrored(truth.anatomy),
        landmarks_mm=truth.landmarks_mm[index] * other,
        grades=truth.grades[index],
    )
    pose = Pose(rotation, plan.pose.shift_mm * other)
    made = replace(
        outline_study(spec),
        truth=swapped,
        plan=replace(plan, series=tuple(flipped), pose=pose),
    )
    monkeypatch.setattr(scene_module, "outline_study", lambda _: made)


@pytest.mark.slow
def test_a_mirrored_person_gives_the_mirrored_crops_with_sides_swapped(monkeypatch):
    spec = Spec(seed=2, index=5, cohort=Cohort.PROBE, size=Size.SMALL)
    spec = replace(spec, cohort=Cohort.CLEAN)
    swap = [0, 2, 1, 4, 3]
    assert any(TARGETS[n].side is not None for n in np.flatnonzero(truth_of(spec).grades))
    plain = study_crops(spec, shapes=SHAPES)
    mirrored_builders(monkeypatch, spec)
    for here, there in zip(plain, study_crops(spec, shapes=SHAPES), strict=True):
        assert there.grades.tolist() == here.grades[swap].tolist()
        axial = here.axial_t2.image.flip(2), there.axial_t2.image
        assert axial[1].numpy() == pytest.approx(axial[0].numpy(), abs=4.0)
        assert (axial[1] - here.axial_t2.image).abs().max() > 100
        sagittal = here.sagittal_t1.image.flip(0), there.sagittal_t1.image
        assert sagittal[1].numpy() == pytest.approx(sagittal[0].numpy(), abs=4.0)
        columns = there.axial_t2.landmarks_index[:, 2]
        expected = 31 - here.axial_t2.landmarks_index[swap, 2]
        assert columns.tolist() == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.slow
def test_a_mirrored_person_gives_the_mirrored_grid(monkeypatch):
    plain = clean_grid()
    mirrored_builders(monkeypatch, CLEAN)
    other = localizer_example(CLEAN, GRID, protocols=PROTOCOLS)
    assert other.masks.equal(plain.masks.flip(1))
    assert other.images.numpy() == pytest.approx(plain.images.flip(1).numpy(), abs=4.0)
    assert other.grades.tolist() == plain.grades[list(MIRRORED_INDEX)].tolist()


@pytest.mark.slow
def test_noise_differs_between_draws_and_nothing_else_does():
    one, other = (level_crops(NOISY, "l4_l5", shapes=SHAPES, scan=Scan(draw=n)) for n in (0, 1))
    assert not one.axial_t2.image.equal(other.axial_t2.image)
    assert one.axial_t2.affine_lps.equal(other.axial_t2.affine_lps)
    assert one.grades.equal(other.grades)
    assert one.labels.equal(other.labels)


@pytest.mark.slow
def test_noise_in_a_crop_has_the_spread_that_the_plan_asks_for():
    spec = replace(NOISY, index=1)
    image = level_crops(spec, "l3_l4", shapes=SHAPES).sagittal_t1.image
    twin = level_crops(spec, "l3_l4", shapes=SHAPES, scan=Scan(draw=7)).sagittal_t1.image
    files = render_study(spec).by_protocol(Protocol.SAGITTAL_T1)[0].stacks[0].voxels
    # Stored values are near 1800 for bright tissue, and so is a crop's noise in proportion.
    snr = draw_plan(spec, truth_of(spec).anatomy).series[0].snr
    spread = float((image - twin).std()) / np.sqrt(2)
    assert 0.2 < spread / (1800 / snr) < 2.5
    assert 0.3 < float(image.mean()) / files[files > 100].mean() < 3.0


@pytest.mark.slow
def test_a_level_that_axial_slices_leave_out_is_masked():
    for index in range(60):
        spec = replace(NOISY, index=index)
        if not draw_plan(spec, truth_of(spec).anatomy).covered[0]:
            break
    crops = level_crops(spec, "l1_l2", shapes=SHAPES)
    assert not crops.axial_t2.mask.any()
    assert not crops.axial_t2.image.any()
    assert torch.isfinite(crops.axial_t2.landmarks_index).all()
    assert crops.sagittal_t2.mask.any()


def test_an_unknown_level_is_refused():
    with pytest.raises(ConfigurationError, match="VS-CFG-049"):
        level_crops(CLEAN, "l6_s1")


def test_a_crop_outside_everything_is_refused():
    with pytest.raises(GeometryError, match="VS-GEO-033"):
        level_crops(CLEAN, "l4_l5", offset_mm=(0.0, 900.0, 0.0), shapes=SHAPES)


def test_a_grid_beside_the_patient_is_empty():
    grid = replace(GRID, center_mm=(0.0, 900.0, 0.0))
    example = localizer_example(CLEAN, grid)
    assert not example.masks.any()
    assert not example.images.any()


@pytest.mark.slow
def test_datasets_work_in_workers_and_give_what_one_process_gives():
    grids = PhantomGrids([replace(NOISY, index=n) for n in range(2)], GRID)
    assert len(grids) == 2
    batch = next(iter(DataLoader(grids, batch_size=2, num_workers=2)))
    assert batch.images.shape == (2, 2, *GRID.shape)
    alone = grids[1]
    assert batch.images[1].equal(alone.images)
    assert batch.landmarks_index[1].equal(alone.landmarks_index)
    assert not batch.images[0].equal(alone.images)


def test_the_dataset_of_crops_pickles_stacks_levels_and_jitters_them():
    still = PhantomCrops([CLEAN], SHAPES)
    moving = pickle.loads(pickle.dumps(replace(still, jitter_mm=(1.0, 3.0, 3.0))))
    crops, moved = still[0], moving[0]
    assert not moved.sagittal_t2.image.equal(crops.sagittal_t2.image)
    assert crops.level.tolist() == list(range(len(LEVELS)))
    assert crops.sagittal_t1.image.shape == (5, 7, 40, 40)
    assert crops.landmarks_mm.shape == (5, 5, 3)
    assert moved.landmarks_mm.equal(crops.landmarks_mm)
    shift = moved.sagittal_t2.landmarks_index[:, 0] - crops.sagittal_t2.landmarks_index[:, 0]
    assert 0.2 < shift[:, 1:].std() < 4.0


PURE = """
import importlib.abc, sys
import numpy, torch, torch.utils.data

known = {name.partition(".")[0] for name in sys.modules} | set(sys.stdlib_module_names)

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in known and top != "volspine":
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Refuse())
from volspine.phantom.appearance import sample_generator, sample_map
from volspine.phantom.direct import CropShape, PhantomCrops, PhantomGrids
from volspine.phantom.spec import Size, Spec
from volspine.phantom.tissue_map import tissue_map
from volspine.phantom.tissue_map_store import MapStore
from volspine.volume.grid import Grid

specs = [Spec(seed=1, size=Size.SMALL)]
grid = Grid(spacing_mm=(6.0, 4.0, 4.0), shape=(12, 40, 50))
shapes = (CropShape(7, (40, 40), 2.0), CropShape(3, (32, 32), 2.0))
assert PhantomGrids(specs, grid)[0].images.any()
assert PhantomCrops(specs, shapes)[0].axial_t2.image.any()
assert sample_map(tissue_map(specs[0]), sample_generator(0, 0, 0)).image.any()
try:
    import scipy
    raise SystemExit("scipy was importable after all")
except ModuleNotFoundError:
    pass
print("pure")
"""


@pytest.mark.slow
def test_tensors_need_numpy_and_torch_only():
    done = subprocess.run([sys.executable, "-c", PURE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "pure", done.stderr
