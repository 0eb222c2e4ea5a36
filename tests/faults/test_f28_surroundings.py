"""F28: locale, time zone, terminal encoding and long or odd paths change no answer."""

import json
import os
import subprocess
import sys

import pytest

from tests.dicom.cases import check_ramp, stacks
from tests.dicom.series_factory import save_all, series
from volspine.dicom.reading import read_study

PLACES = {
    "plain": {},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "german": {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Pacific/Kiritimati"},
    "ascii": {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    "latin": {"PYTHONIOENCODING": "latin-1", "TZ": "America/St_Johns"},
}

# A decimal comma as the C library would print it, where that locale is installed.
COMMA = """
import locale, sys
for name in ("de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"):
    try:
        locale.setlocale(locale.LC_ALL, name)
        break
    except locale.Error:
        pass
from volspine.cli import main
code = main(["scan", sys.argv[1]])
print("\\f", flush=True)
sys.exit(code or main(["scan", sys.argv[1], "--json"]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surroundings") / "Müller 脊椎"
    save_all(series(5), folder)
    (folder / "Übersicht 脊.txt").write_text("not an image " * 20, encoding="utf-8")
    (folder / os.fsdecode(b"\xff\xfe.txt")).write_text("nor this one " * 20, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def said(folder):
    """What scanning prints in each surrounding: the table, and the same as JSON."""
    found = {}
    for name, surroundings in PLACES.items():
        done = subprocess.run(
            [sys.executable, "-c", COMMA, os.fsencode(folder)],
            capture_output=True,
            env={**os.environ, **surroundings},
            check=False,
        )
        assert done.returncode == 0, (name, done.stderr)
        assert b"Traceback" not in done.stderr
        found[name] = done.stdout.split(b"\f")
    return found


@pytest.mark.slow
def test_scan_says_the_same_in_every_surrounding(said):
    studies = {name: json.loads(text)["studies"] for name, (_, text) in said.items()}
    assert set(studies) == set(PLACES)
    assert studies["plain"]
    assert all(found == studies["plain"] for found in studies.values()), studies


@pytest.mark.slow
def test_the_table_is_printed_in_every_surrounding(said):
    assert [name for name, (table, _) in said.items() if b"sagittal_t2" not in table] == []


def test_a_path_of_a_thousand_characters_is_read(tmp_path):
    folder = tmp_path.joinpath(*["d" * 90] * 10)
    save_all(series(5), folder)
    assert len(str(folder)) > 900
    (stack,) = stacks(read_study(tmp_path))
    check_ramp(stack)


def test_times_of_files_before_1970_and_in_the_future_do_not_matter(tmp_path):
    for n, path in enumerate(sorted(save_all(series(5), tmp_path).iterdir())):
        os.utime(path, (-(10**8) if n % 2 else 4 * 10**9,) * 2)
    (stack,) = stacks(read_study(tmp_path))
    check_ramp(stack)
