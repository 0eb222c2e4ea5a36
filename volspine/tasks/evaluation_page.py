"""What was said of held-out studies -> the page that `volspine score` makes, and its numbers.

Predictions of a test are calibrated, and `report.evaluation` judges them as it does a submission:
after the decision layer for the metric, before it for everything else.
"""

from typing import Any

import numpy as np

from volspine.metrics.landmarks import point_errors, wrong_level
from volspine.metrics.place_errors import place_summary
from volspine.report.evaluation import Evaluation, Facts, judge
from volspine.report.scored import is_phantom_root, predicted
from volspine.tasks.evaluation import Evaluation as BesidePrior
from volspine.tasks.evaluation import Places
from volspine.tasks.hearing import Said

__all__ = ["are_phantoms", "judged_test", "numbers_of_test"]


def judged_test(said: Said, result: BesidePrior, *, is_phantom: bool, seed: int = 0) -> Evaluation:
    """Return all that is known about the predictions of a test run.

    Args:
        said: Predictions, labels and places.
        result: The same beside the prior of the training split.
        is_phantom: Whether the studies are synthetic.
        seed: Of the draws.
    """
    return judge(
        predicted(said.probabilities, said.grades, said.keys),
        facts=Facts(
            "Evaluation of held-out studies",
            is_phantom,
            result.prior,
            "frequencies of the training split, nothing learned",
            {} if said.places is None else _places(said.places, seed),
        ),
        seed=seed,
    )


def numbers_of_test(judged: Evaluation) -> dict[str, Any]:
    """Return what `test_metrics.json` says besides: all measures with 95 % intervals, 25 cells."""
    told = judged.to_dict()
    intervals = {
        name: next(([i["low"], i["high"]] for i in given if i["level"] == 0.95), None)
        for name, given in told["intervals"].items()
    }
    return {
        "score_interval_95": intervals,
        **judged.judged(),
        "localization_95": told["localization"],
        "phantoms": told["phantoms"],
    }


def are_phantoms(data: Any) -> bool:
    """Return whether a data module has synthetic studies alone: made up, or of phantom roots."""
    roots = getattr(getattr(data, "places", None), "roots", ())
    return all(is_phantom_root(root) for root in roots)


def _places(places: Places, seed: int) -> dict[str, dict[str, float | None]]:
    errors, wrong = point_errors(*places), wrong_level(*places)
    is_true = np.asarray(np.isfinite(places.true_mm).all(axis=-1))
    return place_summary(errors, is_true, wrong, seed=seed)
