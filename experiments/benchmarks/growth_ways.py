"""Row f, what a process does: prepare a root."""

import shutil
from collections.abc import Callable
from typing import Any

__all__ = ["prepare_studies"]


def prepare_studies(root: str, store: str) -> Callable[[], dict[str, Any]]:
    """Return what prepares a root anew."""
    from volspine.data.store_making import prepare

    def run() -> dict[str, Any]:
        shutil.rmtree(store, ignore_errors=True)
        return {"made": prepare(root, store).made}

    return run
