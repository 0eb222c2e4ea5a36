"""`volspine phantom`: synthetic studies with known truth, laid out as the challenge's."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from volspine.errors import ConfigurationError

if TYPE_CHECKING:
    from volspine.phantom.card import Card

__all__ = ["add_arguments", "run"]

_COHORTS = ("rsna_like", "probe", "pairs", "clean", "shift")
_NOISES = ("none", "consensus", "single_reader")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("out", nargs="?", type=Path, metavar="OUT", help="new folder for the studies")
    add("--studies", type=int, metavar="N", help="how many studies")
    add("--cohort", choices=_COHORTS, default="rsna_like", help="population (default: rsna_like)")
    add(
        "--noise",
        choices=_NOISES,
        help="reader noise of the labels (default: single_reader; none for probe, pairs, clean)",
    )
    add(
        "--header",
        choices=("rsna", "full"),
        default="rsna",
        help="as bare as the challenge's files, whose spacing some tools miss, or a full MR object "
        "(default: rsna)",
    )
    add("--seed", type=int, default=0, metavar="S", help="root seed (default: 0)")
    add("--workers", type=int, default=1, metavar="W", help="number of processes (default: 1)")
    add(
        "--label-maps",
        action="store_true",
        help="also write which vertebra, disc or canal each voxel shows, as NIfTI",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with an interrupted call; its finished studies are kept",
    )
    add("--card", action="store_true", help="print prevalence, correlation and Bayes ceilings")


def run(arguments: argparse.Namespace) -> int:
    """Write a cohort, or print what one is."""
    if arguments.card:
        _print_card(arguments)
        return 0
    if arguments.out is None or arguments.studies is None:
        raise ConfigurationError(
            "OUT and --studies are needed",
            remedy="write for example: volspine phantom OUT --studies 20; or add --card",
            code="VS-CFG-040",
        )
    _write(arguments)
    return 0


def _write(arguments: argparse.Namespace) -> None:
    from volspine.cli.progress import counting
    from volspine.phantom.cohort import generate

    with counting("Writing", total=arguments.studies, quiet=arguments.quiet) as advance:
        generate(
            arguments.out,
            studies=arguments.studies,
            cohort=arguments.cohort,
            noise=arguments.noise,
            header=arguments.header,
            seed=arguments.seed,
            workers=arguments.workers,
            on_study=advance,
            label_maps=arguments.label_maps,
            resume=arguments.resume,
        )
    if not arguments.quiet:
        print(f"{arguments.studies} synthetic studies in {arguments.out}; the truth is in truth/")


def _print_card(arguments: argparse.Namespace) -> None:
    from volspine.phantom.card import card
    from volspine.phantom.spec import Cohort, Noise, Spec

    spec = Spec(cohort=Cohort(arguments.cohort))
    print(_text(card(spec.cohort, Noise(arguments.noise or spec.reader.value))))


def _text(made: "Card") -> str:
    from volspine.grades import RESEARCH_USE

    lines = [
        f"Cohort {made.cohort.value}, reader noise {made.noise.value}",
        "",
        *_prevalence_lines(made),
        "",
        *_correlation_lines(made),
        "",
        *_ceiling_lines(made),
        "",
        f"Synthetic studies: the figures say nothing about patients. {RESEARCH_USE}",
    ]
    return "\n".join(lines)


def _prevalence_lines(made: "Card") -> list[str]:
    from volspine.anatomy import LEVELS, Condition

    lines = ["Prevalence, % normal or mild / moderate / severe"]
    lines.append(f"{'':34}" + "".join(f"{level.label:>17}" for level in LEVELS))
    for number, condition in enumerate(Condition):
        rows = made.prevalence[5 * number : 5 * number + 5] * 100
        cells = "".join(f"{n:>7.1f}/{m:4.1f}/{s:4.1f}" for n, m, s in rows)
        lines.append(f"{condition.label:34}{cells}")
    return lines


def _correlation_lines(made: "Card") -> list[str]:
    import numpy as np

    from volspine.anatomy import Condition

    names = ("canal", "foramen L", "foramen R", "recess L", "recess R")
    blocks = made.correlation.reshape(5, 5, 5, 5)
    lines = ["Correlation of the true severities: same level, and one level apart (mean)"]
    lines.append(f"{'':12}" + "".join(f"{name:>16}" for name in names))
    for row in range(len(Condition)):
        cells = ""
        for column in range(len(Condition)):
            block = blocks[row, :, column, :]
            near = (np.diag(block, 1).mean() + np.diag(block, -1).mean()) / 2
            cells += f"{np.diag(block).mean():>10.2f}, {near:4.2f}"
        lines.append(f"{names[row]:12}{cells}")
    return lines


def _ceiling_lines(made: "Card") -> list[str]:
    lines = ["Bayes ceiling: a grader that knows the exact severity, against these labels"]
    lines.append(f"{'':12}{'accuracy':>9}{'majority':>9}{'loss':>8}{'prior':>8}   by level")
    for finding, c in made.ceilings.items():
        levels = " ".join(f"{a:.3f}" for a in c.by_level)
        name = finding.name.lower()
        lines.append(
            f"{name:12}{c.accuracy:>9.3f}{c.majority:>9.3f}"
            f"{c.loss:>8.3f}{c.prior_loss:>8.3f}   {levels}"
        )
    return lines
