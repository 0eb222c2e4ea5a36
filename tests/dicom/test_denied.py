"""Files and folders that may not be read are named, and the rest is read; strictly, an error."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.dicom.series_factory import save_all, series

# Root may read everything: become nobody, once everything is imported.
PROGRAM = """
import os, sys
from volspine.dicom.reading import read_study
from volspine.errors import VolspineError
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    study = read_study(sys.argv[1], strict=sys.argv[2] == "strict")
    print(study.series[0].stacks[0].voxels.shape[2], [(f.path, f.code) for f in study.faults])
except VolspineError as error:
    print(error.code, error.message)
"""


@pytest.fixture
def folder():
    """A series in a folder that anybody may read, unlike those of the test run."""
    made = Path(tempfile.mkdtemp())
    save_all(series(5), made / "study")
    for path in (made, made / "study"):
        path.chmod(0o755)
    yield made / "study"
    for path in (made / "study").rglob("*"):
        path.chmod(0o755)
    (made / "study").chmod(0o755)
    shutil.rmtree(made)


def as_nobody(folder, how):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder, how], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_file_that_may_not_be_read_is_a_fault_of_its_own(folder):
    (folder / "3.dcm").chmod(0)
    assert as_nobody(folder, "lenient") == "4 [('3.dcm', 'VS-INP-002')]"
    assert as_nobody(folder, "strict") == "VS-INP-002 cannot be read: Permission denied"


def test_a_folder_inside_that_may_not_be_listed_is_named(folder):
    save_all(series(2), folder / "closed")
    (folder / "closed").chmod(0)
    assert as_nobody(folder, "lenient") == "5 [('closed', 'VS-INP-002')]"
    assert as_nobody(folder, "strict").startswith("VS-INP-002")


def test_a_study_that_may_not_be_listed_is_an_error(folder):
    folder.chmod(0)
    assert as_nobody(folder, "lenient") == "VS-INP-002 cannot be read: Permission denied"
