"""F29: work grows with the number of files and no faster; memory hardly at all."""

import subprocess
import sys

import pytest

from tests.dicom.series_factory import SERIES, make_slice, save

# In a process of its own: here every call has its types checked.
READ = """
import resource, sys
from volspine.dicom.reading import read_study
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
read_study(sys.argv[1])
before = peak_mb()
study = read_study(sys.argv[2])
print(peak_mb() - before, len(study.series))
"""

# Calls and bytes are counted, for seconds are another machine's.
WORK = """
import sys
from volspine.dicom.reading import read_study
calls = 0
def count(*_):
    global calls
    calls += 1
def bytes_read():
    with open("/proc/self/io") as file:
        return int(file.readline().split()[1])
read_study(sys.argv[1])
before = bytes_read()
sys.setprofile(count)
read_study(sys.argv[2])
sys.setprofile(None)
print(calls, bytes_read() - before)
"""

AGAIN = """
import resource, sys
from volspine.dicom.reading import read_study
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_study
def read():
    sample_study(read_study(sys.argv[1]), Grid((4, 4, 4), (8, 16, 16)))
for _ in range(20):
    read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(int(sys.argv[2])):
    read()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def numbers(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    return list(map(float, done.stdout.split()))


def write_many(folder, count, *, slices=200):
    """Many small files, made from the bytes of one: position and identifiers differ."""
    ds = make_slice((0, -20, 30))
    ds.ImagePositionPatient = ["-1234.5678", "-20", "30"]
    ds.SOPInstanceUID, ds.SeriesInstanceUID = "1.2.3.10000000", f"{SERIES}.10000"
    data = save(ds, folder / "first.dcm").read_bytes()
    (folder / "first.dcm").unlink()
    for n in range(count):
        place = f"{4.0 * (n % slices):10.4f}".encode()
        new = data.replace(b"-1234.5678", place).replace(b"3.10000000", b"3.%d" % (10000000 + n))
        number = b"%s.%d" % (SERIES.encode(), 10000 + n // slices)
        (folder / f"{n}.dcm").write_bytes(new.replace(f"{SERIES}.10000".encode(), number))
    return folder


@pytest.mark.slow
def test_reading_headers_is_linear_in_the_files_and_no_more_than_they_hold(tmp_path):
    few = write_many(tmp_path / "few", 400)
    many = write_many(tmp_path / "many", 3200)
    few_calls, few_bytes = numbers(WORK, few, few)
    many_calls, many_bytes = numbers(WORK, few, many)
    assert many_calls / few_calls < 8 * 1.1
    assert many_bytes / few_bytes < 8 * 1.1
    assert many_bytes < 1.5 * sum(path.stat().st_size for path in many.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("slices", [200, 20_000])
def test_twenty_thousand_files_take_a_few_kilobytes_each(slices, tmp_path):
    few = write_many(tmp_path / "few", 200)
    many = write_many(tmp_path / "many", 20_000, slices=slices)
    megabytes, found = numbers(READ, few, many)
    assert found == 20_000 // slices
    assert megabytes < 100


@pytest.mark.slow
def test_memory_stays_flat_over_five_hundred_studies(tmp_path):
    (grown,) = numbers(AGAIN, write_many(tmp_path / "study", 60, slices=20), 500)
    assert grown < 20
