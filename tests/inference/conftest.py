"""A tiny untrained bundle and a made-up study, for everything that predicts."""

import pytest

from tests.inference.made_up import make_study, tiny_card, tiny_grader
from volspine.inference.bundle import write_bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    """Folder of an untrained model; shared, so read only."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    grader = tiny_grader()
    return write_bundle(folder, [grader.state_dict()], recipe=grader.recipe, card=tiny_card())


@pytest.fixture
def study():
    return make_study()
