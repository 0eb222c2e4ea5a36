"""What stands in a room: planes, voxels and points at their true places, however they are asked."""

from dataclasses import replace

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.viewer.build import bounds_scene
from volspine.viewer.exhibit import Exhibit
from volspine.viewer.lettering import Label, labels_of, lettered
from volspine.viewer.palette import INK, RIGHT_COLOR, rgb
from volspine.viewer.room import Thing, things

T2, AXIAL = Protocol.SAGITTAL_T2, Protocol.AXIAL_T2


@pytest.fixture(scope="module")
def exhibit(ball_study, grades):
    return Exhibit(ball_study, bounds_scene(ball_study, grades=grades))


def part_of(exhibit, room, kind):
    (thing,) = [one for one in things(room) if one.kind == kind]
    return exhibit.part(thing)


def test_a_room_begins_in_the_middle_level_with_the_best_series(exhibit):
    room = exhibit.room(body="voxels")
    assert room.protocols == {T2, AXIAL}
    assert room.shown == {T2}
    assert room.place_mm == pytest.approx((0, 5, 0))
    assert exhibit.room(body="points").shown == {T2, AXIAL}


def test_only_the_protocol_that_is_asked_for_is_there(ball_study):
    scene = bounds_scene(ball_study, protocol=AXIAL)
    assert Exhibit(ball_study, scene, protocol=AXIAL).room(body="voxels").protocols == {AXIAL}


@pytest.mark.parametrize("protocol", [T2, AXIAL])
@pytest.mark.parametrize(("plane", "axis"), [("sagittal", 0), ("coronal", 1), ("axial", 2)])
def test_a_plane_through_the_ball_lies_where_the_ball_is(exhibit, ball_mm, protocol, plane, axis):
    part = exhibit.part(Thing(plane, "plane", protocol, (plane, ball_mm[axis], 0.3)))
    assert len(part.triangles) > 50
    # Flat, at the nearest plane of the grid, and round about the ball: mirrored it would be apart.
    assert np.ptp(part.vertices_mm[:, axis]) < 1e-3
    low, high = part.vertices_mm.min(axis=0), part.vertices_mm.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, ball_mm, atol=1.1)


def test_a_plane_beside_the_ball_shows_only_air(exhibit, ball_mm):
    part = exhibit.part(Thing("sagittal", "plane", T2, ("sagittal", -ball_mm[0], 0.3)))
    assert len(part.vertices_mm) == 0


def test_the_cut_leaves_nothing_of_a_ball_on_the_patients_left(exhibit, ball_mm):
    room = exhibit.room(body="voxels")
    assert len(part_of(exhibit, room, "voxels").vertices_mm) == 0
    whole = part_of(exhibit, replace(room, is_cut=False), "voxels").vertices_mm
    np.testing.assert_allclose((whole.min(axis=0) + whole.max(axis=0)) / 2, ball_mm, atol=1.0)


def test_a_threshold_takes_the_soft_rim_of_the_ball(exhibit):
    sizes = []
    for threshold in (0.0, 0.5, 0.9):
        for body in ("voxels", "points"):
            room = exhibit.room(body=body, is_cut=False, threshold=threshold, shown=frozenset({T2}))
            points = part_of(exhibit, room, body).vertices_mm
            sizes.append(float(np.ptp(points, axis=0).min()))
    voxels, points = sizes[::2], sizes[1::2]
    assert voxels[0] >= voxels[1] > voxels[2]
    assert points[0] >= points[1] >= points[2]
    assert points[0] > points[2]


def test_points_of_a_tilted_series_stand_where_its_ball_is(exhibit, ball_mm):
    room = exhibit.room(body="points", is_cut=False, shown=frozenset({AXIAL}))
    place = part_of(exhibit, room, "points").vertices_mm.mean(axis=0)
    np.testing.assert_allclose(place, ball_mm, atol=0.35)


def test_findings_and_frames_stand_at_the_places_of_the_grades(exhibit, grades):
    balls = part_of(exhibit, exhibit.room(body="none"), "findings").vertices_mm
    assert balls[:, 0].max() == pytest.approx(15 + 2.6 * 1.25, abs=0.1)
    frames = part_of(exhibit, exhibit.room(body="none"), "frames").vertices_mm
    assert np.abs(frames[:, 0]).max() == pytest.approx(24, abs=1.0)
    np.testing.assert_allclose(frames[:, 0].mean(), 0, atol=1.0)


def test_right_stands_on_the_patients_right_and_out(exhibit):
    labels = {label.text: label for label in labels_of(exhibit.scene)}
    assert labels["R"].place_mm[0] < labels["L"].place_mm[0]
    assert labels["A"].place_mm[1] < labels["P"].place_mm[1]
    assert labels["I"].place_mm[2] < labels["S"].place_mm[2]
    assert {text for text, label in labels.items() if label.color == RIGHT_COLOR} == {"R"}
    assert labels["R"].height_mm > labels["L"].height_mm
    assert labels["L4/L5"].place_mm[2] == pytest.approx(-30)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_letters_face_the_camera_and_are_never_mirrored(turn):
    """Seen from anywhere, the foot of an L is to the right of its stem."""
    angle = turn * np.pi / 2 + 0.3
    right = np.array([np.cos(angle), np.sin(angle), 0.0])
    down = np.array([0.0, 0.0, -1.0])
    rotation = np.stack([right, down, np.cross(right, down)])
    place = np.array([5.0, 6.0, 7.0])
    mesh = lettered((Label("L", place, 12.0, INK),), rotation)
    seen = (mesh.vertices_mm - place) @ rotation.T
    assert np.ptp(seen[:, 2]) < 1e-4
    foot = seen[seen[:, 1] > 4]  # Down is positive.
    head = seen[seen[:, 1] < -4]
    assert foot[:, 0].max() > 3
    assert head[:, 0].max() < -2
    assert (mesh.colors == rgb(INK)).all()
