"""The room without a window: what each key does, and what is then to be seen."""

from dataclasses import replace

import pytest

from volspine.anatomy import Protocol
from volspine.viewer.room import HELP, KEYS, Room, pressed, said, things

T1, T2, AXIAL = Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2


@pytest.fixture
def room():
    return Room(
        protocols=frozenset({T1, T2, AXIAL}),
        shown=frozenset({T2}),
        place_mm=(0.0, 10.0, 20.0),
        low_mm=(-40.0, -90.0, -100.0),
        high_mm=(40.0, 90.0, 100.0),
    )


def names(room):
    return [thing.name for thing in things(room)]


def after(room, *keys):
    for key in keys:
        room = pressed(room, key)
    return room


def test_a_room_begins_with_one_series_findings_frames_and_letters(room):
    assert names(room) == ["voxels sagittal_t2", "findings", "frames", "letters"]


@pytest.mark.parametrize(("key", "protocol"), [("1", T1), ("2", T2), ("3", AXIAL)])
def test_a_number_shows_or_hides_its_sequence_and_twice_is_as_before(room, key, protocol):
    assert pressed(room, key).shown == room.shown ^ {protocol}
    assert after(room, key, key) == room


def test_a_sequence_that_the_study_lacks_cannot_be_shown(room):
    assert pressed(room, "4") is room
    assert "other" not in said(pressed(room, "4"))


@pytest.mark.parametrize(("key", "body"), [("V", "voxels"), ("P", "points"), ("N", "none")])
def test_a_letter_chooses_voxels_points_or_neither(room, key, body):
    shown = names(pressed(room, key))
    assert [name for name in shown if "sagittal_t2" in name] == (
        [] if body == "none" else [f"{body} sagittal_t2"]
    )


@pytest.mark.parametrize(
    ("key", "plane", "axis"), [("X", "sagittal", 0), ("Y", "coronal", 1), ("Z", "axial", 2)]
)
def test_a_plane_is_switched_on_at_its_place(room, key, plane, axis):
    (thing,) = [one for one in things(pressed(room, key)) if one.kind == "plane"]
    assert (thing.name, thing.protocol) == (plane, T2)
    assert thing.look == (plane, room.place_mm[axis], 0.0)
    assert after(room, key, key) == room


@pytest.mark.parametrize(
    ("key", "axis", "step"),
    [
        ("RIGHT", 0, 2.0),  # The right arrow goes to the patient's left: +x.
        ("LEFT", 0, -2.0),
        ("PAGE_DOWN", 1, 2.0),  # Towards the back: +y.
        ("PAGE_UP", 1, -2.0),
        ("UP", 2, 2.0),  # Towards the head: +z.
        ("DOWN", 2, -2.0),
    ],
)
def test_arrows_move_the_planes_towards_left_back_and_head(room, key, axis, step):
    moved = pressed(room, key).place_mm
    assert moved[axis] == room.place_mm[axis] + step
    assert [a == b for a, b in zip(moved, room.place_mm, strict=True)].count(False) == 1


@pytest.mark.parametrize(("key", "axis", "end"), [("LEFT", 0, -40.0), ("UP", 2, 100.0)])
def test_a_plane_stops_at_the_end_of_the_study(room, key, axis, end):
    assert after(room, *[key] * 100).place_mm[axis] == end


def test_planes_are_of_one_sequence_so_that_no_two_lie_in_one_place(room):
    every = replace(room, shown=room.protocols, planes=frozenset({"axial"}))
    assert [t.protocol for t in things(every) if t.kind == "plane"] == [T2]
    without = pressed(every, "2")
    assert [t.protocol for t in things(without) if t.kind == "plane"] == [T1]
    nothing = replace(every, shown=frozenset())
    assert names(nothing) == ["findings", "frames", "letters"]


def test_the_threshold_goes_in_steps_from_0_to_its_end_and_changes_only_the_series(room):
    higher = after(room, "]", "]", "]")
    assert higher.threshold == pytest.approx(0.15)
    changed = set(things(higher)) - set(things(room))
    assert [thing.kind for thing in changed] == ["voxels"]
    assert after(higher, "[", "[", "[", "[").threshold == 0.0
    assert after(room, *["]"] * 40).threshold == 0.95


@pytest.mark.parametrize(("key", "kind"), [("M", "findings"), ("F", "frames"), ("L", "letters")])
def test_what_is_drawn_in_can_be_switched_off_and_on(room, key, kind):
    assert kind in names(room)
    assert kind not in names(pressed(room, key))
    assert after(room, key, key) == room


def test_cutting_open_changes_the_look_of_the_series(room):
    (before,), (whole,) = ([t for t in things(r) if t.protocol] for r in (room, pressed(room, "C")))
    assert before.name == whole.name
    assert before != whole


def test_the_room_is_told_in_one_line(room):
    assert said(room) == "sagittal T2; voxels, cut open; threshold 0.00; no plane"
    told = said(after(room, "N", "X", "]"))
    assert told == "sagittal T2; no voxels; threshold 0.05; sagittal plane at x 0, y 10, z 20 mm"


def test_every_key_is_in_the_help():
    text = " ".join(HELP)
    for key in KEYS:
        words = {"PAGE_UP": "Page Up", "PAGE_DOWN": "Page Up and Down"}
        assert words.get(key, key if len(key) == 1 else key.lower()) in text
