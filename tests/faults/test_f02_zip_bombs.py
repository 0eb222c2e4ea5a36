"""F2: archives that unfold to far more than they are."""

import resource
import struct
import zipfile

import pytest

from volspine.dicom.limits import Limits
from volspine.dicom.reading import read_study
from volspine.errors import InputError, LimitError

HEAD = bytes(128) + b"DICM"


def bomb(path, megabytes, members=1):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for n in range(members):
            with archive.open(f"{n}.dcm", "w") as stream:
                stream.write(HEAD)
                for _ in range(megabytes):
                    stream.write(bytes(1 << 20))
    return path


def test_a_member_that_grows_a_thousandfold_is_refused_before_it_unfolds(tmp_path):
    path = bomb(tmp_path / "a.zip", 80)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitError, match="ratio"):
        read_study(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10


def test_many_members_that_are_too_much_together_are_refused(tmp_path):
    path = bomb(tmp_path / "a.zip", 2, members=4)
    with pytest.raises(LimitError, match="decompressed size in bytes") as caught:
        read_study(path, limits=Limits(archive_bytes=6 << 20))
    assert "Limits(archive_bytes=...)" in caught.value.remedy


def test_a_member_that_is_larger_than_it_says_is_refused_without_unfolding(tmp_path):
    path = bomb(tmp_path / "a.zip", 60)
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = bytes(data).index(mark)
        data[start + at : start + at + 4] = struct.pack("<I", 5000)
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="content is not what the archive says"):
        read_study(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10
