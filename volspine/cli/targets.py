"""`volspine targets`: what is graded, in which order, and with which words."""

import argparse
import json

from volspine.anatomy import TARGETS, Grade, Target

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="a JSON list of 25 objects")


def run(arguments: argparse.Namespace) -> int:
    """Print the vocabulary."""
    print(_as_json() if arguments.json else _as_text())
    return 0


def _as_json() -> str:
    return json.dumps([_describe(target) for target in TARGETS], indent=2)


def _describe(target: Target) -> dict[str, object]:
    return {
        "index": target.index,
        "name": target.name,
        "condition": target.condition.term,
        "level": target.level.value,
        "side": target.side and target.side.value,
        "label": target.label,
        "mirrored": target.mirrored.name,
        "grades": [grade.label for grade in Grade],
    }


def _as_text() -> str:
    width = max(len(target.name) for target in TARGETS)
    rows = [f"{t.index:>2}  {t.name:<{width}}  {t.label}" for t in TARGETS]
    grades = ", ".join(f"{grade.value} {grade.label}" for grade in Grade)
    return "\n".join([*rows, f"Grades: {grades}. Left and right are the patient's."])
