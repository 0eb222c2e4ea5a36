"""One study of the second phantom for all of its tests."""

import pytest

from tests.second_phantom.case import make_case


@pytest.fixture(scope="session")
def second_case():
    """A study with its truth and its map of tissues; not to be changed."""
    return make_case(0, 3)
