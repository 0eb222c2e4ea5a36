"""Packages that misbehave, installed in a folder that is put on the path."""

from pathlib import Path

TORCH = """
__version__ = "2.13.0+fake"

class _Library:
    def __init__(self, namespace, kind):
        assert (namespace, kind) == ("torchvision", "FRAGMENT")
    def define(self, schema):
        print("defined", schema.partition("(")[0], flush=True)
        defined.append(schema)

defined = []
library = type("library", (), {"Library": _Library})
"""
"""A torch of which only the door to its operators is there."""

HEALTHY = "__version__ = '0.28.0'"

NEEDS_OPERATORS = """
import torch
__version__ = "0.28.0"
from torchvision import half_done
if not any(schema.startswith("nms(") for schema in torch.defined):
    raise RuntimeError("operator torchvision::nms does not exist")
"""
"""What the CUDA build of torchvision does beside a CPU build of torch."""


def install(folder: Path, module: str, source: str, *, version: str | None = None) -> Path:
    """Write an importable package, and its metadata where a version is given."""
    package = folder / module
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(source, encoding="utf-8")
    if version is not None:
        register(folder, module, version)
    return package


def register(folder: Path, name: str, version: str, *requires: str) -> None:
    """Write the metadata of a distribution, as pip leaves it behind."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    (metadata / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
