"""Foramina before and after they are refined, on unseen phantoms and on those of another making.

    python -m experiments.refiner_scores MODEL --refiner CKPT --studies 10 --out SCORES

MODEL is a bundle with a localizer, or a checkpoint of one; its own refiner is judged if none is
named. Each study is located, refined, and compared with the truth, which of the second phantom, as
of the first, is the middle of the exiting root 17 mm from the midline. Places that the localizer
put more than 12 mm away are of another level and left out. The change is the mean over studies of
the mean change of the error, with a 95 % interval by bootstrap over studies. SCORES.md holds the
table.

Phantoms say that it works, and whether it depends on who taught it. They say nothing about
patients.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from experiments.localizer_scores import load, table
from tests.second_phantom.case import Person
from tests.second_phantom.stress import ROWS, harder
from volspine.anatomy import TARGETS, Finding
from volspine.dicom.study import Study
from volspine.inference.checkpoint import read_refiner
from volspine.inference.locate import locate
from volspine.inference.refined import refine
from volspine.landmarks import POINT_OF_TARGET
from volspine.models.localizer import Localizer
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.study import acquire_study, study_of

SECOND = "second phantom"
SETS = ("rsna_like", "probe", "shift", SECOND)
FORAMINA = [t.index for t in TARGETS if t.finding is Finding.FORAMEN]
ANOTHER_MM = 12.0
COLUMNS = ("set", "studies", "places", "median", "after", "95 %", "its after", "change",
           "interval", "within 1", "its after ")  # fmt: skip
Outcome = dict[str, np.ndarray]


def main() -> None:
    """Locate, refine, judge, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="bundle with a localizer, or a checkpoint of one")
    parser.add_argument("--refiner", type=Path, help="checkpoint of a refiner")
    parser.add_argument("--studies", type=int, default=10, help="of each set")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seed", type=int, default=991)
    parser.add_argument("--out", type=Path, help="start of the name of the file to write")
    arguments = parser.parse_args()
    localizer = load(arguments.model)
    if arguments.refiner is not None:
        localizer.refiner, _ = read_refiner(arguments.refiner)
    if localizer.refiner is None:
        raise SystemExit(f"{arguments.model} has no refiner; name one with --refiner")
    rows = []
    for name in arguments.sets:
        made = studies(name, arguments.studies, arguments.seed)
        rows.append(summary(name, [judged(study, true, localizer) for study, true in made]))
        print(table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    text = table(COLUMNS, rows)
    print(text)
    if arguments.out is not None:
        arguments.out.with_suffix(".md").write_text(text + "\n", encoding="utf-8")


def studies(name: str, count: int, seed: int) -> Iterator[tuple[Study, np.ndarray]]:
    """Yield studies of a set with the places of their 25 targets."""
    for index in range(count):
        if name == SECOND:
            case = harder(Person(seed, index), ROWS["baseline"])
            yield case.study, case.points_mm[list(POINT_OF_TARGET)]
        else:
            acquired = acquire_study(Spec(seed=seed, index=index, cohort=Cohort(name)))
            yield study_of(acquired), acquired.landmarks_mm


def judged(study: Study, true_mm: np.ndarray, localizer: Localizer) -> Outcome:
    """Return errors and spreads of the foramina of one study, before and after."""
    device = torch.device("cpu")
    found = locate(study, localizer, device=device)
    refined = refine(found, study, refiner=localizer.refiner, device=device)
    errors = [np.linalg.norm(each.points_mm - true_mm, axis=1) for each in (found, refined)]
    kept = [n for n in FORAMINA if errors[0][n] <= ANOTHER_MM]
    return {
        "before": errors[0][kept],
        "after": errors[1][kept],
        "said": found.spread_mm[kept],
        "said_after": refined.spread_mm[kept],
    }


def summary(name: str, outcomes: list[Outcome]) -> dict[str, object]:
    """Return what the errors of a set come to."""
    used = [each for each in outcomes if len(each["before"])]
    both = {key: np.concatenate([each[key] for each in used]) for key in used[0]}
    before, after = both["before"], both["after"]
    changes = np.array([np.mean(each["after"] - each["before"]) for each in used])
    low, high = interval(changes)
    values = (
        name, len(used), len(before), float(np.median(before)), float(np.median(after)),
        float(np.quantile(before, 0.95)), float(np.quantile(after, 0.95)), float(changes.mean()),
        f"{low:+.2f} to {high:+.2f}", float(np.mean(before <= both["said"])),
        float(np.mean(after <= both["said_after"])),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def interval(changes: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean by bootstrap over studies."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(changes, (4000, len(changes))).mean(axis=1)
    return float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


if __name__ == "__main__":
    main()
