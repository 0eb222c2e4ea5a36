"""Room: what stands in the window and how the keys change it; no graphics.

A room is a value. A key makes another room of it, and `things` says what is to be seen in a room,
each thing with a name and with all that its look depends on: a window draws anew only what is not
the same as before.

    V P N     voxels, points, or neither           1 2 3 4   sagittal T1, sagittal T2, axial, other
    C         cut open or whole                    [ ]       threshold down and up
    X Y Z     sagittal, coronal, axial plane       arrows, Page Up, Page Down  move the planes
    M F L     findings, frames of levels, letters  H         what the keys are

Millimetres are LPS: the right arrow moves the sagittal plane to the patient's left, which is on the
right of the screen at first, as in every picture that is hung.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from volspine.anatomy import Protocol

__all__ = ["HELP", "KEYS", "Body", "Room", "Thing", "pressed", "said", "things"]

Body = Literal["voxels", "points", "none"]

STEP_MM = 2.0
"""How far a key moves a plane."""

STEP = 0.05
"""How far a key moves the threshold."""

MOST = 0.95
"""Highest threshold."""

ORDER = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2, Protocol.AXIAL_T2, Protocol.OTHER)
"""Protocols by the number of their key."""

_PLANES_OF = (ORDER[1], ORDER[0], *ORDER[2:])

HELP = (
    "V voxels, P points, N neither",
    "1 2 3 4 sagittal T1, sagittal T2, axial T2, other on or off",
    "X Y Z sagittal, coronal, axial plane on or off, of one sequence: the first shown of 2 1 3 4",
    "left and right move the sagittal plane, Page Up and Down the coronal, up and down the axial",
    "C cut open or whole, [ ] threshold down and up",
    "M findings, F level frames, L letters on or off",
    "drag turns, wheel zooms, Ctrl+drag moves, R resets the view, H these keys, Q closes",
)


@dataclass(frozen=True)
class Room:
    """What is to be seen.

    Attributes:
        protocols: Those that the study has.
        shown: Those that are to be seen.
        place_mm: Where the planes cross, LPS.
        low_mm: Lowest place that the planes can have.
        high_mm: Highest one.
        body: As what the series are drawn.
        planes: Which planes are drawn: of `sagittal`, `coronal`, `axial`.
        is_cut: Whether what hides the rest is left out.
        threshold: Of the intensity, 0 to 1; what is darker is left out.
        has_findings: Whether the grades are drawn at their places.
        has_frames: Whether the frames of the levels are drawn.
        has_letters: Whether sides and levels are named.
    """

    protocols: frozenset[Protocol]
    shown: frozenset[Protocol]
    place_mm: tuple[float, float, float]
    low_mm: tuple[float, float, float]
    high_mm: tuple[float, float, float]
    body: Body = "voxels"
    planes: frozenset[str] = frozenset()
    is_cut: bool = True
    threshold: float = 0.0
    has_findings: bool = True
    has_frames: bool = True
    has_letters: bool = True


class Thing(NamedTuple):
    """One thing that is drawn.

    Attributes:
        name: Two rooms with a thing of one name and different looks: it has changed.
        kind: `voxels`, `points`, `plane`, `findings`, `frames` or `letters`.
        protocol: Whose series; None for what is of no series.
        look: What else it depends on.
    """

    name: str
    kind: str
    protocol: Protocol | None = None
    look: tuple[object, ...] = ()


def things(room: Room) -> tuple[Thing, ...]:
    """Return what is to be seen in a room."""
    shown = [protocol for protocol in ORDER if protocol in room.shown]
    look = (room.is_cut, room.threshold)
    made = []
    if room.body != "none":
        made += [Thing(f"{room.body} {one.value}", room.body, one, look) for one in shown]
    for axis, plane in enumerate(("sagittal", "coronal", "axial")):
        if shown and plane in room.planes:
            # Of one series only: two in one place would flicker.
            best = min(shown, key=_PLANES_OF.index)
            where = (plane, room.place_mm[axis], room.threshold)
            made.append(Thing(plane, "plane", best, where))
    kinds = ("findings", room.has_findings), ("frames", room.has_frames)
    made += [Thing(kind, kind) for kind, is_there in kinds if is_there]
    return (*made, Thing("letters", "letters")) if room.has_letters else tuple(made)


def pressed(room: Room, key: str) -> Room:
    """Return the room after a key; the same one if the key means nothing in it.

    Args:
        room: Before.
        key: One of `KEYS`.
    """
    return KEYS[key](room)


def said(room: Room) -> str:
    """Return a room in one line."""
    series = ", ".join(one.label for one in ORDER if one in room.shown) or "no series"
    place = ", ".join(f"{n} {mm:.0f}" for n, mm in zip("xyz", room.place_mm, strict=True))
    planes = f"{', '.join(sorted(room.planes))} plane at {place} mm" if room.planes else "no plane"
    cut = "cut open" if room.is_cut else "whole"
    body = "no voxels" if room.body == "none" else f"{room.body}, {cut}"
    return f"{series}; {body}; threshold {room.threshold:.2f}; {planes}"


def _series(protocol: Protocol) -> Callable[[Room], Room]:
    def change(room: Room) -> Room:
        if protocol not in room.protocols:
            return room
        return replace(room, shown=room.shown ^ {protocol})

    return change


def _plane(plane: str) -> Callable[[Room], Room]:
    return lambda room: replace(room, planes=room.planes ^ {plane})


def _body(body: Body) -> Callable[[Room], Room]:
    return lambda room: replace(room, body=body)


def _switch(name: str) -> Callable[[Room], Room]:
    def change(room: Room) -> Room:
        other: dict[str, Any] = {name: not getattr(room, name)}
        return replace(room, **other)

    return change


def _threshold(step: float) -> Callable[[Room], Room]:
    def change(room: Room) -> Room:
        return replace(room, threshold=min(max(round(room.threshold + step, 4), 0.0), MOST))

    return change


def _move(axis: int, step_mm: float) -> Callable[[Room], Room]:
    def change(room: Room) -> Room:
        place = list(room.place_mm)
        moved = place[axis] + step_mm
        place[axis] = min(max(moved, room.low_mm[axis]), room.high_mm[axis])
        x, y, z = place
        return replace(room, place_mm=(x, y, z))

    return change


KEYS: dict[str, Callable[[Room], Room]] = {
    "V": _body("voxels"),
    "P": _body("points"),
    "N": _body("none"),
    **{str(number + 1): _series(protocol) for number, protocol in enumerate(ORDER)},
    "X": _plane("sagittal"),
    "Y": _plane("coronal"),
    "Z": _plane("axial"),
    "C": _switch("is_cut"),
    "M": _switch("has_findings"),
    "F": _switch("has_frames"),
    "L": _switch("has_letters"),
    "[": _threshold(-STEP),
    "]": _threshold(STEP),
    "LEFT": _move(0, -STEP_MM),
    "RIGHT": _move(0, STEP_MM),
    "PAGE_UP": _move(1, -STEP_MM),
    "PAGE_DOWN": _move(1, STEP_MM),
    "DOWN": _move(2, -STEP_MM),
    "UP": _move(2, STEP_MM),
}
"""What each key does; x grows to the patient's left, y to the back, z to the head."""
