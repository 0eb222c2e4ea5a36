"""The one door: every public name is there, is listed, and is the thing its room defines."""

import ast
import importlib
import inspect

import pytest

import volspine
from volspine import errors


def test_every_listed_name_is_there_and_has_a_docstring():
    for name in volspine.__all__:
        value = getattr(volspine, name)
        assert name == "__version__" or inspect.getdoc(value), name


def test_names_are_listed_once_and_sorted():
    assert volspine.__all__ == sorted(set(volspine.__all__))


def test_dir_shows_every_public_name_before_its_first_use():
    assert set(volspine.__all__) <= set(dir(volspine))


def test_every_error_is_public():
    assert set(errors.__all__) <= set(volspine.__all__)


@pytest.mark.parametrize(("name", "home"), sorted(volspine._HOMES.items()))
def test_a_lazy_name_is_what_its_room_defines(name, home):
    assert getattr(volspine, name) is getattr(importlib.import_module(home), name)


def test_type_checkers_see_the_same_homes_as_the_lazy_map():
    tree = ast.parse(inspect.getsource(volspine))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: statement.module
        for statement in guarded.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == volspine._HOMES


def test_everything_but_errors_and_version_is_lazy():
    assert set(volspine.__all__) - set(errors.__all__) - {"__version__"} == set(volspine._HOMES)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'volspine' has no attribute 'predcit'"):
        volspine.predcit  # noqa: B018


@pytest.mark.parametrize(
    "name",
    [
        "read_study",
        "Study",
        "predict",
        "Predictor",
        "GradedStudy",
        "StudyGrades",
        "rsna_score",
        "voxelize",
        "Grid",
        "VolspineError",
    ],
)
def test_the_names_that_users_were_promised_are_public(name):
    assert name in volspine.__all__
