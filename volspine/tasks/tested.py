"""What a test leaves in its run's folder: numbers, a page, predictions and places."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volspine.jobs import write_text
from volspine.report.evaluation_page import evaluation_page
from volspine.tasks.evaluation import Evaluation, places_csv, predictions_csv
from volspine.tasks.evaluation_page import judged_test, numbers_of_test
from volspine.tasks.hearing import Said

__all__ = ["write_test"]


def write_test(
    folder: Path, result: Evaluation, said: Said, *, is_phantom: bool, also: Mapping[str, Any]
) -> None:
    """Write `test_metrics.json`, `evaluation.html`, `test_predictions.csv` and `test_places.csv`.

    Args:
        folder: Of the run.
        result: The score beside the prior.
        said: Predictions and labels; places, where the grader says them.
        is_phantom: Whether the studies are synthetic.
        also: Plain data that the numbers are told with.

    Raises:
        OutputError: If a file cannot be written.
    """
    judged = judged_test(said, result, is_phantom=is_phantom)
    metrics = {**result.to_dict(), **numbers_of_test(judged), **also}
    write_text(folder / "test_metrics.json", json.dumps(metrics, indent=1) + "\n")
    write_text(folder / "evaluation.html", evaluation_page(judged))
    write_text(folder / "test_predictions.csv", predictions_csv(*said[:3]))
    if said.places is not None:
        write_text(folder / "test_places.csv", places_csv(said.places, said.keys))
