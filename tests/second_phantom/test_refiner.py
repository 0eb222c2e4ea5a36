"""The refiner in the package finds the roots of people whom its teacher did not draw."""

import numpy as np
import pytest
import torch

from tests.second_phantom.case import Person
from tests.second_phantom.stress import ROWS, harder
from volspine.anatomy import TARGETS, Finding
from volspine.inference.bundle import demo_folder, load_bundle
from volspine.inference.locate import locate
from volspine.inference.refined import refine
from volspine.landmarks import POINT_OF_TARGET

SEED, STUDIES = 5, range(4)
FORAMINA = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]
OF_ITS_LEVEL_MM = 12.0


@pytest.mark.slow
def test_foramina_lie_nearer_to_their_roots_once_they_are_refined():
    localizer = load_bundle(demo_folder()).localizer
    if localizer is None or localizer.refiner is None:
        pytest.skip("the bundle in the package has no refiner yet")
    changes = []
    for index in STUDIES:
        case = harder(Person(SEED, index), ROWS["baseline"])
        true = case.points_mm[list(POINT_OF_TARGET)][FORAMINA]
        found = locate(case.study, localizer, device="cpu")
        device = torch.device("cpu")
        refined = refine(found, case.study, refiner=localizer.refiner, device=device)
        before, after = (
            np.linalg.norm(each.points_mm[FORAMINA] - true, axis=1) for each in (found, refined)
        )
        changes += (after - before)[before <= OF_ITS_LEVEL_MM].tolist()
    assert changes
    assert np.mean(changes) < 0
