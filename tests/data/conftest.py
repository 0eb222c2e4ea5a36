import numpy as np
import pytest

from tests.data import made_roots
from volspine.data import cache
from volspine.volume.grid import Grid

GRID = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(8, 20, 24))


@pytest.fixture
def made_root(tmp_path, monkeypatch):
    """Twelve tiny studies that are read from arrays instead of DICOM."""
    monkeypatch.setattr(cache, "read_study", made_roots.read_fake_study)
    grades = np.random.default_rng(0).integers(-1, 3, (12, 25))
    return made_roots.write_root(tmp_path / "root", grades)
