"""A golden table of real files: series, stacks and faults of every folder.

The table is what reading must make of files that scanners wrote, checked by eye against their
headers when it was made. Regenerate it with `python tests/golden/test_scan_of_real_files.py` and
look at the difference before committing it.
"""

import json
import os
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).with_name("scan_of_real_files.json")


def table_of(folder):
    from volspine.dicom.scan import describe, scan

    return [describe(scanned) for scanned in scan(folder)]


@pytest.fixture(scope="module")
def table(testdata):
    return table_of(testdata)


def test_every_real_file_is_described_or_explained_as_before(table):
    assert table == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_no_real_file_is_passed_over(testdata, table):
    named = {fault["path"] for entry in table for fault in entry["faults"]}
    studies = {entry["path"] for entry in table if entry["name"] or entry["error"]}
    for path in testdata.rglob("*"):
        name = path.relative_to(testdata).as_posix()
        above = {parent.relative_to(testdata).as_posix() for parent in path.parents[:-1]
                 if parent.is_relative_to(testdata)}  # fmt: skip
        assert path.is_dir() or name in named | studies or above & studies, name


if __name__ == "__main__":
    sys.stdout.write(f"writing {GOLDEN}\n")
    found = table_of(Path(os.environ["VOLSPINE_TESTDATA"]))
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
