"""Cross-validation: a recipe and labelled studies -> a model for every fold, each in its own run.

    DIR/config.yaml               the recipe with everything that was told, as it is run
    DIR/cv.json                   which cross-validation this is: a digest of that, and its folds
    DIR/folds.csv                 who is held out in which fold
    DIR/fold_<n>/                 the run of a fold, as volspine fit and test write it
    DIR/fold_<n>/split.json       who it was trained on, who chose its checkpoint, who was held out

A fold is trained and tested by the very commands that a user would type, each in a process of its
own. A fold whose test has been written is finished; one that was interrupted goes on from its last
checkpoint. A folder of another recipe, other studies or other folds is refused.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from volspine.data.folds import Folds, deal_folds, fold_split, read_folds, write_folds
from volspine.data.rsna import LabelledStudy
from volspine.data.splits import write_split
from volspine.errors import ConfigurationError, VolspineError
from volspine.jobs import write_text

__all__ = ["CrossValidation", "Plan", "resolved_recipe"]

PREDICTIONS, METRICS, FINISHED = "test_predictions.csv", "test_metrics.json", "fold.json"

Command = Callable[[Sequence[str]], int]
"""Runs `volspine` with some arguments and returns the exit code."""

_TEXT = 200  # Of a complaint that is quoted.


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a cross-validation is done.

    Attributes:
        folds: How many parts.
        val: Fraction below 1, or number, of the others' studies that choose the best checkpoint; 0
            takes the last one.
        seed: Of the folds.
    """

    folds: int = 5
    val: float = 0.1
    seed: int = 0


def resolved_recipe(arguments: Sequence[str]) -> dict[str, Any]:
    """Return what options of `volspine fit` come to, with every default.

    Args:
        arguments: As for `volspine fit`: `-c RECIPE --data.root ROOT ...`.

    Raises:
        ConfigurationError: If an option or a value cannot work.
    """
    words = [*_program(), "fit", *arguments, "--print_config"]
    done = subprocess.run(  # noqa: S603  our own program, no shell
        words, capture_output=True, text=True, check=False
    )
    if done.returncode:
        complaint = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigurationError(
            f"the recipe cannot be used: {complaint.removeprefix('volspine: ')[:_TEXT]}",
            remedy="try it with volspine fit and the same options",
            code="VS-CFG-302",
        )
    recipe = yaml.safe_load(done.stdout)
    return recipe if isinstance(recipe, dict) else {}


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The folds of one recipe in one folder.

    Args:
        folder: Where they are.
        arguments: Options of `volspine fit`, without those of the split and the run's folder.
        folds: Who is held out in which fold.
        studies: All of them.
        val: See `Plan`.
    """

    folder: Path
    arguments: tuple[str, ...]
    folds: Folds
    studies: tuple[LabelledStudy, ...]
    val: float

    @classmethod
    def begin(
        cls,
        folder: Path,
        arguments: Sequence[str],
        *,
        recipe: dict[str, Any],
        studies: Sequence[LabelledStudy],
        plan: Plan,
    ) -> "CrossValidation":
        """Deal out the folds, or take up those that are there, and write down what is being done.

        Args:
            folder: Made if need be.
            arguments: Options of `volspine fit`.
            recipe: What they come to.
            studies: All studies with labels.
            plan: How it is done.

        Raises:
            ConfigurationError: If the folder holds another cross-validation.
            TableError: If its folds.csv is damaged.
            OutputError: If nothing can be written there.
        """
        text = yaml.safe_dump(_comparable(recipe), sort_keys=True)
        named = {study.key: study.group or study.key for study in studies}
        this = {
            "recipe_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "studies_sha256": hashlib.sha256(repr(sorted(named.items())).encode()).hexdigest(),
            "folds": plan.folds, "val": plan.val, "seed": plan.seed,
        }  # fmt: skip
        _check_same(folder / "cv.json", this)
        table = folder / "folds.csv"
        folds = (
            read_folds(table) if table.exists() else deal_folds(studies, plan.folds, seed=plan.seed)
        )
        if not table.exists():
            write_folds(folds, table)
            write_text(folder / "config.yaml", text)
            write_text(folder / "cv.json", json.dumps(this, indent=1) + "\n")
        return cls(folder, tuple(arguments), folds, tuple(studies), plan.val)

    def run_folder(self, number: int) -> Path:
        """Return the run of a fold, counted from 1."""
        return self.folder / f"fold_{number}"

    def is_finished(self, number: int) -> bool:
        """Return whether a fold was trained and tested."""
        run = self.run_folder(number)
        return all((run / name).is_file() for name in (FINISHED, PREDICTIONS, METRICS))

    def checkpoint(self, number: int) -> Path:
        """Return the checkpoint that a fold was tested with."""
        run = self.run_folder(number) / "checkpoints"
        return run / ("best.ckpt" if (run / "best.ckpt").is_file() else "last.ckpt")

    def fit_fold(self, number: int, *, command: Command | None = None) -> None:
        """Train and test a fold, or go on where it stopped; nothing if it is finished.

        Args:
            number: From 1.
            command: Runs volspine; a process of its own if omitted.

        Raises:
            VolspineError: If training or testing fails; what it said stands on stderr.
            KeyboardInterrupt: If it was interrupted.
        """
        if self.is_finished(number):
            return
        call = command or _in_a_process
        run = self.run_folder(number)
        split = run / "fold_split.json"
        who = fold_split(self.folds, number - 1, self.studies, val=self.val)
        write_split(who, split)
        told = [*self.arguments, "--data.split.file", str(split)]
        told += ["--trainer.default_root_dir", str(run)]
        last = run / "checkpoints" / "last.ckpt"
        self._call(call, ["fit", *told, *(["--ckpt_path", "last"] if last.exists() else [])])
        self._call(call, ["test", *told, "--ckpt_path", self.checkpoint(number).stem])
        facts = {"fold": number, "trained_on": len(who.train), "held_out": len(who.test)}
        write_text(run / FINISHED, json.dumps(facts) + "\n")

    def _call(self, call: Command, words: Sequence[str]) -> None:
        code = call(words)
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise VolspineError(
                f"volspine {words[0]} of a fold ended with {code}",
                path=self.folder,
                remedy="mend what it said above and run the same command again: it goes on there",
                code="VS-TRN-010",
            )


_INTERRUPTED = 130


def _program() -> list[str]:
    return [sys.executable, "-m", "volspine"]


def _in_a_process(words: Sequence[str]) -> int:
    return subprocess.run(  # noqa: S603  our own program, no shell
        [*_program(), *words], check=False
    ).returncode


def _comparable(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe without what may differ between two parts of one run."""
    trainer = {k: v for k, v in recipe.get("trainer", {}).items() if k not in _FREE}
    kept = {k: v for k, v in recipe.items() if k not in ("ckpt_path", "keep")}
    return {**kept, "trainer": trainer}


_FREE = ("default_root_dir", "enable_progress_bar", "max_time", "logger")
"""Options of the trainer that change nothing of what comes out."""


def _check_same(path: Path, this: dict[str, Any]) -> None:
    """Refuse a folder that holds something else."""
    if not path.exists():
        return
    try:
        that = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        that = {}
    odd = [name for name, value in this.items() if that.get(name) != value]
    if odd:
        what = ", ".join(name.removesuffix("_sha256") for name in odd)
        raise ConfigurationError(
            f"the folder holds another cross-validation: {what} differ",
            path=path,
            remedy="use the options it was begun with, or another folder",
            code="VS-CFG-303",
        )
