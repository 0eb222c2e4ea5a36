"""The scripts that draw one picture each, as modules."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "visualize"


@pytest.fixture(scope="session")
def script():
    """Return a script by its name."""
    pytest.importorskip("matplotlib")

    def loaded(name):
        path = FOLDER / f"{name}.py"
        if not path.is_file():
            pytest.skip("the scripts are not part of an installed package")
        spec = importlib.util.spec_from_file_location(f"{name}_picture", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded
