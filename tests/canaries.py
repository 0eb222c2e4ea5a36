"""Canaries: unique words planted wherever a study can hold patient data, and a search for them.

Each place has a word of its own, so that a failure says what leaked. The search looks at names and
contents of files, plainly, as UTF-16, base64 and hexadecimal, in either case of letters, and into
what is compressed: PNG text, gzip, and what a page holds as data.
"""

import base64
import re
import zlib

import pydicom
from pydicom.dataset import Dataset

MR = "1.2.840.10008.5.1.4.1.1.4"

TEXTS = """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs OtherPatientNames
    PatientBirthName PatientMotherBirthName PatientAddress PatientTelephoneNumbers
    PatientComments EthnicGroup Occupation AdditionalPatientHistory MedicalRecordLocator
    MilitaryRank CountryOfResidence RegionOfResidence ResponsiblePerson
    ResponsibleOrganization AccessionNumber StudyID StudyDescription InstitutionName
    InstitutionAddress InstitutionalDepartmentName StationName DeviceSerialNumber
    ReferringPhysicianName ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
    PerformingPhysicianName NameOfPhysiciansReadingStudy PhysiciansOfRecord OperatorsName
    RequestingPhysician RequestingService RequestedProcedureDescription
    RequestedProcedureComments PerformedProcedureStepDescription PerformedProcedureStepID
    ProtocolName ImageComments AdmissionID AdmittingDiagnosesDescription
    CurrentPatientLocation VisitComments IssuerOfAdmissionID PatientState SpecialNeeds
    Allergies MedicalAlerts ContrastBolusAgent AcquisitionComments DerivationDescription
    IdentifyingComments TextComments PatientInsurancePlanCodeSequence
    RequestAttributesSequence
""".split()  # noqa: SIM905  a list of one word a line hides what is missing
"""Attributes that name a patient, a person or a place; a sequence gets the word inside."""

BIRTH, AGE_DAYS, WEIGHT = "17530417", "17530418", "83.51762"
UID_ROOT = "1.2.826.0.1.998877665544"
_DATES = {"PatientBirthDate": BIRTH, "LastMenstrualDate": AGE_DAYS, "PatientWeight": WEIGHT}


_HEAD = "KqxWvTzR"
"""How every word begins: where this is not found, no word is."""


def word(place):
    """The word of a place: 16 characters, which every text of DICOM may have."""
    return f"{_HEAD}{zlib.crc32(place.encode()):08x}"


PLACES = (*TEXTS, "SeriesDescription", "private", "private of a slice", "unknown")
WORDS = {
    **{place: word(place) for place in PLACES},
    **{place: word(place) for place in ("folder", "series folder", "file", "other file", "zip")},
    **_DATES,
    "UIDs": UID_ROOT.rsplit(".", 1)[1],
}
"""Word by place; dates, weights and UIDs can only be numbers."""


def plant(slices):
    """Give slices a word in every place that a header has."""
    for ds in slices:
        for keyword in TEXTS:
            _set(ds, keyword, word(keyword))
        for keyword, value in _DATES.items():
            setattr(ds, keyword, value)
        ds.SOPClassUID = MR
        ds.SeriesDescription = f"{ds.SeriesDescription} {word('SeriesDescription')}"
        block = ds.private_block(0x0029, f"{word('private')}", create=True)
        block.add_new(0x10, "LO", word("private"))
        block.add_new(0x11, "UN", word("private of a slice").encode())
        ds.add_new(0x00111001, "UN", word("unknown").encode())
        ds.StudyInstanceUID = f"{UID_ROOT}.1"
        ds.FrameOfReferenceUID = f"{UID_ROOT}.9"
    return slices


def _set(ds, keyword, text):
    if keyword.endswith("Sequence"):
        item = Dataset()
        item.CodeValue, item.CodeMeaning, item.CodingSchemeDesignator = text, text, "99X"
        setattr(ds, keyword, [item])
    else:
        setattr(ds, keyword, text)


def write_study(folder, spine):
    """Write a study with words everywhere, and what is no DICOM beside it.

    Args:
        folder: Where to write it.
        spine: Folder of a study that can be graded; not changed.

    Returns:
        The study's folder, whose name and whose parts have words too.
    """
    inner = folder / word("folder") / word("series folder")
    for s, series in enumerate(sorted(path for path in spine.iterdir() if path.is_dir()), 1):
        slices = [pydicom.dcmread(path) for path in sorted(series.iterdir())]
        for n, ds in enumerate(plant(slices), 1):
            ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{UID_ROOT}.{s}", f"{UID_ROOT}.{s}.{n}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            path = inner / str(s) / f"{word('file')}_{n}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            ds.save_as(path)
    (inner / f"{word('other file')}.txt").write_text(word("other file"), encoding="utf-8")
    return folder / word("folder")


def found_in(said, *, but=()):
    """Return the places whose word is in what was said or written, and where.

    Args:
        said: Texts or bytes by name.
        but: Places that may be there.
    """
    wanted = {place: text for place, text in WORDS.items() if place not in but}
    found = []
    for name, content in said.items():
        data = _unpacked(name, content)
        lower = data.lower()
        has_words = _holds(data, lower, _HEAD)
        likely = (p for p, text in wanted.items() if has_words or not text.startswith(_HEAD))
        found += [f"{place} in {name}" for place in likely if _holds(data, lower, wanted[place])]
    return found


def written_under(folder):
    """Return the content of every file below a folder by its name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def _holds(data, lower, text):
    plain = (text.lower().encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be"))
    if any(form in lower for form in plain) or text.encode().hex().encode() in lower:
        return True
    return any(form in data for form in _base64_forms(text))


def _base64_forms(text):
    """What base64 makes of a text at each of the three offsets, without what touches its ends."""
    for encoding in ("utf-8", "utf-16-le"):
        raw = text.encode(encoding)
        for offset in range(3):
            whole = (offset + len(raw)) // 3 * 4  # What follows changes only what is behind this.
            yield base64.b64encode(b"\0" * offset + raw)[4 if offset else 0 : whole]


def _unpacked(name, content):
    """Return a content with its name, and with what is compressed or coded in it besides."""
    data = content.encode() if isinstance(content, str) else content
    parts = [name.encode(), data]
    coded = re.findall(rb"base64,([A-Za-z0-9+/=]+)", data)
    parts += [_unpacked("", base64.b64decode(each)) for each in coded]
    starts = re.finditer(rb"zTXt|iTXt|iCCP|\x1f\x8b\x08", data)
    parts += [_inflated(data, start.start()) for start in starts]
    return b"\n".join(parts)


def _inflated(data, start, most=1 << 16):
    """Return what a zlib or gzip stream near a place holds; nothing where there is none."""
    for begin in (start, data.find(b"\x78", start, start + 100)):
        if begin < 0:
            continue
        try:
            return zlib.decompressobj(47).decompress(data[begin:], most)
        except zlib.error:
            continue
    return b""
