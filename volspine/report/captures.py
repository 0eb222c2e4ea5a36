"""Key images as DICOM: secondary captures of the study, one for each measured target.

A picture has its side marks, caption and research-use text burned in, so that it is read right in
any viewer; its header says what lies at its edges, which image it was made from and of what part
of the body it is. It repeats the identifiers of the study, as the structured report does.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from volspine import __version__
from volspine.dicom.study import Study
from volspine.grades import RESEARCH_USE, StudyGrades
from volspine.report.evidence import (
    can_be_referred_to,
    evidence,
    identify,
    new_uid,
    source_of,
    unlogged,
)
from volspine.report.keyimages import KeyImage
from volspine.report.manifest import notices
from volspine.report.structured import SERIES_NUMBER, require_highdicom, series_uid

__all__ = ["secondary_captures"]

_STRIP_PX = 20
_BIPED = {"S": "H", "I": "F"}  # DICOM says head and foot.


def secondary_captures(
    study: Study, grades: StudyGrades, images: Sequence[KeyImage]
) -> Iterator[tuple[str, bytes]]:
    """Yield the key images as DICOM files of the study, each with its file name.

    Args:
        study: What was graded.
        grades: Of the same study.
        images: Its key images.

    Raises:
        MissingExtraError: If highdicom is not installed.
        ConfigurationError: If the study has no identifiers that a DICOM output can repeat, as
            NIfTI, or was refused.
    """
    require_highdicom()
    header = evidence(study, grades)[0]
    series = series_uid(study, grades, "captures")
    for number, image in enumerate(images, start=1):
        with unlogged():
            capture = _capture(header, image, series=series, number=number)
        _describe(capture, grades, image)
        _refer(capture, study, image)
        identify(capture, study)
        stream = io.BytesIO()
        capture.save_as(stream, enforce_file_format=True)
        yield f"sc_{image.target.level.value}_{image.target.condition.term}.dcm", stream.getvalue()


def _capture(header: Any, image: KeyImage, *, series: str, number: int) -> Any:
    """Return a picture as a secondary capture without identifiers."""
    return require_highdicom().sc.SCImage.from_ref_dataset(
        header,
        pixel_array=_pixels(image),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=tuple(_BIPED.get(e, e) for e in (image.edges[1], image.edges[3])),
        series_instance_uid=series,
        series_number=SERIES_NUMBER + 1,
        sop_instance_uid=new_uid(series, image.target.name),
        instance_number=number,
        manufacturer="volspine",
        manufacturer_model_name="volspine",
        software_versions=__version__,
        series_description="volspine key images: research use only",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
    )


def _pixels(image: KeyImage) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    """Return a picture with a strip below that says what every output says."""
    with Image.open(io.BytesIO(image.png)) as picture:
        width, height = picture.size
        sheet = Image.new("RGB", (width, height + _STRIP_PX))
        sheet.paste(picture.convert("RGB"), (0, 0))
    pen = ImageDraw.Draw(sheet)
    pen.text((6, height + 2), RESEARCH_USE, fill="white", font=ImageFont.load_default(13))
    return np.array(sheet, dtype=np.uint8)


def _describe(capture: Any, grades: StudyGrades, image: KeyImage) -> None:

    capture.BodyPartExamined = "LSPINE"
    capture.BurnedInAnnotation = "NO"  # Of the patient's identity; the sides are burned in.
    capture.RecognizableVisualFeatures = "NO"
    capture.LossyImageCompression = "00"
    capture.DerivationDescription = "Slice with the graded place, its sides and a caption drawn in"
    capture.ImageComments = " ".join((f"{image.caption}.", *notices(grades)))


def _refer(capture: Any, study: Study, image: KeyImage) -> None:
    """Say which image the picture was made from, where that is known."""
    from pydicom.dataset import Dataset

    found = source_of(study, image.shown.of(study), image.shown.k)
    if found is None or not can_be_referred_to(found):
        return
    source = Dataset()
    source.ReferencedSOPClassUID = found.sop_class_uid
    source.ReferencedSOPInstanceUID = found.sop_instance_uid
    if found.frame_number is not None:
        source.ReferencedFrameNumber = found.frame_number
    capture.SourceImageSequence = [source]
