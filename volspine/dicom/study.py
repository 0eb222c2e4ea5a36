"""Study and Series: what was read, what was set aside, and why."""

from dataclasses import dataclass, field
from pathlib import Path

from volspine.anatomy import Protocol
from volspine.geometry.axes import Plane
from volspine.geometry.stack import Stack

__all__ = ["Fault", "Identifiers", "Series", "Source", "Study"]


@dataclass(frozen=True)
class Fault:
    """A file or series that was set aside, with the reason; no patient data."""

    path: str
    code: str
    reason: str


@dataclass
class Series:
    """Instances of one SeriesInstanceUID, as one stack or several.

    Attributes:
        uid: SeriesInstanceUID, or a name made from the geometry where there is none.
        name: Folder name or short label; safe to print.
        protocol: Plane and weighting.
        reason: Why that protocol.
        confidence: How sure that is, 0 to 1; 1 where somebody said so.
        drawbacks: What makes another series of the protocol the better choice, the worst first.
        names_lumbar: Whether its header, or its file's name, names the lumbar spine.
        number: SeriesNumber, which grows with the time of acquisition; 0 where absent.
        stacks: Regular stacks of parallel slices.
        repairs: What was mended to make the series readable.
        instances: For each stack, for each of its slices, the source file and instance number.
        frame_of_reference: FrameOfReferenceUID; series with different ones do not share a space.
    """

    uid: str
    name: str
    protocol: Protocol
    reason: str
    stacks: list[Stack]
    repairs: list[str] = field(default_factory=list)
    instances: list[list["Source"]] = field(default_factory=list)
    frame_of_reference: str = ""
    confidence: float = 1.0
    drawbacks: tuple[str, ...] = ()
    number: int = 0
    names_lumbar: bool = False

    @property
    def plane(self) -> Plane:
        """Anatomical plane of most of its slices."""
        slices: dict[Plane, int] = {}
        for stack in self.stacks:
            slices[stack.plane] = slices.get(stack.plane, 0) + stack.shape[2]
        return max(slices, key=slices.__getitem__)


@dataclass(frozen=True)
class Source:
    """Where a slice came from."""

    path: str
    instance_number: int | None
    sop_instance_uid: str
    sop_class_uid: str
    frame_number: int | None = None


@dataclass(frozen=True)
class Identifiers:
    """What a structured report must repeat of patient and study; never printed or logged."""

    study_instance_uid: str = ""
    attributes: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass
class Study:
    """One study: its series in a stable order, and what was set aside.

    Attributes:
        name: Name in outputs: the folder's under a `*_images/` root, else 16 hex digits of a hash.
        series: Every series that forms at least one stack.
        faults: Files and series set aside, each with its reason.
        repairs: What was mended at study level.
        identifiers: For structured reports only; never in logs, names or pages.
        path: What was read.
    """

    name: str
    series: list[Series]
    faults: list[Fault] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    identifiers: Identifiers = field(default_factory=Identifiers)
    path: Path | None = None

    def by_protocol(self, protocol: Protocol) -> list[Series]:
        """Series of one protocol, in the study's order."""
        return [series for series in self.series if series.protocol is protocol]
