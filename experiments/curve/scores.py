"""Scores: from the probabilities of repeated runs to a table beside prior and ceiling.

Accuracy and the challenge's weighted log loss are ratios of sums over studies, so an interval comes
from drawing studies anew; two sizes share the draws.

Shapes: R repeats; N studies; 25 targets; 3 grades; M measures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from volspine.anatomy import TARGETS, Finding
from volspine.challenge import GRADE_WEIGHTS
from volspine.decide import decide
from volspine.phantom.card import Ceiling, card
from volspine.phantom.spec import Cohort, Noise

MEASURES = ("accuracy", "weighted_log_loss", "accuracy_of_truth")
"""Against the labels as read, twice, and against the grades of the measured geometry."""


@dataclass(frozen=True)
class Sums:
    """What each study adds to the measures of one finding: two ratios' parts, (R, N, M)."""

    above: np.ndarray
    below: np.ndarray

    def each(self) -> np.ndarray:
        """Return the measures of every repeat, (R, M)."""
        return np.asarray(self.above.sum(axis=1) / self.below.sum(axis=1))


@dataclass(frozen=True)
class Row:
    """One size, or the prior, or the ceiling, of one finding in one measure."""

    finding: str
    measure: str
    studies: str
    mean: float
    low: float
    high: float
    repeats: int


def sums(finding: Finding, log_probs: np.ndarray, labels: np.ndarray, grades: np.ndarray) -> Sums:
    """Return the parts of a finding's measures.

    Args:
        finding: Which.
        log_probs: (R, N, 25, 3).
        labels: (N, 25) as read; -1 where missing.
        grades: (N, 25) of the measured geometry.
    """
    chosen = [t.index for t in TARGETS if t.finding is finding]
    p, read, true = np.exp(log_probs[:, :, chosen]), labels[:, chosen], grades[:, chosen]
    p = p / p.sum(axis=-1, keepdims=True)
    known, label = read >= 0, np.maximum(read, 0)
    weight = np.array(GRADE_WEIGHTS)[label] * known
    report = np.take_along_axis(decide(p), label[None, ..., None], axis=-1)[..., 0]
    best = p.argmax(axis=-1)
    above = [(best == label) & known, -np.log(report) * weight, best == true]
    below = [known, weight, np.ones_like(known)]
    parts = (np.stack([np.sum(x, axis=-1) for x in part], axis=-1) for part in (above, below))
    over, under = parts
    return Sums(over.astype(float), np.broadcast_to(under, over.shape).astype(float))


def gain(large: Sums, small: Sums, *, draws: int = 2000) -> np.ndarray:
    """Return how much a size is above another, and its 95 % interval, (3, M).

    Studies are drawn with replacement, the same for both; repeats are averaged.
    """
    counts = np.random.default_rng(0).multinomial(
        large.above.shape[1], np.full(large.above.shape[1], 1 / large.above.shape[1]), size=draws
    )
    once = np.ones((1, counts.shape[1]))
    found = []
    for weights in (once, counts):
        ratios = [
            (weights @ s.above.mean(axis=0)) / (weights @ s.below.mean(axis=0))
            for s in (large, small)
        ]
        found.append(ratios[0] - ratios[1])
    return np.concatenate([found[0], np.quantile(found[1], [0.025, 0.975], axis=0)])


def rows_of(finding: Finding, studies: int, found: Sums) -> list[Row]:
    """Return the rows of one size: mean over repeats, smallest and largest."""
    each = found.each()
    return [
        Row(
            finding=finding.name.lower(),
            measure=measure,
            studies=str(studies),
            mean=float(each[:, m].mean()),
            low=float(each[:, m].min()),
            high=float(each[:, m].max()),
            repeats=len(each),
        )
        for m, measure in enumerate(MEASURES)
    ]


def limits() -> list[Row]:
    """Return what prevalence alone and a reader of the exact severity reach, from the card."""
    rows = []
    for finding, found in card(Cohort.RSNA_LIKE, Noise.SINGLE_READER).ceilings.items():
        for name, values in _limits_of(found).items():
            rows += [
                Row(finding.name.lower(), measure, name, value, value, value, 0)
                for measure, value in zip(MEASURES[:2], values, strict=True)
            ]
    return rows


def _limits_of(found: Ceiling) -> dict[str, tuple[float, float]]:
    return {
        "prior": (found.majority, found.prior_loss),
        "ceiling": (found.accuracy, found.loss),
    }


def markdown(rows: Sequence[Row], sizes: Sequence[int], gains: dict[str, np.ndarray]) -> str:
    """Return the table of a page."""
    columns = ["prior", *map(str, sizes), "ceiling"]
    last = f"{sizes[-1]} - {sizes[0]}, 95 %"
    lines = ["| " + " | ".join(["single reader's labels", *columns, last]) + " |"]
    lines.append("|" + "---|" * (len(columns) + 2))
    for measure in range(len(MEASURES)):
        for finding in gains:
            cells = [_cell(rows, (finding, MEASURES[measure], name)) for name in columns]
            _, low, high = gains[finding][:, measure]
            title = f"{finding}, {MEASURES[measure].replace('_', ' ')}"
            lines.append("| " + " | ".join([title, *cells, f"{low:+.3f} to {high:+.3f}"]) + " |")
    return "\n".join(lines)


def _cell(rows: Sequence[Row], key: tuple[str, str, str]) -> str:
    found = [row for row in rows if (row.finding, row.measure, row.studies) == key]
    return f"{found[0].mean:.3f}" if found else ""
