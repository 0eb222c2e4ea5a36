"""F1: names that lead out of a zip, links in it, doubles, and members that cannot be read."""

import stat
import zipfile

import numpy as np
import pytest

from tests.dicom.cases import check_ramp, stacks
from tests.dicom.series_factory import save_all, series
from volspine.dicom.limits import Limits
from volspine.dicom.reading import read_study
from volspine.errors import InputError, LimitError


@pytest.fixture
def files(tmp_path):
    return sorted(save_all(series(5), tmp_path / "study").iterdir())


def archive_of(path, members, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data, **options)
    return path


@pytest.mark.parametrize("start", ["../../", "/etc/", "C:\\", "a/../../", ""])
def test_members_are_read_whatever_they_are_called_and_nothing_is_written(start, files, tmp_path):
    members = [(f"{start}{file.name}", file.read_bytes()) for file in files]
    path = archive_of(tmp_path / "a.zip", members)
    before = sorted(tmp_path.rglob("*"))
    (stack,) = stacks(read_study(path))
    check_ramp(stack)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_link_in_a_zip_is_not_followed(files, tmp_path):
    link = zipfile.ZipInfo("link.dcm")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    members = [(file.name, file.read_bytes()) for file in files[1:]]
    path = archive_of(tmp_path / "a.zip", [*members, (link, str(files[0]))])
    study = read_study(path)
    assert stacks(study)[0].shape[2] == 4
    assert [fault.reason for fault in study.faults] == ["not a DICOM file"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_two_files(files, tmp_path):
    path = archive_of(tmp_path / "a.zip", [("1.dcm", file.read_bytes()) for file in files])
    (stack,) = stacks(read_study(path))
    assert stack.shape[2] == 5
    check_ramp(stack)


def test_stored_and_packed_members_hold_the_same(files, tmp_path):
    members = [(file.name, file.read_bytes()) for file in files]
    packed = archive_of(tmp_path / "packed.zip", members)
    stored = archive_of(tmp_path / "stored.zip", members, compress_type=zipfile.ZIP_STORED)
    found = [stacks(read_study(path))[0].voxels for path in (packed, stored)]
    np.testing.assert_array_equal(*found)


def test_too_many_members_are_a_limit_error(files, tmp_path):
    path = archive_of(tmp_path / "a.zip", [(file.name, file.read_bytes()) for file in files])
    with pytest.raises(LimitError, match="number of files is 5, above the limit of 4"):
        read_study(path, limits=Limits(files=4))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_rare_way_to_pack_is_an_input_error_with_a_remedy(method, files, tmp_path):
    members = [(file.name, file.read_bytes()) for file in files]
    path = archive_of(tmp_path / "a.zip", members, compress_type=method)
    with pytest.raises(InputError, match="compressed in a way that is not read") as caught:
        read_study(path)
    assert "unpack the archive" in caught.value.remedy


def test_an_encrypted_member_is_an_input_error(files, tmp_path):
    path = archive_of(tmp_path / "a.zip", [(file.name, file.read_bytes()) for file in files])
    data = path.read_bytes()
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(mark)
        while start >= 0:
            data = data[: start + at] + b"\x01" + data[start + at + 1 :]
            start = data.find(mark, start + 4)
    path.write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        read_study(path)


def test_a_member_with_a_wrong_checksum_costs_one_slice_and_is_named(files, tmp_path):
    members = [(file.name, file.read_bytes()) for file in files]
    path = archive_of(tmp_path / "a.zip", members, compress_type=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    at = bytes(data).index(files[1].read_bytes()[-400:])
    data[at] ^= 0xFF
    path.write_bytes(data)
    study = read_study(path)
    assert [fault.path for fault in study.faults] == ["2.dcm"]
    assert stacks(study)[0].shape[2] == 4
    with pytest.raises(InputError, match="content is not what the archive says"):
        read_study(path, strict=True)
