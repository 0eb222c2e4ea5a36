"""Functional groups: what an enhanced multi-frame file says about each of its frames.

Enhanced MR (PS3.3, C.7.6.16) keeps position, orientation, spacing, rescaling and timing in
sequences, once for all frames (*shared*) or once a frame (*per-frame*). A value is looked for in
the frame's own group first, then in the shared one, then at the top of the file, where some
scanners leave it.
"""

from dataclasses import dataclass

from volspine.dicom.elements import Elements
from volspine.dicom.header import Header, item_texts

__all__ = ["FrameGroups", "frame_groups"]

_PLACES = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "InversionTimes": "MRModifierSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "MetaboliteMapDescription": "MRMetaboliteMapSequence",
}


@dataclass(frozen=True, slots=True)
class FrameGroups:
    """The functional groups of one frame, its own before the shared ones."""

    groups: tuple[Elements, ...]
    header: Header

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return the values of an element as text; empty where no group has it.

        Raises:
            DicomReadError: If the group cannot be parsed.
        """
        for group in self.groups:
            for item in self.header.items(group, _PLACES[keyword]):
                found = tuple(text for text in item_texts(item, keyword) if text)
                if found:
                    return found
        return ()


def frame_groups(header: Header, frames: int) -> list[FrameGroups]:
    """Return the functional groups of each frame; groups without content where there are none.

    Raises:
        DicomReadError: If the sequences cannot be parsed.
    """
    shared = tuple(header.sequence("SharedFunctionalGroupsSequence")[:1])
    own = header.sequence("PerFrameFunctionalGroupsSequence")
    return [FrameGroups((*own[frame : frame + 1], *shared), header) for frame in range(frames)]
