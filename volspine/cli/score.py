"""`volspine score`: the challenge's metric of a submission, with patient-bootstrap intervals."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from volspine.errors import ConfigurationError

if TYPE_CHECKING:
    from volspine.report.evaluation import Evaluation

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "solution", type=Path, help="a wide train.csv, or the long form with sample_weight"
    )
    parser.add_argument("submission", type=Path, help="row_id,normal_mild,moderate,severe")
    parser.add_argument(
        "--studies", type=Path, metavar="FILE", help="score these studies only: one id on each line"
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="samples of studies for the intervals (1000); 0 for none",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page as well")


def run(arguments: argparse.Namespace) -> int:
    """Score, print, and write the page if asked to."""
    if arguments.bootstrap < 0 or arguments.seed < 0:
        raise ConfigurationError(
            "--bootstrap and --seed must not be negative",
            remedy="give 0 or more; --bootstrap 0 for no intervals",
            code="VS-CFG-055",
        )
    evaluation = _evaluate(arguments)
    if arguments.html is not None:
        from volspine.jobs import write_text
        from volspine.report.evaluation import render_evaluation

        write_text(arguments.html, render_evaluation(evaluation))
    print(json.dumps(evaluation.to_dict(), indent=2) if arguments.json else evaluation.to_text())
    return 0


def _evaluate(arguments: argparse.Namespace) -> "Evaluation":
    from volspine.metrics.tables import read_studies
    from volspine.report.evaluation import evaluate

    return evaluate(
        arguments.solution,
        arguments.submission,
        studies=None if arguments.studies is None else read_studies(arguments.studies),
        resamples=arguments.bootstrap,
        seed=arguments.seed,
    )
