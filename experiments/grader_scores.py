"""A model of level mode on unseen phantom people: scores beside prior and floor, kappa, pairs.

    python experiments/grader_scores.py MODEL --studies 300 --out SCORES --workers 2

MODEL is a bundle with a grader of level mode, or its checkpoint; `demo` is that of the package.
Three cohorts of a seed that taught nobody are graded:

    rsna_like   with the labels of a single reader: the weighted log loss after the decision layer,
                where it lies between the floor (one who knows the exact severity) and the prior
                (one who knows nothing), how much of it is where the localizer errs, and how much
                goes if the model, which may never have met a reader, is refitted to one's labels
                of other people (`proof.refit`)
    probe       without reader noise: quadratic kappa and accuracy, also by how far apart slices lie
    pairs       neighbours differ in one grade: does the changed target's severity move most, and
                in the right direction?

`--via crops` takes crops straight from the phantom and moves the true points as the localizer was
measured to err, errors of over 15 mm and misses left out; `--via dicom` grades written files with
the predictor, localizer and all, at seconds a study. SCORES/records holds what was graded, so a run
that was stopped goes on. SCORES/scores.md holds the tables, SCORES/scores.json what a card says of
them (`volspine bundle --metrics`), SCORES/temperature.json the temperature that suits a reader's
labels (`--temperature`). It says nothing about patients.
"""

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from proof.grading import (
    GIVEN,
    JITTERED,
    TRUE,
    Job,
    gathered,
    model_of,
    records,
    slice_distances,
)
from proof.measures import (
    FINDINGS,
    RESAMPLES,
    Estimate,
    Graded,
    agreement,
    pair_scores,
    paired,
    reported,
    ways,
)
from proof.refit import Refit, logs, temperature_and_offsets_of, temperature_of
from proof.tables import commit, in_percent, provenance, table

from volspine.inference.card import Card
from volspine.jobs import write_text
from volspine.metrics.calibration import fit_temperature
from volspine.phantom.prevalence import prevalence
from volspine.phantom.spec import Cohort, Noise, Size, Spec

TRAINED, PUBLISHED = "training split's", "cohort's own"


def main() -> None:
    """Grade, judge, print and write."""
    arguments = parsed()
    commit()  # Of now, not of when the tables are done.
    texts, facts = [], {}
    for cohort in arguments.cohorts:
        job = Job(arguments.bundle, arguments.via)
        specs = specs_of(Cohort(cohort), arguments)
        lines = graded(job, specs, arguments)
        texts.append(SECTIONS[cohort](lines, arguments))
        if cohort in FACTS:
            facts |= FACTS[cohort](lines, arguments)
        print(f"\n{texts[-1]}\n", flush=True)
    path = arguments.out / "scores.md"
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    write_text(path.with_suffix(".json"), json.dumps(facts, indent=1) + "\n")
    if arguments.refit and "rsna_like" in arguments.cohorts:
        write_temperature(path.with_name("temperature.json"), arguments)
    print(f"written to {path}")


def parsed() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a bundle, a checkpoint, or demo")
    parser.add_argument("--studies", type=int, default=300, help="of rsna_like")
    parser.add_argument("--probe", type=int, default=100, help="studies of probe")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of two studies")
    parser.add_argument("--refit", type=int, default=80, help="other rsna_like to refit to, or 0")
    parser.add_argument("--cohorts", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--via", choices=list(GIVEN), default="crops")
    parser.add_argument("--seed", type=int, default=9606, help="one that taught nobody")
    parser.add_argument("--out", type=Path, default=Path("grader_scores"), help="folder")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--size", choices=[s.value for s in Size], default="full")
    arguments = parser.parse_args()
    arguments.bundle = None if arguments.model == "demo" else Path(arguments.model)
    return arguments


def specs_of(cohort: Cohort, arguments: argparse.Namespace) -> list[Spec]:
    """Return which studies of a cohort are graded."""
    counts = {
        Cohort.RSNA_LIKE: arguments.studies,
        Cohort.PROBE: arguments.probe,
        Cohort.PAIRS: 2 * arguments.pairs,
    }
    size = Size(arguments.size)
    return [
        Spec(seed=arguments.seed, index=n, cohort=cohort, size=size) for n in range(counts[cohort])
    ]


def graded(job: Job, specs: list[Spec], arguments: argparse.Namespace) -> list[dict]:
    """Return the records of some studies; their file is of this model, seed and way alone."""
    name = f"{specs[0].cohort}_{specs[0].seed}_{arguments.size}_{job.via}_{mark(arguments)}.jsonl"
    path = arguments.out / "records" / name
    return records(job, specs, path, workers=arguments.workers)


def mark(arguments: argparse.Namespace) -> str:
    """Return what tells a model, its temperature included, from others."""
    card = card_of(arguments)
    told = card.weights_sha256.encode() + np.asarray(card.temperature).tobytes()
    return hashlib.sha256(told).hexdigest()[:8]


def card_of(arguments: argparse.Namespace) -> Card:
    """Return the card of the model."""
    return model_of(arguments.bundle).card


def of_labels(lines: list[dict], arguments: argparse.Namespace) -> str:
    """Return the tables of `rsna_like`: score, floor, priors, and what localisation costs."""
    first = GIVEN[arguments.via][0]
    found = gathered(lines, first)
    priors = {TRAINED: card_of(arguments).frequencies, PUBLISHED: prevalence()}
    rows = [
        [way.name, way.score, way.floor, way.expected_floor, *way.priors.values(),
         *(in_percent(share) for share in way.shares.values())]
        for way in ways(found, priors, Noise.SINGLE_READER)
    ]  # fmt: skip
    head = [f"{len(lines)} `rsna_like`, {first}", "score", "floor", "floor, expected"]
    head += [f"{name} prior" for name in priors] + [f"way to {name} prior, %" for name in priors]
    parts = [table(head, rows)]
    if arguments.refit:
        parts.append(refitted(found, priors, arguments))
    if arguments.via == "crops":
        parts.append(cost_in_loss(lines))
    return "\n\n".join([*parts, footnote(lines, arguments)])


def refitted(found: Graded, priors: dict[str, np.ndarray], arguments: argparse.Namespace) -> str:
    """Return the three terms with what a reader's labels of other people say of the model.

    Those people are of the next seed.
    """
    others = others_of(arguments)
    fits: dict[str, Refit] = {
        "as the model says": lambda p: p,
        "temperature refitted": temperature_of(others),
        "temperature and offsets refitted": temperature_and_offsets_of(others),
    }
    rows = []
    for name, fit in fits.items():
        changed = replace(found, probabilities=fit(found.probabilities))
        first = ways(changed, priors, Noise.SINGLE_READER)[0]
        rows.append([name, first.score, *(in_percent(share) for share in first.shares.values())])
    head = [f"three terms, refitted to a reader's labels of {arguments.refit} others", "score"]
    return table([*head, *(f"way to {name} prior, %" for name in priors)], rows)


def others_of(arguments: argparse.Namespace) -> Graded:
    """Return the people to refit to."""
    cohort, size = Cohort.RSNA_LIKE, Size(arguments.size)
    specs = [
        Spec(seed=arguments.seed + 1, index=n, cohort=cohort, size=size)
        for n in range(arguments.refit)
    ]
    job = Job(arguments.bundle, arguments.via)
    return gathered(graded(job, specs, arguments), GIVEN[arguments.via][0])


def write_temperature(path: Path, arguments: argparse.Namespace) -> None:
    """Write the temperature that suits a reader, for `volspine bundle --temperature`."""
    others, heat = others_of(arguments), card_of(arguments).temperature[:, None]
    # Undone first: a temperature is sought within bounds of what the network itself says.
    found = fit_temperature(logs(others.probabilities) * heat, others.labels)
    facts = {
        "temperature": found.tolist(),
        "fitted_on": f"labels of a single reader of {arguments.refit} synthetic rsna_like people",
    }
    write_text(path, json.dumps(facts, indent=1) + "\n")


def cost_in_loss(lines: list[dict]) -> str:
    """Return what jittered points cost over true ones, by column of the scores."""
    jittered, true = (gathered(lines, given) for given in (JITTERED, TRUE))
    terms = [reported(one.probabilities, one.labels) for one in (jittered, true)]
    names = ["three terms", *FINDINGS]
    costs = paired(*terms)[: len(names)]
    return table(["loss of jittered less true points", *names], [["paired", *costs]])


def of_truth(lines: list[dict], arguments: argparse.Namespace) -> str:
    """Return the tables of `probe`: kappa and accuracy, with either points, and by slices."""
    head = [f"{len(lines)} `probe`, no reader noise"]
    rows: dict[str, list[str | Estimate]] = {}
    for given in GIVEN[arguments.via]:
        found = gathered(lines, given)
        head += [f"kappa, {given}", f"right, {given}, %"]
        for name, (kappa, right) in agreement(found.grades, chosen(found)).items():
            rows.setdefault(name, [name]).extend([kappa, in_percent(right)])
    parts = [table(head, list(rows.values()))]
    if arguments.via == "crops":
        parts.append(by_slices(lines))
    return "\n\n".join([*parts, footnote(lines, arguments)])


SHOWN_BEST = {"canal": "axial T2", "foramen": "sagittal T1", "recess": "axial T2"}


def by_slices(lines: list[dict]) -> str:
    """Return kappa at true points of the studies whose slices lie nearest, and farthest apart."""
    found, distances = gathered(lines, TRUE), slice_distances(lines)
    rows = []
    for finding, protocol in SHOWN_BEST.items():
        order = np.argsort(distances[protocol], kind="stable")
        third = max(len(order) // 3, 1)
        row: list[str | Estimate] = [f"{finding}, {protocol}"]
        for part in (order[:third], order[-third:]):
            mm = distances[protocol][part]
            kappa = agreement(found.grades[part], chosen(found)[part])[finding][0]
            row += [f"{mm.min():.1f} to {mm.max():.1f}", kappa]
        rows.append(row)
    head = ["true points, by distance of slices", "nearest third, mm", "kappa"]
    return table([*head, "farthest third, mm", "kappa"], rows)


def chosen(found: Graded) -> np.ndarray:
    """Return the most probable grades, (N, 25)."""
    return np.asarray(found.probabilities.argmax(axis=-1))


def of_pairs(lines: list[dict], arguments: argparse.Namespace) -> str:
    """Return the table of `pairs`."""
    rows = []
    for given in GIVEN[arguments.via]:
        found = pair_scores(gathered(lines, given))
        rows.append([given, in_percent(found.largest), in_percent(found.right), found.rank])
    head = [f"{len(lines) // 2} `pairs`", "changed target moves most of the 25, %",
            "in the right direction, %", "median rank of its move"]  # fmt: skip
    return "\n\n".join([table(head, rows, digits=0), footnote(lines, arguments)])


def footnote(lines: list[dict], arguments: argparse.Namespace) -> str:
    """Return how the tables came about."""
    imputed = [line["given"][GIVEN[arguments.via][0]]["imputed"] for line in lines]
    card = card_of(arguments)
    note = (
        f"model {card.name} {card.weights_sha256[:8]}, trained on {card.trained_on}; graded via "
        f"{arguments.via}; in brackets 90 % bootstrap intervals over studies, of pairs over pairs "
        f"({RESAMPLES} draws); "
        f"{100 * np.mean(imputed) / 25:.1f} % of targets shown by no primary view"
    )
    return provenance(arguments.seed, note=note)


def facts_of_labels(lines: list[dict], arguments: argparse.Namespace) -> dict:
    """Return what a card says of the score of all four terms; see `inference.held_out`."""
    found = gathered(lines, GIVEN[arguments.via][0])
    priors = {TRAINED: card_of(arguments).frequencies, PUBLISHED: prevalence()}
    three, canal, foramen, recess, severe, four = ways(found, priors, Noise.SINGLE_READER)
    named = {"spinal": canal, "foraminal": foramen, "subarticular": recess, "any_severe": severe}
    return {
        "score": four.score.value,
        "score_interval_90": [four.score.low, four.score.high],
        "prior": four.priors[TRAINED],
        "prior_of_cohort": four.priors[PUBLISHED],
        "floor": four.floor,
        "way_percent": {name: share.value for name, share in three.shares.items()},
        "studies": len(lines),
        "terms": {name: way.score.value for name, way in named.items()},
        "terms_interval_90": {n: [w.score.low, w.score.high] for n, w in named.items()},
    }


def facts_of_truth(lines: list[dict], arguments: argparse.Namespace) -> dict:
    """Return what a card says of kappa."""
    found = gathered(lines, GIVEN[arguments.via][0])
    kappa = {name: pair[0] for name, pair in agreement(found.grades, chosen(found)).items()}
    return {
        "kappa": {name: one.value for name, one in kappa.items()},
        "kappa_interval_90": {name: [one.low, one.high] for name, one in kappa.items()},
    }


FACTS = {"rsna_like": facts_of_labels, "probe": facts_of_truth}
SECTIONS = {"rsna_like": of_labels, "probe": of_truth, "pairs": of_pairs}

if __name__ == "__main__":
    main()
