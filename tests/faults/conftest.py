"""What the faults share with the tests of prediction."""

from tests.inference.conftest import tiny_bundle

__all__ = ["tiny_bundle"]
