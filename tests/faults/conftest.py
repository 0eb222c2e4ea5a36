"""What the faults share with the tests of preparation and prediction."""

from tests.data.conftest import made_root
from tests.inference.conftest import tiny_bundle

__all__ = ["made_root", "tiny_bundle"]
