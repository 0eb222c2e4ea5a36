"""`volspine view --saliency`: grade the study, and find what the grade of one target looked at."""

import argparse
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from volspine.anatomy import TARGETS, Target
from volspine.errors import ConfigurationError

if TYPE_CHECKING:
    from volspine.dicom.study import Study
    from volspine.grades import StudyGrades
    from volspine.inference.graded import GradedStudy
    from volspine.inference.predictor import Predictor
    from volspine.viewer.heat import Heat

__all__ = ["add_arguments", "check", "heat_of"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--saliency",
        metavar="TARGET",
        help="grade the study and show what the grade of a target looked at; its name is that of "
        "volspine targets, such as left_subarticular_stenosis_l4_l5",
    )
    parser.add_argument(
        "--method",
        choices=("attention", "gradcam"),
        default="attention",
        help="of --saliency: where the grade was read from (default), or what speaks for it",
    )
    parser.add_argument(
        "--model", type=Path, metavar="BUNDLE", help="of --saliency: a bundle (default: the demo)"
    )


def check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read."""
    if arguments.saliency is None:
        if arguments.model is not None or arguments.method != "attention":
            raise ConfigurationError(
                "--model and --method are of use with --saliency only",
                remedy="say whose grade: --saliency TARGET",
                code="VS-CFG-180",
            )
        return
    _target(arguments.saliency)
    if arguments.grades is not None:
        raise ConfigurationError(
            "--saliency grades the study itself, so it does not go with --grades",
            remedy="give one of them",
            code="VS-CFG-181",
        )


def heat_of(study: "Study", arguments: argparse.Namespace) -> "tuple[StudyGrades, Heat]":
    """Return the grades of a study and what the grade that was asked for looked at.

    Raises:
        VolspineError: If the model sees whole studies, or the target is not graded.
    """
    from volspine.inference.predictor import Predictor
    from volspine.viewer.heat import Heat

    target, predictor = _target(arguments.saliency), Predictor(arguments.model)
    _check_mode(predictor)
    graded = predictor.predict(study)
    grade = _check_graded(graded, target)
    return graded.grades, Heat(graded.saliency(target, arguments.method), grade)


def _target(name: str) -> Target:
    """Return the target of a name."""
    by_name = {target.name: target for target in TARGETS}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise ConfigurationError(
        f"there is no target {name[:80]!r}",
        remedy=f"{hint}see all 25 with: volspine targets",
        code="VS-CFG-182",
    )


def _check_mode(predictor: "Predictor") -> None:
    if predictor.bundle.mode != "level":
        raise ConfigurationError(
            "the model sees whole studies and does not know what a grade looked at",
            remedy="give a model that looks at levels: --model BUNDLE",
            code="VS-CFG-183",
        )


def _check_graded(graded: "GradedStudy", target: Target) -> str:
    """Return the grade of a target in words."""
    grades = graded.grades
    grade = grades.grades[target.index]
    if graded.status != "refused" and grade is not None and not grades.imputed[target.index]:
        return f"{grade.label} ({grades.confidence[target.index]:.2f})"
    reason = graded.reason if graded.status == "refused" else grades.reasons[target.index]
    measured = [t.name for t in TARGETS if not grades.imputed[t.index]]
    is_any = graded.status != "refused" and bool(measured)
    raise ConfigurationError(
        f"{target.label} was not graded: {reason}",
        remedy=f"ask for one that was, such as {measured[0]}"
        if is_any
        else "see what the study holds with: volspine scan",
        code="VS-CFG-184",
    )
