"""The errors of a localizer on unseen phantom studies, as the table that crops are jittered with.

    python -m experiments.localizer_errors MODEL --out volspine/volume/localizer_errors.json

MODEL is a bundle with a localizer, or a checkpoint of one. Places that are not found, and those of
another level, are counted in the table and not drawn. Use another seed than the one that chose the
model.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from experiments.localizer_scores import COHORTS, examined, load
from volspine.jobs import write_bytes
from volspine.volume.jitter import ErrorHistogram


def main() -> None:
    """Locate, subtract and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="bundle with a localizer, or a checkpoint of one")
    parser.add_argument("--studies", type=int, default=100, help="of each cohort")
    parser.add_argument("--cohorts", nargs="+", choices=COHORTS, default=["rsna_like"])
    parser.add_argument("--seed", type=int, default=812)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    arguments = parser.parse_args()
    arguments.mirrored = arguments.cut = 0
    localizer = load(arguments.model)
    errors = np.array([
        outcome.found.points_mm - outcome.true_mm
        for cohort in arguments.cohorts
        for outcome in examined(localizer, cohort, arguments)
    ])  # fmt: skip
    source = (
        f"{len(errors)} unseen phantoms ({', '.join(arguments.cohorts)}), seed {arguments.seed}"
    )
    table = ErrorHistogram.from_errors(errors, source=source)
    write_bytes(arguments.out, (json.dumps(table.to_dict(), indent=1) + "\n").encode())
    for name, finding in table.to_dict()["findings"].items():
        print(name, {key: value for key, value in finding.items() if not isinstance(value, list)})
    print(f"saved {arguments.out}: {source}")


if __name__ == "__main__":
    main()
