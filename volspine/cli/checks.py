"""The checks of `volspine doctor`: each looks at one thing and says what it found, in plain words.

A check is a function without arguments that yields `Check` records. A *fault* keeps something from
working and has a remedy; a *note* is something that could be better, or an extra that is not there.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

import volspine

__all__ = ["CHECKS", "Check", "State"]

MODULES = {
    "SimpleITK": "SimpleITK",
    "huggingface-hub": "huggingface_hub",
    "jaxtyping": "jaxtyping",
    "jinja2": "jinja2",
    "jsonargparse": "jsonargparse",
    "matplotlib": "matplotlib",
    "nibabel": "nibabel",
    "numpy": "numpy",
    "packaging": "packaging",
    "pandas": "pandas",
    "pillow": "PIL",
    "pydicom": "pydicom",
    "pylibjpeg": "pylibjpeg",
    "pylibjpeg-rle": "rle",
    "pytorch-lightning": "pytorch_lightning",
    "pyyaml": "yaml",
    "rich": "rich",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "spacecutter": "spacecutter.models",
    "tensorboard": "tensorboard",
    "timm": "timm",
    "timm-3d": "timm_3d",
    "torch": "torch",
    "torchio": "torchio",
    "torchmetrics": "torchmetrics",
    "highdicom": "highdicom",
    "libusb-package": "libusb_package",
    "open3d": "open3d",
    "pyjpegls": "jpeg_ls",
    "pylibjpeg-openjpeg": "openjpeg",
    "python-gdcm": "gdcm",
    "ray": "ray",
}
"""What each distribution that is needed, or that an extra brings, is imported as."""

EXTRAS = {
    "view": "3D views with Open3D; without it pictures are drawn with matplotlib",
    "sr": "DICOM structured reports and key images in the study (sr, sc)",
    "codecs": "every DICOM transfer syntax, JPEG Lossless, JPEG-LS and JPEG 2000 among them",
    "ray": "spreading work over several machines",
}
"""What each extra adds."""

SYNTAXES = {
    "1.2.840.10008.1.2.5": "core",
    "1.2.840.10008.1.2.4.50": "core",
    "1.2.840.10008.1.2.4.70": "codecs",
    "1.2.840.10008.1.2.4.80": "codecs",
    "1.2.840.10008.1.2.4.90": "core",
    "1.2.840.10008.1.2.4.201": "codecs",
}
"""Compressed transfer syntaxes, and what brings their decoder."""

REINSTALL = "pip install -c constraints.txt 'volspine[all]'"
PAIR = "pip install 'torch==2.13.*' 'torchvision==0.28.*'"


class State(StrEnum):
    """How something is."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    remedy: str = ""


def python() -> Iterator[Check]:
    """Is the interpreter one that every wheel exists for?"""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info >= (3, 14):
        remedy = "use Python 3.11 to 3.13 for every extra"
        yield Check("python", State.NOTE, f"{version}: not every extra exists for it", remedy)
    else:
        yield Check("python", State.OK, version)


def requirements() -> Iterator[Check]:
    """Is every dependency there, in a version that works?"""
    try:
        needed = [Requirement(text) for text in importlib.metadata.requires("volspine") or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Check("volspine", State.FAULT, "is imported but not installed", "pip install -e .")
        return
    for requirement in needed:
        if requirement.marker is None:
            yield _requirement(requirement)
    for extra, purpose in EXTRAS.items():
        members = [r for r in needed if r.marker and r.marker.evaluate({"extra": extra})]
        yield from _extra(extra, purpose, members)


def _requirement(requirement: Requirement) -> Check:
    version = _version(requirement.name)
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        return Check(requirement.name, State.FAULT, "is not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        wanted = f"{version}, but {requirement.specifier} is needed"
        return Check(requirement.name, State.FAULT, wanted, remedy)
    return Check(requirement.name, State.OK, version)


def _extra(extra: str, purpose: str, members: list[Requirement]) -> Iterator[Check]:
    missing = [r.name for r in members if _version(r.name) is None]
    if missing:
        found = f"not installed ({', '.join(missing)}); it adds {purpose}"
        yield Check(f"extra {extra}", State.NOTE, found, f"pip install 'volspine[{extra}]'")
    yield from (_requirement(r) for r in members if r.name not in missing)


def imports() -> Iterator[Check]:
    """Does every package that is installed import?"""
    wanted = [module for name, module in MODULES.items() if _version(name) is not None]
    num_wanted, faults = len(wanted), []
    while wanted:
        findings, crash = _probe("imports", *wanted)
        faults += [_import_fault(f["module"], f["error"]) for f in findings if f["error"]]
        wanted = wanted[len(findings) :]
        if wanted:  # What comes next has ended the process; go on behind it.
            faults.append(_import_fault(wanted.pop(0), f"ends the process ({crash})"))
    yield from faults
    yield Check("imports", State.OK, f"{num_wanted - len(faults)} of {num_wanted} packages import")


def _import_fault(module: str, error: str) -> Check:
    remedies = {
        "open3d": "apt-get install libusb-1.0-0 libgl1 libegl1 libx11-6 libgomp1; "
        "or, without root, pip install libusb-package",
        "torchvision": PAIR,
        "spacecutter.models": "pip uninstall spacecutter-lightning; "
        "pip install --force-reinstall --no-deps spacecutter",
    }
    remedy = remedies.get(module, REINSTALL)
    return Check(f"import {module}", State.FAULT, error, remedy)


def torchvision() -> Iterator[Check]:
    """Do torch and torchvision fit each other?"""
    if _version("torch") is None or _version("torchvision") is None:
        return
    findings, crash = _probe("pair")
    if crash or not findings:
        yield Check("torchvision", State.FAULT, f"its import ends the process ({crash})", PAIR)
        return
    pair = findings[0]
    found = f"torch {pair['torch']} with torchvision {pair['torchvision']}"
    if pair["mended_error"]:
        yield Check("torchvision", State.FAULT, f"{found}: {pair['mended_error']}", PAIR)
    elif pair["plain_error"]:
        ours = "its extension does not load beside this torch; volspine works around it"
        yield Check("torchvision", State.OK, f"{found}; {ours}")
    else:
        yield Check("torchvision", State.OK, found)


def clashes() -> Iterator[Check]:
    """Is something installed that overwrites what is needed?"""
    if _version("spacecutter-lightning") is not None:
        yield Check(
            "spacecutter-lightning",
            State.FAULT,
            "overwrites the folder of spacecutter",
            _import_fault("spacecutter.models", "").remedy,
        )
    if _version("python-gdcm") is not None and Path("dl").is_dir():
        found = "gdcm does not import from a folder that holds a folder named dl"
        yield Check("working folder", State.FAULT, found, "run from another folder")


def codecs() -> Iterator[Check]:
    """Which compressed DICOM files can be read?"""
    if _version("pydicom") is None:
        return
    findings, crash = _probe("codecs", *SYNTAXES)
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
    if _version("torch") is None:
        return
    findings, crash = _probe("devices")
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
    if _version("open3d") is None:
        return
    findings, crash = _probe("picture")
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


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _probe(name: str, *arguments: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return what a probe found before it ended, and how it died if it did."""
    home = str(Path(volspine.__file__).parent.parent)
    places = [p for p in (os.environ.get("PYTHONPATH"), home) if p]
    command = [sys.executable, "-P", "-W", "ignore", "-m", "volspine.cli.probes", name, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module.
            command, capture_output=True, text=True, check=False, env=environment, timeout=300
        )
    except subprocess.TimeoutExpired:
        return [], "no answer in five minutes"
    findings = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return findings, _death(done) if done.returncode else None


def _death(done: "subprocess.CompletedProcess[str]") -> str:
    last = (done.stderr.strip().splitlines() or [""])[-1][:200]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit {done.returncode}"
    return f"{how}: {last}" if last else how


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (
    python,
    requirements,
    imports,
    torchvision,
    clashes,
    codecs,
    devices,
    view,
    demo_bundle,
)
"""Every check, in the order in which they are made."""
