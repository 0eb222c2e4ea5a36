"""What the faults share with the tests of preparation."""

from tests.data.conftest import made_root

__all__ = ["made_root"]
