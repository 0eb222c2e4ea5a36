"""Floor: from the truth of a phantom's test studies to what one who knows it would score.

Labels that are the truth leave nothing to doubt: the floor is 0. Labels that a reader gave are told
by the probability of each label given the true severity, which is measured anew from the phantom.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compared.runs import Run
from volspine.anatomy import TARGETS
from volspine.phantom.card import reader_posterior
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.phantom.study import outline_study


def known_truth(run: Run, roots: Sequence[Path]) -> tuple[np.ndarray, str]:
    """Return the probability of each label given the truth, (N, 25, 3), and a line on the labels.

    Raises:
        SystemExit: If a test study has no truth in the roots.
    """
    truths = [_truth(key, roots) for key in run.keys]
    grades = np.array([[truth["grades"][t.name] for t in TARGETS] for truth in truths])
    differ = int(((run.labels != grades) & (run.labels >= 0)).sum())
    if not differ:
        return np.eye(3)[grades], "labels are the truth, without a reader: the floor is 0"
    said = np.concatenate([_read(truth["spec"]) for truth in truths])
    share = 100 * differ / int((run.labels >= 0).sum())
    return said, f"a reader gave the labels, {share:.0f} % of which are not the truth"


def _truth(key: str, roots: Sequence[Path]) -> dict:
    for position, root in enumerate(roots):
        # A name that stands in several roots has its root's position and name in front.
        path = root / "truth" / f"{key.removeprefix(f'{position}-{root.name}-')}.json"
        if path.is_file():
            found: dict = json.loads(path.read_text(encoding="utf-8"))
            return found
    raise SystemExit(
        f"no root tells the truth of study {key}; give all of them with --root, in the order in "
        "which they were trained on"
    )


def _read(told: dict) -> np.ndarray:
    spec = Spec(
        seed=told["seed"],
        index=told["index"],
        cohort=Cohort(told["cohort"]),
        noise=Noise(told["noise"]),
        header=Header(told["header"]),
        size=Size(told["size"]),
    )
    severity = outline_study(spec).truth.severity[None]
    return reader_posterior(severity, spec.noise)
