"""The tree itself: nothing of a workplace in it, nothing too large, nothing too long."""

import ast
import configparser
import subprocess
from pathlib import Path

import pytest

# Written in pieces, so that this file does not name what it looks for.
WORKPLACE = [
    "/" + "work/",
    "/" + "home/",
    "/" + "root/",
    "/" + "Users/",
    "shared/" + "design",
    "shared/" + "reference",
    "shared/" + "testdata",
    "/tmp/" + "brief",
]
ONLY_DOOR = {"shared/" + "testdata": ".ci/run"}
MAX_BYTES = 15 * 2**20
MAX_FUNCTION_LINES = 45


@pytest.fixture(scope="module")
def files(repository) -> list[Path]:
    """Every file that is under version control, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=repository,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a checkout: nothing says which files belong to it")
    names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    found = [repository / name for name in names if (repository / name).is_file()]
    assert repository / "setup.cfg" in found
    return found


def lines_of(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", errors="ignore").splitlines()


def test_no_line_names_a_path_of_a_workplace(files, repository):
    named = [
        f"{path.relative_to(repository)}:{number}: {pattern}"
        for path in files
        for number, line in enumerate(lines_of(path), start=1)
        for pattern in WORKPLACE
        if pattern in line and ONLY_DOOR.get(pattern) != str(path.relative_to(repository))
    ]
    assert named == []


def test_no_file_is_over_15_mebibytes(files):
    assert [path for path in files if path.stat().st_size > MAX_BYTES] == []


def test_every_public_module_says_what_it_is_and_what_is_public(repository):
    silent = []
    for path in sorted((repository / "volspine").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            t.id
            for s in tree.body
            if isinstance(s, ast.Assign)
            for t in s.targets
            if isinstance(t, ast.Name)
        }
        private = path.stem.startswith("_")
        if ast.get_docstring(tree) is None or not (private or "__all__" in names):
            silent.append(str(path.relative_to(repository)))
    assert silent == []


def test_every_file_that_the_package_needs_is_shipped_with_it(files, repository):
    declared = configparser.ConfigParser()
    declared.read(repository / "setup.cfg", encoding="utf-8")
    shipped = {
        path
        for package, patterns in declared["options.package_data"].items()
        for pattern in patterns.split()
        for path in (repository / package.replace(".", "/")).glob(pattern)
    }
    package = [path for path in files if (repository / "volspine") in path.parents]
    left_behind = [p for p in package if p.suffix != ".py" and p not in shipped]
    assert left_behind == []
    assert repository / "volspine" / "py.typed" in shipped


def functions_of(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_no_function_has_a_body_of_over_45_lines(repository):
    long = [
        f"{path.relative_to(repository)}:{function.name}"
        for path in (repository / "volspine").rglob("*.py")
        for function in functions_of(path)
        if body_lines(function) > MAX_FUNCTION_LINES
    ]
    assert long == []
