"""The same made-up roots as the tests of the data room."""

from tests.data.conftest import made_root

__all__ = ["made_root"]
