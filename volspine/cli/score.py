"""`volspine score`: the challenge's metric of a submission, with patient-bootstrap intervals.

volspine score SOLUTION.csv SUBMISSION.csv                       score, parts, measures, 25 cells
volspine score SOLUTION.csv A.csv --against B.csv                is A better than B? paired
volspine score SOLUTION.csv A.csv --html FILE                    the same as one page
volspine score SOLUTION.csv test_predictions.csv --calibrated    of a test run, or out-of-fold
"""

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
    parser.add_argument(
        "--against",
        type=Path,
        metavar="OTHER.csv",
        help="another submission: tell the difference with paired intervals",
    )
    parser.add_argument(
        "--calibrated",
        action="store_true",
        help="the tables hold calibrated probabilities, as test_predictions.csv and oof.csv do: "
        "weight them for the metric first",
    )
    parser.add_argument(
        "--places",
        type=Path,
        metavar="FILE",
        help="test_places.csv of volspine test: tell how far off targets were looked for, too",
    )
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
        from volspine.report.evaluation_page import evaluation_page

        write_text(arguments.html, evaluation_page(evaluation))
    if arguments.json:
        print(json.dumps(evaluation.to_dict(), indent=2, allow_nan=False))
    else:
        from volspine.report.evaluation_text import evaluation_text

        print(evaluation_text(evaluation))
    return 0


def _evaluate(arguments: argparse.Namespace) -> "Evaluation":
    from volspine.metrics.place_errors import read_place_errors
    from volspine.metrics.tables import read_studies
    from volspine.report.evaluation import facts_of, judge
    from volspine.report.scored import read_scored

    studies = None if arguments.studies is None else read_studies(arguments.studies)
    tables = [path for path in (arguments.submission, arguments.against) if path is not None]
    scored, *others = read_scored(
        arguments.solution, *tables, studies=studies, is_calibrated=arguments.calibrated
    )
    facts = facts_of(arguments.solution, scored)
    if arguments.places is not None:
        facts = facts._replace(places=read_place_errors(arguments.places, scored.studies))
    return judge(
        scored,
        against=others[0] if others else None,
        facts=facts,
        resamples=arguments.bootstrap,
        seed=arguments.seed,
    )
