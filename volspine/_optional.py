"""Import an optional package, or say which extra brings it."""

import importlib
from types import ModuleType

from volspine.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Return an imported optional module.

    Args:
        module: Dotted module name.
        extra: Name of the extra of this package that installs it.
        purpose: What it is wanted for, to complete "... needs".

    Raises:
        MissingExtraError: If it is not installed; the message names the command that adds it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs {module.partition('.')[0]}, which is not installed",
            remedy=f"run: pip install 'volspine[{extra}]'",
        ) from error
