"""A check of `volspine doctor`: one thing that was looked at, and what was found, in plain words.

A *fault* keeps something from working and has a remedy; a *note* is something that could be better,
or an extra that is not there. What might end the process is tried in another one (`probe`).
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import volspine

__all__ = ["PAIR", "REINSTALL", "Check", "State", "probe", "version_of"]

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


def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def probe(name: str, *arguments: str) -> tuple[list[dict[str, Any]], str | None]:
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
