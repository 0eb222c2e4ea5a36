"""Row c: samples a second of `volspine fit`, the model alone, TorchIO's queue and MONAI's cache.

The steps of an epoch are a turn, so that the four go on side by side; the first, which fills the
caches, is told apart. See `training_ways`.
"""

import tempfile
from dataclasses import replace
from pathlib import Path

from race import Contender, Measured, race, results
from result import Plan, Result

from volspine.phantom.cohort import generate

__all__ = ["rows"]

_RECIPE = Path(__file__).resolve().parents[1] / "phantom_quick.yaml"
_OURS, _ALONE, _QUEUE, _CACHE = "volspine fit", "the model alone", "TorchIO Queue", "MONAI cache"
_EPOCHS = 4


def rows(plan: Plan) -> list[Result]:
    """Measure epochs after the caches are filled, and with the filling."""
    count = 8 if plan.tiny else 16
    shape = [8, 32, 32] if plan.tiny else [24, 96, 144]
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        size = "small" if plan.tiny else "full"
        generate(
            root,
            studies=count,
            cohort="probe",
            noise="none",
            size=size,
            seed=5,
            workers=plan.threads,
        )
        shared = {"root": str(root), "shape": shape}
        told = {"out": str(Path(temporary) / "run"), "recipe": str(_RECIPE)}
        ways = {
            _OURS: Contender("training_ways:fit", {**shared, **told}, fresh=0),
            _ALONE: Contender("training_ways:synthetic", shared, fresh=0),
            _QUEUE: Contender("training_ways:torchio", shared, fresh=0, rounds=1),
            _CACHE: Contender("training_ways:monai", shared, fresh=0),
        }
        found = race(ways, plan, rounds=_EPOCHS)
    filled = [_with_rate(line, count) for line in results(
        "c", f"an epoch of {count} studies, caches filled", found, ours=_OURS,
        targets={_ALONE: 0.85, _QUEUE: 3.0},
    )]  # fmt: skip
    filling = {name: _first(measured, plan) for name, measured in found.items()}
    first = results("c", f"the first epoch of {count} studies, caches empty", filling, ours=_OURS)
    return [*filled, *(_with_rate(line, count) for line in first)]


def _first(measured: Measured, plan: Plan) -> Measured:
    """Return the first epoch alone."""
    seconds = [answer[plan.clock] for answer in measured.facts[:1]]
    return Measured(seconds=seconds, peaks=[], failed=measured.failed)


def _with_rate(line: Result, count: int) -> Result:
    """Return a line that says studies a second."""
    if not line.median_s:
        return line
    rate = count / line.median_s
    return replace(line, correct=f"{rate:.2f} studies/s", more={"studies_a_second": rate})
