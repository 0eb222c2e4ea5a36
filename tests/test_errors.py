"""The exception tree: one line with code, finding, place and remedy; picklable; documented."""

import pickle
import re
from pathlib import Path

import pytest

from volspine import errors
from volspine.errors import DeviceError, GeometryError, MissingExtraError, VolspineError

CLASSES = [getattr(errors, name) for name in errors.__all__]


def test_a_message_has_code_finding_place_and_remedy() -> None:
    error = GeometryError(
        "PixelSpacing is 0", path="a/b.dcm", remedy="export it", code="VS-GEO-003"
    )
    assert str(error) == "VS-GEO-003: PixelSpacing is 0 [a/b.dcm]; export it"


def test_what_is_not_known_leaves_no_trace() -> None:
    assert str(VolspineError("it broke")) == "VS-000: it broke"


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_survives_the_way_between_processes(kind: type[VolspineError]) -> None:
    error = kind("found", remedy="do", path="p", code="VS-X-1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.remedy, again.path, again.code) == ("found", "do", "p", "VS-X-1")
    assert str(again) == str(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_code_of_its_own(kind: type[VolspineError]) -> None:
    owner = kind if "default_code" in vars(kind) else kind.__base__
    assert vars(owner)["default_code"] == kind("x").code
    assert sum(other.default_code == kind.default_code for other in CLASSES) == 1


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"([A-Z]\w+Error)\b", errors.__doc__.partition("\n\n")[2])
    assert sorted(set(drawn)) == sorted(errors.__all__)
    assert all(issubclass(kind, VolspineError) for kind in CLASSES)
    assert issubclass(DeviceError, errors.ConfigurationError)
    assert issubclass(MissingExtraError, VolspineError)
    for name in ("DicomReadError", "MixedStudyError", "NoUsableSeriesError", "TableError"):
        assert issubclass(getattr(errors, name), errors.InputError)


def test_a_code_means_one_thing() -> None:
    package = Path(errors.__file__).parent
    homes: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for code in re.findall(r'code="(VS-[A-Z]+-\d+)"', path.read_text(encoding="utf-8")):
            homes.setdefault(code, set()).add(path.relative_to(package).as_posix())
    # Too few slices and no display can each be found in two places.
    shared = {"VS-SER-001", "VS-CFG-033"}
    twice = {code: found for code, found in homes.items() if len(found) > 1 and code not in shared}
    assert len(homes) > 80
    assert twice == {}
