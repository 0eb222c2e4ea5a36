"""What the report of a study is worth: the metric of several reports of the same probabilities.

    python -m experiments.decision --studies 20000 --seed 0

Nothing is trained and no image is made. Latent severities are drawn as those of the phantoms, with
the published frequencies of grades and correlation of levels, and labels are a single reader's. A
grader sees each severity with an error of its own, `blur`, and knows the probabilities that follow
for that target alone: calibrated, row by row. Every report is one of those probabilities and of
what fits a first half of the studies; the other half is scored. Intervals are of the difference
from `decide`, paired, over studies.

The strongest rival of `decide` chooses on the first half whatever weights and sharpness suit the
metric there, for each finding by itself: q ~ (p_k w_k)^a. If `decide` is right it finds about
w = (1, 2, 4) and a = 1, and is no better on the other half. What it finds is printed.
"""

import argparse

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, ndtr, softmax

from volspine.anatomy import TARGETS, Finding
from volspine.any_severe import decide_study, fit_dependence, mean_weights
from volspine.decide import decide
from volspine.metrics.bootstrap import bootstrap_difference
from volspine.metrics.rsna import Terms, grade_weights, rsna_terms
from volspine.phantom.labels import draw_severity, grades_of
from volspine.phantom.prevalence import READER_CORRELATION, observed_cutpoints, reader_sigma
from volspine.phantom.spec import Noise
from volspine.types import FloatArray, IntArray

READER = Noise.SINGLE_READER
BLURS = (0.0, 0.3, 0.6, 1.0)
"""Standard deviations of a grader's error; severities have 1."""


def drawn(studies: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """Return latent severities and a single reader's labels, both (studies, 25)."""
    severity = draw_severity(rng, studies)
    shared, own = rng.standard_normal((studies, 1)), rng.standard_normal(severity.shape)
    error = np.sqrt(READER_CORRELATION) * shared + np.sqrt(1 - READER_CORRELATION) * own
    return severity, grades_of(severity + reader_sigma(READER) * error, observed_cutpoints(READER))


def graded(severity: FloatArray, blur: float, rng: np.random.Generator) -> FloatArray:
    """Return the calibrated probabilities of a grader with an error, shape (studies, 25, 3)."""
    seen = severity + blur * rng.standard_normal(severity.shape)
    # A standard normal severity, seen with an error, is normal around the shrunk sight of it.
    mean, variance = seen / (1 + blur**2), blur**2 / (1 + blur**2)
    sigma = np.sqrt(variance + reader_sigma(READER) ** 2)[:, None]
    below = ndtr((observed_cutpoints(READER) - mean[..., None]) / sigma)
    edges = np.pad(below, [(0, 0), (0, 0), (1, 1)], constant_values=(0.0, 1.0))
    return np.asarray(np.diff(edges, axis=-1).clip(min=0.0))


def fitted_rule(p: FloatArray, labels: IntArray) -> FloatArray:
    """Return for each finding ln w_moderate, ln w_severe (of normal 0) and a, shape (3, 3)."""
    found = []
    for finding in Finding:
        ours = [t.index for t in TARGETS if t.finding is finding]
        rows = np.log(p[:, ours].clip(min=1e-15)), labels[:, ours]
        found.append(minimize(weighted_loss, [0.5, 1.0, 0.8], args=rows, method="L-BFGS-B").x)
    return np.array(found)


def weighted_loss(rule: FloatArray, logs: FloatArray, truth: IntArray) -> float:
    """Return the weighted log loss of the report that a rule makes of log-probabilities."""
    weights = grade_weights(truth)
    said = np.take_along_axis(ruled(logs, rule), truth[..., None], axis=-1)[..., 0]
    return float(-(weights * said).sum() / weights.sum())


def ruled(logs: FloatArray, rule: FloatArray) -> FloatArray:
    """Return logarithms of the report that a rule makes of log-probabilities."""
    return np.asarray(log_softmax(rule[2] * (logs + np.array([0.0, *rule[:2]])), axis=-1))


def by_rule(p: FloatArray, rules: FloatArray) -> FloatArray:
    """Return the report of all findings by their rules."""
    report = np.empty_like(p)
    for finding, rule in zip(Finding, rules, strict=True):
        ours = [t.index for t in TARGETS if t.finding is finding]
        report[:, ours] = np.exp(ruled(np.log(p[:, ours].clip(min=1e-15)), rule))
    return report


def reports(p: FloatArray, fitted_p: FloatArray, fitted: IntArray) -> dict[str, FloatArray]:
    """Return what is compared, by name; the first is what the others are compared with."""
    weights, dependence = mean_weights(fitted), fit_dependence(fitted_p, fitted)
    plain = decide(p)
    return {
        "decide": plain,
        "probabilities as they are": p,
        "decide, severe x 1.25": decide(p, (1.0, 2.0, 5.0)),
        "decide, temperature 0.91": softmax(np.log(plain.clip(min=1e-15)) / 0.91, axis=-1),
        "decide, weights and sharpness fitted": by_rule(p, fitted_rule(fitted_p, fitted)),
        "decide_study": decide_study(p),
        "decide_study, levels independent": decide_study(p, dependence=0.0),
        f"decide_study, dependence {dependence:.2f}": decide_study(
            p, dependence=dependence, weights=weights
        ),
    }


def row(name: str, terms: Terms, first: Terms, resamples: int) -> str:
    """Return a line of the table."""
    score = terms.score()
    gain = bootstrap_difference(first, terms, resamples=resamples, levels=(0.95,))["total"][0]
    numbers = f"{score.spinal:.4f} | {score.any_severe:.4f} | {score.total:.4f}"
    less = first.score().total - score.total
    return f"| {name} | {numbers} | {less:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}) |"


def main() -> None:
    """Draw, report, score and print a Markdown table for each grader."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=400)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    severity, labels = drawn(arguments.studies, rng)
    half = arguments.studies // 2
    for blur in BLURS:
        p = graded(severity, blur, rng)
        print(f"\nGrader's error {blur}: {half} studies fitted on, the others scored\n")
        print("| report | canal | any severe | score | better than decide by (95 %) |")
        print("|---|---|---|---|---|")
        given = reports(p[half:], p[:half], labels[:half])
        terms = {name: rsna_terms(labels[half:], q) for name, q in given.items()}
        for name, these in terms.items():
            print(row(name, these, terms["decide"], arguments.resamples))
        print("\nFitted weights of moderate and severe (of normal 1), and sharpness:")
        for finding, rule in zip(Finding, fitted_rule(p[:half], labels[:half]), strict=True):
            weights = np.exp(rule[:2])
            print(f"- {finding.term}: {weights[0]:.2f}, {weights[1]:.2f}, {rule[2]:.3f}")


if __name__ == "__main__":
    main()
