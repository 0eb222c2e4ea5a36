"""The run-time checks of annotations are on, and refuse whatever jaxtyping's own would."""

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError

from tests import checks
from volspine.geometry import affine

SQUARE = np.zeros((3, 3))


@checks.checked
def count(words: list[str], times: int = 1) -> int:
    return len(words) * times if times else "none"


@checks.checked
def product(
    a: Float[np.ndarray, "n k"], b: Float[np.ndarray, "k m"], wrong: bool = False
) -> Float[np.ndarray, "n m"]:
    return a if wrong else a @ b


@checks.checked
@dataclass
class Place:
    point: Float[np.ndarray, "3"]
    name: str

    @checks.checked
    def moved(self, by: float) -> "Place":
        return Place(self.point + by, self.name)


def local(offset):
    """A function that is made anew at every call, of which each time must be checked."""

    @checks.checked
    def add(value: int) -> int:
        return value + offset

    return add


@checks.checked
def numbers(count: int) -> Iterator[int]:
    yield from range(count)


def test_what_fits_passes():
    assert count(["a", "b"], times=2) == 4
    assert product(np.ones((2, 3)), np.ones((3, 4))).shape == (2, 4)
    assert Place(np.zeros(3), "here").moved(1.0).point.tolist() == [1.0, 1.0, 1.0]
    assert [local(n)(1) for n in range(3)] == [1, 2, 3]
    assert list(numbers(2)) == [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        lambda: count("a word"),
        lambda: count(["a"], times="2"),
        lambda: count(["a"], times=0),
        lambda: product(np.ones((2, 3)), np.ones((4, 3))),
        lambda: product(np.ones((2, 3)), np.ones(3)),
        lambda: product(np.ones((2, 3), int), np.ones((3, 3))),
        lambda: product(np.ones((2, 3)), np.ones((3, 4)), wrong=True),
        lambda: Place(np.zeros(2), "here"),
        lambda: Place(np.zeros(3), 5),
        lambda: Place(np.zeros(3), "here").moved("up"),
        lambda: numbers("two"),
        lambda: local(1)("1"),
        lambda: local(0.5)(1),
    ],
)
def test_what_does_not_fit_is_refused_each_time(call):
    for _ in range(3):
        with pytest.raises(TypeCheckError):
            call()


def test_names_of_axes_are_forgotten_between_calls():
    product(np.ones((2, 3)), np.ones((3, 4)))
    product(np.ones((5, 6)), np.ones((6, 7)))


def test_functions_of_the_library_are_checked():
    with pytest.raises(TypeCheckError):
        affine.transform_points(SQUARE, np.zeros((2, 3)))


def test_every_annotated_function_of_every_room_is_wrapped():
    found = [
        (f"{name}.{key}", value)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "volspine"
        for key, value in vars(module).items()
        if isinstance(value, types.FunctionType)
        and value.__module__ == name
        and any(hint not in (Any, object) for hint in value.__annotations__.values())
    ]
    assert len(found) > 5
    assert [name for name, value in found if not hasattr(value, "__wrapped__")] == []
