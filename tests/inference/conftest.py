"""A made-up study, for everything that predicts."""

import pytest

from tests.inference.made_up import make_study


@pytest.fixture
def study():
    return make_study()
