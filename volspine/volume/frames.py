"""Frames of reference: which series of a study share one space, and which must not be fused.

Positions in two series can be compared only if both are given in one frame of reference
(FrameOfReferenceUID). A patient who got up between two series lies elsewhere in the second one, by
centimetres perhaps, and nothing in the headers says by how much. So one frame is used:

    the one with the most of the three protocols, of equals the one with the most slices,
    of equals the one that comes first in the study

A series without a frame of reference is taken to lie in that one. That is what the challenge's
files need, which name none. Where every series of a study names one of its own, because somebody
replaced identifiers at random, only one series is left, and that is said: there is no telling such
a study from one with a patient who moved.
"""

from dataclasses import replace

from volspine.anatomy import PROTOCOLS
from volspine.dicom.study import Series, Study

__all__ = ["chosen_frame", "in_one_frame", "series_apart"]


def chosen_frame(study: Study) -> str:
    """Return the frame of reference that a study is sampled in; empty where none is named."""
    named = [s for s in study.series if s.protocol in PROTOCOLS and s.frame_of_reference]
    frames = list(dict.fromkeys(series.frame_of_reference for series in named))
    return max(frames, key=lambda frame: _worth(_of_frame(named, frame)), default="")


def series_apart(study: Study) -> list[Series]:
    """Return the graded series that lie in another frame of reference than the chosen one."""
    chosen = chosen_frame(study)
    return [
        series
        for series in study.series
        if series.protocol in PROTOCOLS and series.frame_of_reference not in ("", chosen)
    ]


def in_one_frame(study: Study) -> Study:
    """Return the study without the graded series that lie in another frame of reference."""
    apart = series_apart(study)
    if not apart:
        return study
    # By identity: one SeriesInstanceUID may have given several series.
    return replace(study, series=[s for s in study.series if all(s is not one for one in apart)])


def _of_frame(named: list[Series], frame: str) -> list[Series]:
    return [series for series in named if series.frame_of_reference == frame]


def _worth(members: list[Series]) -> tuple[int, int]:
    slices = sum(stack.shape[2] for series in members for stack in series.stacks)
    return len({series.protocol for series in members}), slices
