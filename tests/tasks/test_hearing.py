"""What was said of several batches is added up, and places only of what a grader was to find."""

import numpy as np
import torch

from volspine.anatomy import TARGETS
from volspine.models.parts import Graded
from volspine.tasks.hearing import Hearing

T = len(TARGETS)


def batch_of(studies: int) -> dict[str, object]:
    return {
        "volume": torch.zeros(studies, 6, 4, 8, 8),
        "grades": torch.zeros(studies, T, dtype=torch.int64),
        "points": torch.ones(studies, T, 3),
        "has_point": torch.ones(studies, T, dtype=torch.bool),
        "study_id": [f"s{n}" for n in range(studies)],
    }


def graded_of(studies: int, *, asked: torch.Tensor | None = None) -> Graded:
    said = torch.full((studies, T, 3), 1 / 3).log()
    extras = None if asked is None else {"asked": asked}
    found = torch.full((studies, T, 3), 3.0)
    return Graded(said, torch.zeros(studies, T), None, points=found, extras=extras)


def test_errors_are_in_millimetres_of_the_grid() -> None:
    hearing = Hearing((3.0, 2.0, 1.0))
    for studies in (1, 2):
        graded = graded_of(studies)
        hearing.add(graded.log_probs.exp(), graded, batch_of(studies))
    places = hearing.said().places
    assert places is not None
    np.testing.assert_allclose(
        places.found_mm - places.true_mm, np.full((3, T, 3), [6.0, 4.0, 2.0])
    )


def test_what_a_grader_was_not_asked_for_is_neither_found_nor_missed() -> None:
    asked = torch.arange(T) < 5
    hearing = Hearing((1.0, 1.0, 1.0))
    graded = graded_of(1, asked=asked)
    hearing.add(graded.log_probs.exp(), graded, batch_of(1))
    places = hearing.said().places
    assert places is not None
    assert np.isfinite(places.true_mm).all(axis=-1)[0].tolist() == asked.tolist()


def test_a_grader_of_given_places_says_none() -> None:
    hearing = Hearing(None)
    graded = graded_of(1)._replace(points=None)
    hearing.add(graded.log_probs.exp(), graded, batch_of(1))
    assert hearing.said().places is None
