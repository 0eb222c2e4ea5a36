"""Row d: prediction, warm and cold, a batch with one model, and a loop of processes.

Every way writes everything that `volspine predict` writes. `warm` is a model that is loaded
already; `a process` is the command on one study, everything imported and loaded for it; the batch
is one command on all studies, the loop one command after another.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from race import Contender, Measured, race, results
from result import Plan, Result

from volspine.dicom.scan import find_studies
from volspine.phantom.cohort import generate

__all__ = ["rows"]

_WARM_S = 5.0
_TORCH = 4.0
"""Cold may cost this many bare imports of torch more than warm."""


def rows(plan: Plan) -> list[Result]:
    """Measure one study, and a batch against a loop."""
    many, looped = (2, 1) if plan.tiny else (20, 4)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "root"
        size = "small" if plan.tiny else "full"
        generate(
            root,
            studies=many,
            cohort="probe",
            noise="none",
            size=size,
            seed=6,
            workers=plan.threads,
        )
        studies = [str(path) for path in find_studies(root)]
        out = str(Path(temporary) / "out")
        return [*_one(studies[:5], out, plan), *_many(studies, looped, out, plan)]


def _one(studies: list[str], out: str, plan: Plan) -> list[Result]:
    ways = {
        "warm": Contender("predicting_ways:warm", {"studies": studies, "out": out}, fresh=1),
        "a process": Contender(
            "predicting_ways:command", {"studies": studies[:1], "out": out}, fresh=3, rounds=0
        ),
        "import torch": Contender("predicting_ways:bare", {"module": "torch"}, fresh=3, rounds=0),
    }
    found = race(ways, plan, rounds=4)
    lines = results("d", "one study", found, ours="warm")
    return [_judged(line, found) for line in lines]


def _judged(line: Result, found: Mapping[str, Measured]) -> Result:
    """Return a line with what was to be reached."""
    facts = found[line.who].facts
    if line.who == "warm" and line.median_s is not None:
        statuses = {str(answer["status"]) for answer in facts}
        told = f"every study {', '.join(sorted(statuses))}"
        return replace(
            line, correct=told, is_correct=statuses == {"graded"},
            target=f"under {_WARM_S:g} s", met=line.median_s < _WARM_S,
        )  # fmt: skip
    others = [found[name] for name in ("warm", "import torch")]
    if line.who == "a process" and line.fresh_s and all(o.fresh for o in others):
        usual, imported = (
            sorted(found["warm"].seconds)[len(found["warm"].seconds) // 2],
            min(found["import torch"].fresh),
        )
        return replace(
            line,
            target=f"warm + {_TORCH:g} import torch = {usual + _TORCH * imported:.2f} s",
            met=line.fresh_s <= usual + _TORCH * imported,
        )
    return line


def _many(studies: list[str], looped: int, out: str, plan: Plan) -> list[Result]:
    """Compare a command on all studies with a command for each; seconds and memory of one study."""
    batch = Contender("predicting_ways:command", {"studies": studies, "out": out}, rounds=0)
    whole = race({"batch": batch}, plan, rounds=0)["batch"]
    single = Contender(
        "predicting_ways:command", {"studies": studies[:1], "out": out}, fresh=looped, rounds=0
    )
    loop = race({"loop": single}, plan, rounds=0)["loop"]
    found = {
        "one command": Measured([whole.fresh[0] / len(studies)], [], whole.peaks),
        "a loop of processes": Measured(loop.fresh, [], loop.peaks),
    }
    what = f"each of {len(studies)} studies (the loop: {len(loop.fresh)} of them)"
    return results("d", what, found, ours="one command")
