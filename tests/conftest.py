"""What every test may ask for: real files, a small synthetic challenge root, steady laws.

Real files are found through `VOLSPINE_TESTDATA` and nowhere else; tests that need them skip, and
say so, when it is unset.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import checks

# A law that holds must hold on every machine and on every run: no deadline, no luck.
settings.register_profile(
    "volspine",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("volspine")

# Types and shapes are checked in every test.
checks.install()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree that these tests belong to."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def testdata() -> Path:
    """The folder of real MR files."""
    folder = os.environ.get("VOLSPINE_TESTDATA")
    if not folder:
        pytest.skip("VOLSPINE_TESTDATA is not set: no real files to read")
    if not Path(folder).is_dir():
        pytest.fail(f"VOLSPINE_TESTDATA={folder} is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory) -> Path:
    """A challenge root of two small synthetic studies with their truth; not to be changed."""
    from volspine.phantom.cohort import generate

    root = tmp_path_factory.mktemp("phantom") / "root"
    return generate(root, studies=2, noise="none", size="small")


@pytest.fixture(scope="session")
def phantom_study(phantom_root) -> Path:
    """The DICOM folder of one of them; not to be changed."""
    return min((phantom_root / "train_images").iterdir())


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """Folder of an untrained model; shared, so read only."""
    from tests.inference.made_up import tiny_card, tiny_grader
    from volspine.inference.bundle import write_bundle

    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    grader = tiny_grader()
    return write_bundle(folder, [grader.state_dict()], recipe=grader.recipe, card=tiny_card())
