"""A reliability diagram as numbers: from `Reliability` to the places of marks in a square.

Across is what was said, upward the share that came true; on the diagonal both agree. A mark is a
bin, its area as its rows, its bar the 95 % interval of the share: a bar that crosses the diagonal
says nothing against what was said. Templates draw it, so the page needs no other file.

Frame: pixels of an SVG, to the right and down.
"""

from dataclasses import dataclass

from volspine.metrics.reliability import Reliability

__all__ = ["MARGIN", "SIZE", "Mark", "Panel", "panel"]

SIZE, MARGIN = 150, 30
"""Edge of the square and the room around it, pixels."""

_LEAST_RADIUS, _RADIUS = 1.0, 4.0


@dataclass(frozen=True)
class Mark:
    """One bin.

    Attributes:
        x: Of its middle.
        y: Of its middle.
        top: Upper end of its bar, the greater share.
        bottom: Lower end of its bar.
        radius: Of its disc.
        text: Numbers in words.
    """

    x: float
    y: float
    top: float
    bottom: float
    radius: float
    text: str


@dataclass(frozen=True)
class Panel:
    """One square.

    Attributes:
        title: Which event.
        caption: Its numbers in words.
        marks: One a bin.
    """

    title: str
    caption: str
    marks: tuple[Mark, ...]


def panel(title: str, judged: Reliability) -> Panel:
    """Return the diagram of one event.

    Args:
        title: Which event, in words.
        judged: How it was foretold.
    """
    most = max((b.rows for b in judged.bins), default=1)
    marks = tuple(
        Mark(
            x=_across(b.said),
            y=_up(b.seen),
            top=_up(b.interval.high),
            bottom=_up(b.interval.low),
            radius=round(max(_LEAST_RADIUS, _RADIUS * (b.rows / most) ** 0.5), 1),
            text=f"{b.rows} rows: said {b.said:.3f}, seen {b.seen:.3f} "
            f"({b.interval.low:.3f} to {b.interval.high:.3f})",
        )
        for b in judged.bins
    )
    return Panel(title, _caption(judged), marks)


def _caption(judged: Reliability) -> str:
    if not judged.rows:
        return "no row has a label"
    return f"came true in {judged.events} of {judged.rows} rows"


def _across(share: float) -> float:
    return round(MARGIN + SIZE * share, 1)


def _up(share: float) -> float:
    return round(SIZE * (1 - share) + MARGIN / 2, 1)
