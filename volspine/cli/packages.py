"""Checks of what is installed: versions, imports, and packages that get in each other's way."""

import importlib.metadata
import sys
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from volspine.cli.checks import PAIR, REINSTALL, Check, State, probe, version_of

__all__ = [
    "CHECKS",
    "EXTRAS",
    "MODULES",
    "clashes",
    "imports",
    "python",
    "requirements",
    "torchvision",
]

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
    version = version_of(requirement.name)
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        return Check(requirement.name, State.FAULT, "is not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        wanted = f"{version}, but {requirement.specifier} is needed"
        return Check(requirement.name, State.FAULT, wanted, remedy)
    return Check(requirement.name, State.OK, version)


def _extra(extra: str, purpose: str, members: list[Requirement]) -> Iterator[Check]:
    missing = [r.name for r in members if version_of(r.name) is None]
    if missing:
        found = f"not installed ({', '.join(missing)}); it adds {purpose}"
        yield Check(f"extra {extra}", State.NOTE, found, f"pip install 'volspine[{extra}]'")
    yield from (_requirement(r) for r in members if r.name not in missing)


def imports() -> Iterator[Check]:
    """Does every package that is installed import?"""
    wanted = [module for name, module in MODULES.items() if version_of(name) is not None]
    num_wanted, faults = len(wanted), []
    while wanted:
        findings, crash = probe("imports", *wanted)
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
    if version_of("torch") is None or version_of("torchvision") is None:
        return
    findings, crash = probe("pair")
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
    if version_of("spacecutter-lightning") is not None:
        yield Check(
            "spacecutter-lightning",
            State.FAULT,
            "overwrites the folder of spacecutter",
            _import_fault("spacecutter.models", "").remedy,
        )
    if version_of("python-gdcm") is not None and Path("dl").is_dir():
        found = "gdcm does not import from a folder that holds a folder named dl"
        yield Check("working folder", State.FAULT, found, "run from another folder")


CHECKS = (python, requirements, imports, torchvision, clashes)
"""All of them, in the order in which they are made."""
