"""`volspine cv`: cross-validate a recipe: every fold, out-of-fold predictions, an ensemble.

    volspine cv -c experiments/NAME.yaml --data.root ROOT --out DIR

Whatever is not an option of its own is one of `volspine fit`, and goes to every fold.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volspine.data.rsna import LabelledStudy
    from volspine.tasks.cross_validation import CrossValidation

__all__ = ["PASSES_ON", "add_arguments", "run"]

PASSES_ON = True
"""Options that are not declared here are those of `volspine fit`."""

_TAKEN = ("--trainer.default_root_dir", "--data.split", "--ckpt_path")
"""Options of `volspine fit` that are the cross-validation's to say."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; all others are of `volspine fit`."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the folds and tables")
    add("--folds", type=int, default=5, metavar="K", help="number of folds (5)")
    add(
        "--val",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="fraction below 1, or number, of a fold's training studies that choose its best "
        "checkpoint (0.1); 0 takes the last one",
    )
    add("--seed", type=int, default=0, help="of the folds (0)")
    add("--fold", type=int, metavar="N", help="this fold alone, as one job of an array; from 1")
    _add_bundle(parser)


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--name", help="name of the ensemble; the folder's if omitted")
    add(
        "--localizer",
        type=Path,
        metavar="CKPT",
        help="checkpoint of a localizer, or a model folder that has one, or `demo` for that of the "
        "package; an ensemble of graders of levels needs it",
    )
    add("--patients", action="store_true", help="the studies are of patients, not phantoms")
    add(
        "--weights",
        choices=("equal", "out-of-fold"),
        default="equal",
        help="how members count: equally, or for each condition by how much each knew out of fold",
    )
    parser.epilog = "All other options are those of volspine fit: -c RECIPE --data.root ROOT ..."


def run(arguments: argparse.Namespace) -> int:
    """Fit and test the folds, then write tables, temperatures and the ensemble."""
    from volspine.tasks.cv_summary import summarise

    validation = _begin(arguments)
    count = len(validation.folds)
    for number in _wanted(arguments.fold, count):
        if not arguments.quiet:
            state = "finished before" if validation.is_finished(number) else "begins"
            print(f"fold {number} of {count} {state}", file=sys.stderr)
        validation.fit_fold(number)
    missing = [n for n in range(1, count + 1) if not validation.is_finished(n)]
    if missing:
        print(f"{arguments.out}: folds {', '.join(map(str, missing))} are still to be run")
        return 0
    summary = summarise(validation)
    summary.write(arguments.out)
    print(summary)
    return _bundle(arguments, validation, summary)


def _begin(arguments: argparse.Namespace) -> "CrossValidation":
    from volspine.tasks.cross_validation import CrossValidation, Plan, resolved_recipe

    told = _told(arguments.others, quiet=arguments.quiet)
    _check_localizer(told, arguments.localizer)
    recipe = resolved_recipe(told)
    plan = Plan(folds=arguments.folds, val=arguments.val, seed=arguments.seed)
    studies = _studies(told, recipe)
    return CrossValidation.begin(arguments.out, told, recipe=recipe, studies=studies, plan=plan)


def _told(others: Sequence[str], *, quiet: bool) -> list[str]:
    from volspine.errors import ConfigurationError

    for word in others:
        if word.startswith(_TAKEN) and not word.startswith("--data.split.groups"):
            raise ConfigurationError(
                f"{word.partition('=')[0]} is the cross-validation's to say",
                remedy="use --out, --folds, --val and --seed",
                code="VS-CFG-305",
            )
    return [*others, *(["--trainer.enable_progress_bar", "false"] if quiet else [])]


def _check_localizer(told: Sequence[str], localizer: Path | None) -> None:
    """Refuse, before any work, an ensemble that could not be made at the end."""
    from volspine.cli.recipes import kind_of
    from volspine.data.level_datamodule import LevelCrops
    from volspine.errors import ConfigurationError

    if kind_of(["fit", *told]).data is LevelCrops and localizer is None:
        raise ConfigurationError(
            "an ensemble of graders of levels needs a localizer",
            remedy="name its checkpoint, or a model folder that has one: --localizer BUNDLE",
            code="VS-CFG-309",
        )


def _studies(told: Sequence[str], recipe: dict[str, Any]) -> "list[LabelledStudy]":
    """Return the labelled studies that the recipe's data are made of."""
    from jsonargparse import ArgumentParser

    from volspine.cli.recipes import kind_of
    from volspine.errors import ConfigurationError

    kind = kind_of(["fit", *told])
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind.data, "data", fail_untyped=False)
    data = parser.instantiate_classes(parser.parse_object({"data": recipe["data"]})).data
    labelled = getattr(data, "labelled", None)
    studies: list[LabelledStudy] = [] if labelled is None else labelled()
    if not studies or any(len(study.grades) != _targets() for study in studies):
        raise ConfigurationError(
            "the recipe has no studies with the 25 labels to deal out to folds",
            remedy="give --data.root ROOT, a folder laid out as the challenge's, or --data.store",
            code="VS-CFG-306",
        )
    return studies


def _targets() -> int:
    from volspine.anatomy import TARGETS

    return len(TARGETS)


def _wanted(fold: int | None, count: int) -> Sequence[int]:
    from volspine.errors import ConfigurationError

    if fold is None:
        return range(1, count + 1)
    if not 1 <= fold <= count:
        raise ConfigurationError(
            f"there is no fold {fold} of {count}",
            remedy=f"give a number from 1 to {count}",
            code="VS-CFG-307",
        )
    return (fold,)


def _bundle(arguments: argparse.Namespace, validation: "CrossValidation", summary: Any) -> int:
    """Write the ensemble of all folds' models."""
    from volspine.cli import main

    folder = arguments.out
    count = len(validation.folds)
    words = ["bundle", *(str(validation.checkpoint(n)) for n in range(1, count + 1))]
    words += ["--out", str(folder / "bundle"), "--overwrite"]
    words += ["--temperature", str(folder / "calibration.json")]
    words += ["--metrics", str(folder / "metrics.json")]
    words += ["--name", arguments.name or folder.resolve().name]
    words += ["--trained-on", _in_words(validation)]
    if arguments.localizer is not None:
        words += ["--localizer", str(arguments.localizer)]
    if arguments.patients:
        words.append("--patients")
    if arguments.weights == "out-of-fold":
        words += ["--member-weights", str(summary.write_weights(folder / "member_weights.json"))]
    return main(words)


def _in_words(validation: "CrossValidation") -> str:
    roots = sorted({study.folder.parent.parent.name for study in validation.studies})
    held_out = f"each member on the others of {len(validation.folds)} folds"
    return f"{len(validation.studies)} studies of {', '.join(roots)}; {held_out}"
