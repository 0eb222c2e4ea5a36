"""What a run was made with: the processor in words, and the commit of a working tree.

Neither names a host, a user or a path.
"""

import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

import torch

__all__ = ["commit", "hardware"]


def hardware() -> str:
    """Return the processor, how many cores of it may be used, and the GPU if torch sees one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    return f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}, {gpu}"


@cache
def commit() -> str | None:
    """Return the commit of the library's files, and whether they differ from it.

    None where they are not under version control. It is looked up once in a process.
    """
    git, here = shutil.which("git"), Path(__file__).parents[1]
    if git is None:
        return None
    there = [git, "-C", str(here)]
    if not _said([*there, "ls-files", "--", "__init__.py"]):
        return None
    name = _said([*there, "rev-parse", "--short", "HEAD"])
    changed = _said([*there, "status", "--porcelain", "-uno", "--", "."])
    return name + (" with local changes" if changed else "") if name else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _said(command: list[str]) -> str:
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return found.stdout.strip()
