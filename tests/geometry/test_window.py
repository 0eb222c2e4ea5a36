"""Frames along a spine and windows in them: hand values, laws of turning and of the mirror."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Finding, Level, Side
from volspine.errors import ConfigurationError, GeometryError
from volspine.geometry.window import (
    LevelFrame,
    Window,
    frames_along,
    level_frames,
    sideways,
    turned_to_frame,
)
from volspine.landmarks import CHAIN, Landmarks

MIRROR = np.array([-1.0, 1.0, 1.0])


def landmarks_of(chain, *, half_width=17.0, keep_sides=True):
    """Landmarks of a spine whose canal points are given; sides lie straight beside them."""
    points = np.full((25, 3), np.nan)
    for target in TARGETS:
        canal = chain[1 + LEVELS.index(target.level)]
        reach = {Finding.CANAL: 0.0, Finding.FORAMEN: half_width, Finding.RECESS: 8.0}
        sign = {None: 0.0, Side.LEFT: 1.0, Side.RIGHT: -1.0}[target.side]
        if target.side is None or keep_sides:
            points[target.index] = canal + np.array([sign * reach[target.finding], 0, 0])
    return of_points(points, chain)


def of_points(points, chain):
    found = np.isfinite(points).all(axis=1)
    return Landmarks(
        points_mm=points,
        spread_mm=np.where(found, 2.0, np.nan),
        confidence=np.where(found, 0.9, 0.0),
        reasons=tuple("" if there else "not in view" for there in found),
        chain_mm=np.asarray(chain, dtype=np.float64),
        level_confidence=np.full(5, 0.9),
    )


def moved(landmarks, matrix, shift):
    """The landmarks of the same patient, turned and shifted."""
    return replace(
        landmarks,
        points_mm=landmarks.points_mm @ matrix.T + shift,
        chain_mm=landmarks.chain_mm @ matrix.T + shift,
    )


def straight(step=36.0):
    return np.array([[3.0, 20.0, step * (3 - n)] for n in range(len(CHAIN))])


def lordotic(seed=3):
    """A curved spine with some scoliosis and scatter."""
    rng = np.random.default_rng(seed)
    along = np.linspace(-1, 1, len(CHAIN))
    curve = np.stack([6 * along**2, 30 * along**2 - 8 * along, -110 * along], axis=1)
    return curve + rng.normal(0, 1.0, curve.shape)


def scattered(seed=3):
    """Landmarks whose lateral points are not symmetric."""
    marks = landmarks_of(lordotic(seed))
    points = marks.points_mm + np.random.default_rng(seed).normal(0, 1.5, (25, 3))
    points[:5] = marks.points_mm[:5]
    return replace(marks, points_mm=points)


def test_a_straight_spine_has_the_axes_of_the_patient():
    frames = level_frames(landmarks_of(straight()))
    assert [frame.level for frame in frames] == list(LEVELS)
    for n, frame in enumerate(frames):
        assert frame.axes == pytest.approx(np.eye(3), abs=1e-9)
        assert frame.origin_mm.tolist() == [3.0, 20.0, 36.0 * (2 - n)]


def test_a_spine_that_leans_backwards_has_a_normal_that_does():
    lean = np.deg2rad(20)
    chain = straight() @ Rotation.from_rotvec([-lean, 0, 0]).as_matrix().T
    frame = level_frames(landmarks_of(chain))[2]
    # The head of the spine lies further back: y grows with z.
    assert frame.normal == pytest.approx([0.0, np.sin(lean), np.cos(lean)], abs=1e-9)
    assert frame.axes[0] == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)
    assert frame.axes[1] == pytest.approx([0.0, np.cos(lean), -np.sin(lean)], abs=1e-9)


def test_along_an_arc_each_disc_lies_on_a_radius():
    # A circle of 200 mm in the sagittal plane, its middle behind the spine: lordosis.
    angles = np.deg2rad(np.linspace(30, -30, len(CHAIN)))
    chain = np.stack([0 * angles, 200 - 200 * np.cos(angles), 200 * np.sin(angles)], axis=1)
    for frame, angle in zip(level_frames(landmarks_of(chain)), angles[1:-1], strict=True):
        tangent = [0.0, np.sin(angle), np.cos(angle)]
        assert np.degrees(np.arccos(frame.normal @ tangent)) < 0.5


def test_the_left_axis_follows_the_landmarks_of_both_sides():
    marks = landmarks_of(straight())
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(12)]).as_matrix()
    frame = level_frames(moved(marks, turn, np.zeros(3)))[1]
    assert frame.axes[0] == pytest.approx([np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12)), 0])


def test_a_left_that_is_swapped_with_right_turns_the_frame_round():
    marks = landmarks_of(straight())
    swapped = replace(marks, points_mm=marks.points_mm[list(MIRRORED_INDEX)])
    assert level_frames(swapped)[0].axes[0] == pytest.approx([-1.0, 0.0, 0.0])


def test_without_sides_left_is_the_scanners():
    frames = level_frames(landmarks_of(lordotic(), keep_sides=False))
    for frame in frames:
        assert frame.axes[0, 0] > 0.95
        assert frame.axes[0] @ frame.normal == pytest.approx(0.0, abs=1e-9)


def test_one_pair_of_landmarks_serves_every_level():
    marks = landmarks_of(straight())
    points = np.where(np.arange(25)[:, None] < 5, marks.points_mm, np.nan)
    points[5], points[10] = [20.0, 26.0, 72.0], [-14.0, 14.0, 72.0]
    frames = level_frames(of_points(points, marks.chain_mm))
    expected = np.array([34.0, 12.0, 0.0]) / np.hypot(34, 12)
    assert np.stack([frame.axes[0] for frame in frames]) == pytest.approx(np.tile(expected, (5, 1)))
    assert np.isnan(sideways(points)[1]).all()
    assert sideways(points)[0].tolist() == [34.0, 12.0, 0.0]


def test_a_level_without_canal_has_no_frame_and_the_others_keep_theirs():
    marks = landmarks_of(straight())
    points, chain = marks.points_mm.copy(), marks.chain_mm.copy()
    points[2] = chain[3] = chain[0] = chain[6] = np.nan
    frames = level_frames(of_points(points, chain))
    assert frames[2] is None
    assert [frame.level for frame in frames if frame] == [LEVELS[n] for n in (0, 1, 3, 4)]
    assert frames[3].axes == pytest.approx(np.eye(3), abs=1e-9)


def test_one_point_alone_stands_upright_and_none_gives_nothing():
    chain = np.full((7, 3), np.nan)
    assert frames_along(chain) == (None,) * 5
    chain[4] = [1.0, 2.0, 3.0]
    frame = frames_along(chain)[3]
    assert frame.axes.tolist() == np.eye(3).tolist()
    assert frame.origin_mm.tolist() == [1.0, 2.0, 3.0]


def test_one_wrong_point_bends_the_curve_little():
    chain = straight()
    chain[3] += [0.0, 10.0, 0.0]
    for frame in frames_along(chain):
        assert np.degrees(np.arccos(frame.normal[2])) < 6.0


@given(
    rotvec=st.tuples(*[st.floats(-0.8, 0.8)] * 3),
    shift=st.tuples(*[st.floats(-200, 200)] * 3),
    seed=st.integers(0, 50),
)
def test_a_turned_patient_has_turned_frames(rotvec, shift, seed):
    marks = scattered(seed)
    turn = Rotation.from_rotvec(rotvec).as_matrix()
    for here, there in zip(
        level_frames(marks), level_frames(moved(marks, turn, np.array(shift))), strict=True
    ):
        assert there.origin_mm == pytest.approx(turn @ here.origin_mm + shift, abs=1e-6)
        assert there.axes == pytest.approx(here.axes @ turn.T, abs=1e-6)


@given(seed=st.integers(0, 50))
def test_a_mirrored_patient_has_mirrored_frames(seed):
    marks = scattered(seed)
    other = replace(
        marks,
        points_mm=marks.points_mm[list(MIRRORED_INDEX)] * MIRROR,
        chain_mm=marks.chain_mm * MIRROR,
    )
    for here, there in zip(level_frames(marks), level_frames(other), strict=True):
        assert there.origin_mm == pytest.approx(here.origin_mm * MIRROR, abs=1e-9)
        assert there.axes[0] == pytest.approx(-here.axes[0] * MIRROR, abs=1e-9)
        assert there.axes[1:] == pytest.approx(here.axes[1:] * MIRROR, abs=1e-9)


@given(st.tuples(*[st.floats(-300, 300)] * 3))
def test_a_point_goes_into_a_frame_and_back(point):
    frame = level_frames(scattered())[4]
    assert frame.patient(frame.local(np.array(point))) == pytest.approx(point, abs=1e-9)
    assert frame.local(frame.origin_mm).tolist() == [0.0, 0.0, 0.0]


def test_a_sagittal_window_runs_left_down_and_back():
    frame = LevelFrame(Level.L3_L4, np.array([10.0, 20.0, 30.0]), np.eye(3))
    window = Window(frame, "sagittal", (3, 5, 7), (4.0, 2.0, 1.0))
    expected = [[4, 0, 0, 6], [0, 0, 1, 17], [0, -2, 0, 34], [0, 0, 0, 1]]
    assert window.affine_lps.tolist() == expected


def test_an_axial_window_runs_up_back_and_left_and_mirrored_right():
    frame = LevelFrame(Level.L3_L4, np.array([10.0, 20.0, 30.0]), np.eye(3))
    window = Window(frame, "axial", (3, 5, 7), (4.0, 2.0, 1.0), offset_mm=(1.0, 0.0, 0.0))
    expected = [[0, 0, 1, 8], [0, 2, 0, 16], [4, 0, 0, 26], [0, 0, 0, 1]]
    assert window.affine_lps.tolist() == expected
    mirrored = replace(window, mirrored=True)
    expected[0] = [0, 0, -1, 14]
    assert mirrored.affine_lps.tolist() == expected


@given(seed=st.integers(0, 20), plane=st.sampled_from(["sagittal", "axial"]))
def test_a_mirrored_window_holds_the_same_places_the_other_way_round(seed, plane):
    frame = level_frames(scattered(seed))[1]
    plain = Window(frame, plane, (4, 5, 6), (4.0, 0.7, 0.7), offset_mm=(1.0, -2.0, 3.0))
    mirrored = replace(plain, mirrored=True)
    index = np.indices(plain.shape).reshape(3, -1).T
    other = index.copy()
    axis = 0 if plane == "sagittal" else 2
    other[:, axis] = plain.shape[axis] - 1 - index[:, axis]

    def places(window, at):
        return at @ window.affine_lps[:3, :3].T + window.affine_lps[:3, 3]

    assert places(mirrored, index) == pytest.approx(places(plain, other), abs=1e-9)


def test_a_window_of_a_size_holds_that_many_voxels():
    frame = LevelFrame(Level.L3_L4, np.zeros(3), np.eye(3))
    window = Window.of_size(frame, "axial", size_mm=(22.0, 64.0, 64.0), spacing_mm=(4.4, 0.5, 0.5))
    assert window.shape == (5, 128, 128)
    tiny = Window.of_size(frame, "axial", size_mm=(0.1, 64.0, 64.0), spacing_mm=(4.4, 0.5, 0.5))
    assert tiny.shape[0] == 1


def test_a_turned_slice_keeps_its_plane_and_follows_the_disc():
    lean = np.deg2rad(-30)
    axes = np.array([[1, 0, 0], [0, np.cos(lean), -np.sin(lean)], [0, np.sin(lean), np.cos(lean)]])
    frame = LevelFrame(Level.L5_S1, np.zeros(3), axes)
    down, back = turned_to_frame(frame, np.array([1.0, 0.0, 0.0]))
    assert down == pytest.approx([0.0, 0.5, -np.sqrt(3) / 2])
    assert back == pytest.approx([0.0, np.sqrt(3) / 2, 0.5])
    slanted = np.array([np.cos(0.2), np.sin(0.2), 0.0])
    rows = turned_to_frame(frame, slanted)
    assert rows @ slanted == pytest.approx([0.0, 0.0])
    assert rows @ rows.T == pytest.approx(np.eye(2))
    assert rows[1, 1] > 0.8


def test_frames_and_windows_that_cannot_be_are_refused():
    with pytest.raises(GeometryError, match="not finite"):
        LevelFrame(Level.L3_L4, np.array([np.nan, 0, 0]), np.eye(3))
    with pytest.raises(GeometryError, match="right angles"):
        LevelFrame(Level.L3_L4, np.zeros(3), np.diag([-1.0, 1.0, 1.0]))
    frame = LevelFrame(Level.L3_L4, np.zeros(3), np.eye(3))
    with pytest.raises(ConfigurationError, match="coronal window"):
        Window(frame, "coronal", (3, 3, 3), (1.0, 1.0, 1.0))
    with pytest.raises(ConfigurationError, match="positive size"):
        Window(frame, "axial", (3, 0, 3), (1.0, 1.0, 1.0))
    with pytest.raises(GeometryError, match="one point"):
        frames_along(np.zeros((7, 3)))
    with pytest.raises(GeometryError, match="same way"):
        frames_along(straight(), np.tile([0.0, 0.0, 5.0], (5, 1)))
