"""Write a synthetic study as DICOM, one instance a file, and say where its landmarks are.

Two header profiles. `rsna` carries what the public challenge files carry and nothing else: no
modality, no SOP class in the data set, an enhanced-MR class in the file meta beside a single frame,
RLE Lossless, 12 bits, and SOP instance UIDs that repeat across the series of a study. `full` is a
conformant MR Image Storage object in explicit little endian that states that it is synthetic.
"""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)
from pydicom.valuerep import format_number_as_ds
from rle.utils import encode_pixel_data

from volspine.phantom.plan import SeriesPlan
from volspine.phantom.spec import Header, Spec
from volspine.phantom.study import Acquired

__all__ = ["instance_dataset", "write_series", "write_study"]

_DATE, _TIME = "20240101", "120000"
_IMPLEMENTATION = UID("2.25.219742886431219357731346838012437842971")


def write_study(made: Acquired, folder: Path) -> None:
    """Write every series of a study into `folder/<series_id>/<instance>.dcm`."""
    for plan, pixels in zip(made.plan.series, made.pixels, strict=True):
        write_series(made, plan, pixels, folder / plan.series_id)


def write_series(
    made: Acquired, plan: SeriesPlan, pixels: NDArray[np.uint16], folder: Path
) -> None:
    """Write one series; instance numbers count from 1 in the plan's order."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(pixels)):
        dataset = instance_dataset(made, plan, pixels[index], index)
        dataset.save_as(folder / f"{index + 1}.dcm", enforce_file_format=True)


def instance_dataset(
    made: Acquired, plan: SeriesPlan, pixels: NDArray[np.uint16], index: int
) -> Dataset:
    """Return one instance, ready to be saved."""
    spec = made.truth.spec
    dataset = Dataset()
    dataset.update(_shared(spec, plan, index))
    dataset.update(_place(made, plan, index))
    dataset.update(_image(pixels, spec))
    if spec.header is Header.FULL:
        dataset.update(_full(made, plan))
    _encode(dataset, pixels, spec.header)
    return dataset


def _attributes(**values: object) -> Dataset:
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def _uid(*parts: object) -> str:
    """Return a UID under the root for UUIDs, the same for the same parts."""
    digest = hashlib.sha256("/".join(str(p) for p in parts).encode()).digest()[:16]
    return f"2.25.{int.from_bytes(digest, 'big')}"


def _shared(spec: Spec, plan: SeriesPlan, index: int) -> Dataset:
    """Identity: bare numbers in the `rsna` profile, proper UIDs in the `full` one."""
    study = spec.study_id
    study_uid, series_uid = study, f"{study}.{plan.series_id}"
    instance_uid, frame_uid = f"{study}.1.{index + 1}", f"{study}.1"
    if spec.header is Header.FULL:
        study_uid, series_uid = _uid(study), _uid(study, plan.series_id)
        instance_uid, frame_uid = _uid(study, plan.series_id, index), _uid(study, "frame")
    return _attributes(
        SOPInstanceUID=instance_uid,
        ContentDate=_DATE,
        ContentTime=_TIME,
        SeriesDescription=plan.sequence.name,
        PatientID=study,
        PatientPosition="HFS",
        StudyInstanceUID=study_uid,
        SeriesInstanceUID=series_uid,
        InstanceNumber=index + 1,
        FrameOfReferenceUID=frame_uid,
    )


def _place(made: Acquired, plan: SeriesPlan, index: int) -> Dataset:
    pose = made.plan.pose
    first = pose.to_patient(plan.first_pixel(index))
    across, down = (pose.rotation @ axis for axis in plan.axes(index))
    return _attributes(
        SliceThickness=_decimal(plan.thickness_mm),
        SpacingBetweenSlices=_decimal(plan.spacing_mm),
        ImagePositionPatient=[_decimal(x) for x in first],
        ImageOrientationPatient=[_decimal(x) for x in (*across, *down)],
        SliceLocation=_decimal(float(first @ np.cross(across, down))),
        PixelSpacing=[_decimal(plan.pixel_mm)] * 2,
    )


def _decimal(value: float) -> str:
    """Return a decimal string of at most 16 characters; -0 is 0."""
    return str(format_number_as_ds(float(value) + 0.0))


def _image(pixels: NDArray[np.uint16], spec: Spec) -> Dataset:
    high = float(np.percentile(pixels[::5, ::5], 99.5))
    dataset = _attributes(
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        BitsAllocated=16,
        BitsStored=12,
        HighBit=11,
        PixelRepresentation=0,
        WindowCenter=_decimal(round(high / 2)),
        WindowWidth=_decimal(max(round(high), 1)),
    )
    # Some studies of the challenge lack the rescale attributes.
    if spec.header is Header.FULL or spec.index % 7 != 3:
        dataset.update(_attributes(RescaleIntercept="0", RescaleSlope="1"))
    return dataset


def _full(made: Acquired, plan: SeriesPlan) -> Dataset:
    """What a conformant MR object adds; it says that the image is synthetic."""
    study, sequence = made.truth.spec.study_id, plan.sequence
    number = [p.series_id for p in made.plan.series].index(plan.series_id) + 1
    subject = made.truth.anatomy.subject
    return _attributes(
        SOPClassUID=MRImageStorage,
        ImageType=["DERIVED", "SECONDARY"],
        DerivationDescription="Computed from a geometric model; not an image of a patient",
        BurnedInAnnotation="NO",
        Modality="MR",
        Manufacturer="volspine phantom",
        ManufacturerModelName="synthetic",
        PatientName=f"PHANTOM^{study}",
        PatientBirthDate="",
        PatientSex="O",
        PatientAge=f"{round(subject.age):03d}Y",
        StudyDate=_DATE,
        StudyTime=_TIME,
        StudyID="1",
        AccessionNumber="",
        ReferringPhysicianName="",
        SeriesNumber=number,
        AcquisitionNumber=1,
        BodyPartExamined="LSPINE",
        ScanningSequence="SE" if sequence.inversion_ms is None else ["SE", "IR"],
        SequenceVariant="SK",
        ScanOptions="",
        MRAcquisitionType="2D",
        EchoTrainLength=4 if sequence.name == "T1" else 17,
        RepetitionTime=_decimal(round(sequence.repetition_ms, 1)),
        EchoTime=_decimal(round(sequence.echo_ms, 1)),
        MagneticFieldStrength=_decimal(sequence.field_t),
        PositionReferenceIndicator="",
        **(
            {}
            if sequence.inversion_ms is None
            else {"InversionTime": _decimal(sequence.inversion_ms)}
        ),
    )


def _encode(dataset: Dataset, pixels: NDArray[np.uint16], header: Header) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.ImplementationClassUID = _IMPLEMENTATION
    raw = pixels.astype("<u2").tobytes()
    if header is Header.FULL:
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = raw
    else:
        meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
        meta.TransferSyntaxUID = RLELossless
        frame = encode_pixel_data(raw, dataset, "<")
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
    dataset.file_meta = meta
