"""Published schemas: the layout of files for machines, as JSON Schema (draft 2020-12).

`result-1.json` beside this file is the schema of a `result.json` whose `schema` is 1. A schema is
never changed in a way that makes a file of its version invalid; a new layout gets a new number.
"""

import json
from importlib.resources import files
from typing import Any

from volspine.errors import ConfigurationError

__all__ = ["RESULT_VERSIONS", "result_schema"]

RESULT_VERSIONS = (1,)
"""Versions of `result.json` that have a schema, the newest last."""


def result_schema(version: int = RESULT_VERSIONS[-1]) -> dict[str, Any]:
    """Return the JSON Schema of `result.json`.

    Args:
        version: The number in the file's `schema`.

    Raises:
        ConfigurationError: If there is no such version.

    Example:
        >>> result_schema()["$id"]
        'urn:volspine:schema:result:1'
    """
    if version not in RESULT_VERSIONS:
        raise ConfigurationError(
            f"there is no schema {version!r} of result.json",
            remedy=f"use one of {', '.join(map(str, RESULT_VERSIONS))}",
            code="VS-CFG-430",
        )
    text = (files(__name__) / f"result-{version}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
