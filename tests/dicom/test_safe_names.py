"""Names of files in what others may read: numbers stay, names of people do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.dicom.safe_names import safe_path, safe_path_in


@pytest.mark.parametrize(
    "path",
    [
        "",
        "series_3/IM0012.dcm",
        "12.dcm",
        "DICOMDIR",
        "t2_sag.nii.gz",
        "series-1bdee8c5",
        "SE 1\\IMG-2.IMA",
    ],
)
def test_numbers_with_usual_words_stay(path):
    assert safe_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["Doe^Jane", "19530417", "530417", "1.2.840.113619.2.55", "notes Doe", "Müller1", "MRN-884213"],
)
def test_names_dates_record_numbers_and_uids_become_digests(path):
    assert safe_path(path).startswith("file-")
    assert len(safe_path(path)) == len("file-") + 8
    assert safe_path(f"1/{path}.dcm") == f"1/{safe_path(f'{path}.dcm')}"
    assert safe_path(f"{path}.dcm").endswith(".dcm")


def test_names_inside_an_archive_are_made_safe_too():
    made = safe_path("Doe.zip!Jane/3.dcm")
    assert made.count("!") == 1
    assert made.endswith("/3.dcm")
    assert "Doe" not in made
    assert "Jane" not in made


def test_in_the_challenges_layout_numbers_name_studies_and_series(tmp_path):
    study = tmp_path / "train_images" / "4003253"
    study.mkdir(parents=True)
    assert safe_path_in(study, "702807833/12.dcm") == "702807833/12.dcm"
    assert safe_path_in(tmp_path, "702807833/12.dcm") != "702807833/12.dcm"


@given(st.from_regex(r"[A-Z][a-z]{1,12}[\^,][A-Z][a-z]{1,12}", fullmatch=True))
def test_a_name_as_dicom_writes_it_never_stays(name):
    assert safe_path(name).startswith("file-")


@given(st.integers(min_value=100_000))
def test_a_number_as_long_as_a_date_of_birth_never_stays(number):
    assert safe_path(str(number)).startswith("file-")
