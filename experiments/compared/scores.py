"""Scores: from runs on the same test studies to rows beside prior and floor, and differences.

    three terms   mean of the weighted log losses of canal, foramina and recesses
    prior         the frequencies of each run's training split, after the decision layer
    floor         what one reports who knows the truth: 0 where labels are the truth; with a reader
                  between, the probability of each label that a reader of that severity gives

Every number is of the same test studies and shares the draws of the patient bootstrap; an interval
is its middle 90 %.

Shapes: N studies; 25 targets; 3 grades; R resamples; C columns of `COLUMNS`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from proof.tables import Cell

from compared.runs import FINDINGS, Run
from volspine.decide import decide
from volspine.metrics.intervals import (
    GROUPS,
    LOSSES,
    RESAMPLES,
    Agreement,
    Estimate,
    agreement,
    estimates,
    loss_columns,
)
from volspine.metrics.rsna import rsna_terms

COLUMNS = ("three terms", *FINDINGS, "any severe")
_CHOSEN = [LOSSES.index(n) for n in ("three_terms", "spinal", "foraminal", "subarticular",
                                     "any_severe")]  # fmt: skip
HEAD = (
    "recipe", "mode", "parameters, M", "time to fit, min", "hardware", *COLUMNS,
    "prior - three terms", "kappa", "places off, mm", "within 5 mm, %", "within 10 mm, %",
    "held-out accuracy, %", "majority class, %", "accuracy on studies trained on, %",
)  # fmt: skip
NEAR_MM, FAR_MM = 5.0, 10.0
UNTRAINED = "°"


@dataclass(frozen=True, eq=False)
class Scored:
    """A run with what it came to.

    Attributes:
        run: What it said.
        losses: (1 + R, C), of the studies and then of each resample of them.
        prior: The same of the prior.
        agreement: By finding and of all.
        majority: Accuracy of the commonest grades, of all.
    """

    run: Run
    losses: np.ndarray
    prior: np.ndarray
    agreement: dict[str, Agreement]
    majority: Estimate

    @property
    def gains(self) -> list[Estimate]:
        """Prior less run in each column; all of an interval above 0: something was learned."""
        return estimates(self.prior - self.losses)

    @property
    def is_trained(self) -> bool:
        """Whether it beats the prior in the mean of the three terms beyond doubt."""
        return self.gains[0].low > 0


def scored(run: Run) -> Scored:
    """Return a run with its scores."""
    commonest = np.broadcast_to(run.frequencies.argmax(axis=-1), run.labels.shape)
    return Scored(
        run,
        losses_of_report(run.labels, run.probabilities),
        losses_of_report(run.labels, run.frequencies),
        agreement(run.labels, run.probabilities.argmax(axis=-1)),
        agreement(run.labels, commonest)["all"].accuracy,
    )


def losses_of_report(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Return the losses of probabilities, (N, 25, 3) or (25, 3), after the decision layer."""
    return _all_losses(labels, chances)[:, _CHOSEN]


def score_of_report(labels: np.ndarray, chances: np.ndarray) -> float:
    """Return the challenge's score of probabilities, after the decision layer."""
    return float(_all_losses(labels, chances)[0, LOSSES.index("total")])


def _all_losses(labels: np.ndarray, chances: np.ndarray) -> np.ndarray:
    report = np.array(np.broadcast_to(decide(chances), (*labels.shape, 3)))
    return loss_columns(rsna_terms(labels, report))


def rows(found: Sequence[Scored], floor: np.ndarray | None) -> list[list[Cell]]:
    """Return a row for each run, then the prior's and, where it is known, the floor's.

    Args:
        found: Runs.
        floor: (1 + R, C) losses of one who knows the truth.
    """
    first = found[0]
    blank: list[Cell] = [""] * 4
    prior = [
        "prior", *blank, *estimates(first.prior), "", "", *[""] * 3,
        _percent(first.majority), _percent(first.majority), "",
    ]  # fmt: skip
    table = [*([_row(one) for one in found]), prior]
    if floor is not None:
        gain = estimates(first.prior - floor)[0]
        table.append(["floor", *blank, *estimates(floor), gain, *[""] * 7])
    return table


def _row(one: Scored) -> list[Cell]:
    run, gains = one.run, one.gains
    losses = estimates(one.losses)
    name = run.name if one.is_trained else f"{run.name} (untrained)"
    return [
        name, run.mode, *_cost(run.facts), losses[0],
        *[_marked(loss, gain) for loss, gain in zip(losses[1:], gains[1:], strict=True)],
        gains[0], one.agreement["all"].kappa, *_places(run),
        _percent(one.agreement["all"].accuracy), _percent(one.majority),
        _percent_of(run.training.get("all")),
    ]  # fmt: skip


def _marked(loss: Estimate, gain: Estimate) -> Cell:
    """Return a loss; marked where the prior may be as good."""
    if math.isnan(loss.value) or gain.low > 0:
        return loss
    return f"{loss.value:.3f} ({loss.low:.3f} to {loss.high:.3f}){UNTRAINED}"


def _cost(facts: dict) -> list[Cell]:
    if not facts:
        return [math.nan, math.nan, "-"]
    seconds, several = facts["seconds"], f"{facts['runs']} runs, " if "runs" in facts else ""
    time = f"{several}{seconds['wall'] / 60:.0f} ({seconds['processor'] / 60:.0f} of processor)"
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] > 1)}"
    machine = f"{facts['hardware']}; {threads}, {facts['precision']}"
    return [f"{facts['parameters'] / 1e6:.2f}", time, machine]


def _places(run: Run) -> list[Cell]:
    """Return the median error and the shares of places found to within 5 and 10 mm."""
    if run.away_mm is None:
        return ["-"] * 3
    parts = place_estimates(run.away_mm)["all"]
    return [_rounded(parts[0], 1), _percent_of(parts[1]), _percent_of(parts[2])]


def place_estimates(away_mm: np.ndarray, *, seed: int = 0) -> dict[str, list[Estimate]]:
    """Return median error, and shares within 5 and 10 mm, of all targets and of each finding."""
    rng = np.random.default_rng(seed)
    count = len(away_mm)
    draws = [np.arange(count), *rng.integers(0, count, (RESAMPLES // 4, count))]
    return {
        name: estimates(np.array([_place(away_mm[draw][:, t]) for draw in draws]))
        for name, t in GROUPS.items()
    }


def _place(away: np.ndarray) -> list[float]:
    known = away[~np.isnan(away)]
    if not known.size:
        return [math.nan] * 3
    return [float(np.median(known)), *(float((known <= far).mean()) for far in (NEAR_MM, FAR_MM))]


def _percent(estimate: Estimate) -> str:
    return _rounded(Estimate(*(100 * v for v in estimate)), 0)


def _percent_of(value: Estimate | float | None) -> str:
    if value is None:
        return "-"
    return _percent(value) if isinstance(value, Estimate) else f"{100 * value:.0f}"


def _rounded(estimate: Estimate, digits: int) -> str:
    if math.isnan(estimate.value):
        return "-"
    return "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(*estimate, d=digits)


def place_rows(found: Sequence[Scored]) -> list[list[Cell]]:
    """Return a row for each run that says where it looked: each finding's error and shares."""
    table: list[list[Cell]] = []
    for run in (one.run for one in found):
        if run.away_mm is None or run.wrong is None:
            continue
        parts = place_estimates(run.away_mm)
        cells = [
            f"{_rounded(parts[f][0], 1)}; {_percent_of(parts[f][1])}; {_percent_of(parts[f][2])}"
            for f in FINDINGS
        ]
        there = np.isfinite(run.away_mm)
        table.append([run.name, *cells, _percent_of(float(run.wrong[there].mean()))])
    return table


PLACE_HEAD = ("recipe", *FINDINGS, "at a wrong level, %")


PAIRS = (
    ("both streams rather than axial alone", "views_axial", "views_both"),
    ("both streams rather than sagittal alone", "views_sagittal", "views_both"),
    ("sagittal rather than axial images", "views_axial", "views_sagittal"),
    ("consistency, axial", "views_axial", "views_axial_consistent"),
    ("consistency, sagittal", "views_sagittal", "views_sagittal_consistent"),
    ("consistency, both", "views_both", "views_both_consistent"),
    ("spacecutter's link rather than the log-space one", "study_efficientnet_logspace",
     "study_efficientnet"),
    ("MaxViT rather than EfficientNet", "study_efficientnet", "study_maxvit"),
    ("offset maps", "spineone_no_offset", "spineone"),
    ("attention modules", "spineone_no_attention", "spineone"),
    ("convolutional tokens rather than patches", "vit", "vit_hybrid"),
    ("level mode rather than study mode", "study_phantom", "level_grader"),
)  # fmt: skip
"""What is asked, the run without it, and the run with it."""

PAIR_HEAD = ("what is added or changed", "from", "to", *COLUMNS)


def pair_rows(found: Sequence[Scored]) -> list[list[Cell]]:
    """Return a row of (without - with) for each of `PAIRS` that was run; above 0 it paid."""
    by_name = {one.run.name: one for one in found}
    return [
        [what, one, two, *map(_signed, estimates(by_name[one].losses - by_name[two].losses))]
        for what, one, two in PAIRS
        if one in by_name and two in by_name
    ]


def _signed(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "-"
    text = "{:+.3f} ({:+.3f} to {:+.3f})".format(*estimate)
    return f"**{text}**" if estimate.low > 0 or estimate.high < 0 else text
