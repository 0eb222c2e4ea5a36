"""Checks of what works here: codecs, devices, drawing, and the model that was shipped."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import volspine
from volspine.cli.checks import PAIR, REINSTALL, Check, State, probe, version_of

__all__ = ["CHECKS", "codecs", "demo_bundle", "devices", "view"]

SYNTAXES = {
    "1.2.840.10008.1.2.5": "core",
    "1.2.840.10008.1.2.4.50": "core",
    "1.2.840.10008.1.2.4.70": "codecs",
    "1.2.840.10008.1.2.4.80": "codecs",
    "1.2.840.10008.1.2.4.90": "core",
    "1.2.840.10008.1.2.4.201": "codecs",
}
"""Compressed transfer syntaxes, and what brings their decoder."""


def codecs() -> Iterator[Check]:
    """Which compressed DICOM files can be read?"""
    if version_of("pydicom") is None:
        return
    findings, crash = probe("codecs", *SYNTAXES)
    if crash:
        yield Check("codecs", State.FAULT, f"looking for decoders failed ({crash})", REINSTALL)
    for finding in findings:
        if not finding["ready"]:
            core = SYNTAXES[finding["uid"]] == "core"
            remedy = REINSTALL if core else "pip install 'volspine[codecs]'"
            state = State.FAULT if core else State.NOTE
            yield Check("codecs", state, f"no decoder for {finding['name']}", remedy)
    if findings and all(finding["ready"] for finding in findings):
        yield Check("codecs", State.OK, "every compressed transfer syntax can be read")


def devices() -> Iterator[Check]:
    """What can a model run on?"""
    if version_of("torch") is None:
        return
    findings, crash = probe("devices")
    if crash or not findings:
        yield Check("device", State.FAULT, f"torch cannot list devices ({crash})", PAIR)
        return
    seen = findings[0]
    if seen["cuda_error"]:
        yield Check("device", State.FAULT, f"{seen['cuda']}: {seen['cuda_error']}", PAIR)
    cpu = f"CPU, {seen['threads']} threads on {seen['cores']} cores"
    accelerators = [*seen["cuda"], *(["Apple GPU (mps)"] if seen["mps"] else [])]
    if not accelerators and shutil.which("nvidia-smi"):
        found = f"{cpu}; there is an NVIDIA driver, but torch {_why_no_cuda(seen)}"
        yield Check("device", State.NOTE, found, "see pytorch.org for the build of your driver")
        return
    yield Check("device", State.OK, "; ".join([*accelerators, cpu]))


def _why_no_cuda(seen: dict[str, Any]) -> str:
    if seen["cuda_build"]:
        return f"(built for CUDA {seen['cuda_build']}) cannot use it"
    return "is a build without CUDA"


def view() -> Iterator[Check]:
    """Can Open3D draw where there is no display?"""
    if version_of("open3d") is None:
        return
    findings, crash = probe("picture")
    if findings and findings[0]["drawn"]:
        yield Check("3D view", State.OK, "Open3D draws without a display")
        return
    found = f"Open3D cannot draw without a display ({crash or 'empty picture'})"
    remedy = "apt-get install libegl1 libgl1-mesa-dri; until then matplotlib draws the pictures"
    yield Check("3D view", State.NOTE, found, remedy)


def demo_bundle() -> Iterator[Check]:
    """Is the model that comes with the package there, and is it the one that was shipped?"""
    folder = Path(volspine.__file__).parent / "inference" / "demo_bundle"
    again = "install volspine again"
    try:
        files = json.loads((folder / "card.json").read_text(encoding="utf-8"))["files"]
        claims = {name: entry["sha256"] for name, entry in files.items()}
        broken = [name for name, claim in claims.items() if _sha256(folder / name) != claim]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Check("demo bundle", State.FAULT, f"unreadable ({type(error).__name__})", again)
        return
    if broken:
        yield Check("demo bundle", State.FAULT, f"damaged: {', '.join(broken)}", again)
        return
    yield Check("demo bundle", State.OK, f"intact: {', '.join(sorted(claims))}")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


CHECKS = (codecs, devices, view, demo_bundle)
"""All of them, in the order in which they are made."""
