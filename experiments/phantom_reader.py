"""What a crude reader makes of phantoms: thresholds and areas, no learning but two cuts a finding.

    python experiments/phantom_reader.py --cohort rsna_like --studies 60 --workers 2

The reader is told where to look and measures fluid, fat and the gap of the recess there. Its cuts
are fitted to the labels of one seed and tried on those of the next. It has to be well above the
commonest grade, or the images would hold nothing; and well below the Bayes ceiling of a reader who
knows the geometry, or they would be no task. Nothing of this says anything about patients.

Printed, and with --out written as CSV: three-grade accuracy beside that of the commonest grade and
the ceiling, balanced accuracy (a third is chance), quadratic weighted kappa with the labels, and
Spearman's correlation with the true measures.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from volspine.anatomy import TARGETS, Finding
from volspine.jobs import run_many
from volspine.metrics.ordinal import ordinal_scores
from volspine.phantom.card import card
from volspine.phantom.reader import fit_reader, measure_seen
from volspine.phantom.spec import Cohort, Noise, Size, Spec
from volspine.phantom.study import acquire_study, study_of

COLUMNS = ("finding", "majority", "reader", "ceiling", "balanced", "kappa", "spearman", "rows")
Row = tuple[str, float, float, float, float, float, float, int]
Seen = tuple[np.ndarray, np.ndarray, np.ndarray]


def main() -> None:
    """Fit, grade and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cohort", choices=[c.value for c in Cohort], default="rsna_like")
    parser.add_argument("--noise", choices=[n.value for n in Noise], default="single_reader")
    parser.add_argument("--studies", type=int, default=60, help="to fit to, and again to try on")
    parser.add_argument("--seed", type=int, default=31, help="to fit to; the next one is tried on")
    parser.add_argument("--size", choices=[s.value for s in Size], default="full")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="CSV file of the table")
    arguments = parser.parse_args()
    seen, labels, _ = read(arguments, arguments.seed)
    reader = fit_reader(seen, labels)
    seen, labels, measures = read(arguments, arguments.seed + 1)
    ceilings = card(Cohort(arguments.cohort), Noise(arguments.noise)).ceilings
    rows = []
    for finding in Finding:
        columns = [t.index for t in TARGETS if t.finding is finding]
        parts = (x[:, columns] for x in (reader.grade(seen), labels, seen, measures))
        rows.append(compared(finding, ceilings[finding].accuracy, *parts))
    report(rows, arguments.out)


def read(arguments: argparse.Namespace, seed: int) -> Seen:
    """Return what is seen, labels and true measures of one seed's studies, (studies, 25) each."""
    specs = [
        Spec(
            seed=seed,
            index=n,
            cohort=Cohort(arguments.cohort),
            noise=Noise(arguments.noise),
            size=Size(arguments.size),
        )
        for n in range(arguments.studies)
    ]
    found = {}
    for outcome in run_many(look, specs, workers=arguments.workers):
        if outcome.result is None:
            raise SystemExit(f"a study failed: {outcome.error}")
        found[outcome.result[0]] = outcome.result[1]
    columns = zip(*(found[spec.index] for spec in specs), strict=True)
    seen, labels, measures = (np.array(column) for column in columns)
    return seen, labels, measures


def look(spec: Spec) -> tuple[int, Seen]:
    """Render one study and measure what is seen at its true places."""
    made = acquire_study(spec)
    seen = measure_seen(study_of(made), made.landmarks_mm)
    return spec.index, (seen, made.labels, made.truth.measures)


def compared(
    finding: Finding,
    ceiling: float,
    grades: np.ndarray,
    labels: np.ndarray,
    seen: np.ndarray,
    measures: np.ndarray,
) -> Row:
    """Return one finding's row of the table."""
    scores = ordinal_scores(labels, grades)
    shown = np.isfinite(seen)
    rank = float(spearmanr(seen[shown], measures[shown])[0])
    return (
        finding.term,
        scores.majority,
        scores.accuracy,
        ceiling,
        scores.balanced_accuracy,
        scores.kappa,
        rank,
        scores.num_rows,
    )


def report(rows: list[Row], out: Path | None) -> None:
    """Print the table, and write it where asked."""
    lines = [(name, *(f"{x:.3f}" for x in numbers), str(n)) for name, *numbers, n in rows]
    print(f"{COLUMNS[0]:<28}", *(f"{name:>9}" for name in COLUMNS[1:]))
    for line in lines:
        print(f"{line[0]:<28}", *(f"{cell:>9}" for cell in line[1:]))
    if out is not None:
        with out.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([COLUMNS, *lines])


if __name__ == "__main__":
    main()
