"""Row d, the ways: what a process does that predicts."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["bare", "command", "warm"]


def warm(studies: Sequence[str], out: str) -> Callable[[], dict[str, Any]]:
    """Return what grades the next study with a model that is loaded."""
    from volspine.inference.predictor import Predictor
    from volspine.inference.result_files import write_result

    predictor, turn = Predictor(), iter(range(10**6))

    def run() -> dict[str, Any]:
        number = next(turn)
        graded = predictor.predict(studies[number % len(studies)])
        write_result(graded, Path(out) / f"warm_{number}", ("csv", "json", "html"))
        return {"status": graded.grades.status}

    return run


def command(studies: Sequence[str], out: str) -> Callable[[], dict[str, Any]]:
    """Return what runs `volspine predict` on studies in this process."""

    def run() -> dict[str, Any]:
        from volspine.cli import main

        name = f"command_{time.monotonic_ns()}"
        code = main(["predict", *studies, "--out", str(Path(out) / name), "--quiet"])
        if code:
            raise RuntimeError(f"volspine predict ended with {code}")
        return {"exit_code": code}

    return run


def bare(module: str) -> Callable[[], None]:
    """Return what imports a module and does nothing else."""
    return lambda: __import__(module)
