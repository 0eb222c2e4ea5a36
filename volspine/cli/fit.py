"""`volspine fit | validate | test`: train and evaluate from a recipe.

    volspine fit  -c experiments/phantom_quick.yaml --data.root ROOT --trainer.default_root_dir RUN
    volspine fit  ... --ckpt_path last       resume, in the middle of an epoch too
    volspine fit  ... --ckpt_path auto       resume if there is something to resume, else begin
    volspine test ... --ckpt_path best       score beside the prior, on studies never trained on

A recipe is a LightningCLI configuration; every value can be overridden on the command line. A run
lives in one folder:

    RUN/config.yaml                     everything that `fit` was told
    RUN/split.json                      who was trained on
    RUN/checkpoints/best.ckpt, last.ckpt
    RUN/logs/version_*/                 metrics.csv and TensorBoard events
    RUN/run.json                        what it cost, and what it was made with
    RUN/test_metrics.json, test_predictions.csv, test_places.csv

A run that is told to stop (SIGTERM, SIGUSR1, SIGUSR2, Ctrl-C) finishes its step, keeps itself and
leaves with 130; see `volspine.tasks.keeping`.

Nothing in a checkpoint is executed: it is opened with `weights_only=True`, and what it says about
classes is not read; the model comes from the recipe.
"""

import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jsonargparse import ArgumentError

from volspine.cli.recipes import kind_of
from volspine.data.lightning import (
    CheckpointIO,
    CSVLogger,
    LearningRateMonitor,
    LightningArgumentParser,
    LightningCLI,
    ModelCheckpoint,
    SaveConfigCallback,
    TensorBoardLogger,
    pl,
    require_safe_version,
)
from volspine.errors import ConfigurationError, WeightsError
from volspine.grades import RESEARCH_USE
from volspine.jobs import write_text
from volspine.tasks.callbacks import PartTimer, StopOnNonFiniteLoss
from volspine.tasks.keeping import STOPPED, AtomicCheckpoints, KeepLast, KeepPlan, Stopped
from volspine.tasks.run_record import RunRecord

if TYPE_CHECKING:
    from volspine.inference.located_by import LocatedBy

__all__ = ["find_checkpoint", "run_lightning"]

_OURS = {"model", "datamodule", "weights_only"}
_COMMANDS = {
    "fit": {*_OURS, "train_dataloaders", "val_dataloaders"},
    "validate": {*_OURS, "dataloaders"},
    "test": {*_OURS, "dataloaders"},
}


def run_lightning(arguments: list[str]) -> int:
    """Run `fit`, `validate` or `test` and return the exit code.

    Args:
        arguments: The command, then its options.

    Raises:
        ConfigurationError: If an option or a value of the recipe cannot work.
        WeightsError: If a checkpoint is missing or not plain data.
        VolspineError: Whatever the data or the training find wrong.
    """
    require_safe_version()
    try:
        _Cli(arguments)
    except Stopped as request:
        print(f"volspine: {request.message}", file=sys.stderr)
        return STOPPED
    except SystemExit as request:  # --help and --print_config end so.
        # Lightning makes one of Ctrl-C before or after training, too.
        if isinstance(request.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from request
        return request.code if isinstance(request.code, int) else int(request.code is not None)
    return 0


class _SaveConfig(SaveConfigCallback):
    """Write the configuration into the run folder, not into the logger's."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write it once."""
        del pl_module, stage
        if trainer.is_global_zero and not self.already_saved:
            text = self.parser.dump(self.config, skip_none=False)
            write_text(Path(trainer.default_root_dir) / self.config_filename, text)
        self.already_saved = True


class _Cli(LightningCLI):
    """LightningCLI with one of our tasks, our run folder, and no trust in checkpoints."""

    def __init__(self, arguments: list[str]) -> None:
        command = next((word for word in arguments if word in _COMMANDS), "fit")
        self.kind = kind_of(arguments)
        plain_errors: dict[str, Any] = {"exit_on_error": False}
        # Each command saves its own configuration, so that a test does not overwrite a fit's.
        name = "config.yaml" if command == "fit" else f"{command}_config.yaml"
        super().__init__(
            self.kind.task,
            self.kind.data,
            args=arguments,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_callback=_SaveConfig,
            save_config_kwargs={"config_filename": name},
            parser_kwargs={**plain_errors, **{each: dict(plain_errors) for each in _COMMANDS}},
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Commands, and the arguments of the Trainer's method that are not options."""
        return {name: set(skipped) for name, skipped in _COMMANDS.items()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Take how often a run is kept; tell a grader the shape of the grid, and own targets."""
        parser.add_class_arguments(KeepPlan, "keep")
        for source, target, made in self.kind.links:
            parser.link_arguments(source, target, compute_fn=made)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, turning every complaint into one line.

        Raises:
            ConfigurationError: If an option or a value cannot work.
        """
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            raise ConfigurationError(
                _first_sentence(str(error)),
                remedy="see the names and values of all options with --print_config",
                code="VS-CFG-090",
            ) from error

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let a checkpoint name classes in the recipe."""

    def before_instantiate_classes(self) -> None:
        """Fix the run folder, and find the checkpoint while nothing is loaded yet."""
        config = self.config[str(self.subcommand)]
        config.trainer.default_root_dir = str(config.trainer.default_root_dir or "runs")
        if config.ckpt_path == "auto":
            config.ckpt_path = _if_there("last", Path(config.trainer.default_root_dir))
        if config.ckpt_path:
            path = find_checkpoint(config.ckpt_path, Path(config.trainer.default_root_dir))
            config.ckpt_path = str(path)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Return the Trainer, with our loggers and callbacks in the run folder."""
        config = self._get(self.config_init, "trainer")
        root = Path(config.default_root_dir)
        if config.logger in (None, True):
            table = CSVLogger(root, name="logs")
            board = TensorBoardLogger(root, name="logs", version=table.version)
            kwargs["logger"] = [table, board]
        if config.enable_progress_bar is None:
            kwargs["enable_progress_bar"] = sys.stderr.isatty()
        if sys.stderr.isatty() and hasattr(self.datamodule, "progress"):
            self.datamodule.progress = _show_progress
        if getattr(self.datamodule, "localizer", None):
            self.datamodule.locate = _locate(self.datamodule.localizer)
        monitor = self.kind.monitor if self._chooses() else None
        ours = _callbacks(root, monitor=monitor, logs=config.logger is not False)
        if self.subcommand == "fit":
            # After the best has been chosen, which the last then knows.
            ours.append(KeepLast(root / "checkpoints", KeepPlan(**self._get(self.config, "keep"))))
            told = self.config[self.subcommand].get("config") or []
            ours.append(RunRecord([str(path) for path in told]))
        if config.max_time is not None:
            ours.append(PartTimer(config.max_time))
            kwargs["max_time"] = None
        kwargs["callbacks"] = [*(config.callbacks or []), *ours]
        kwargs["plugins"] = _with_atomic_checkpoints(config.plugins)
        return super().instantiate_trainer(**kwargs)

    def _chooses(self) -> bool:
        """Whether a checkpoint is chosen, which takes a validation set."""
        if self.subcommand != "fit":
            return False
        self.datamodule.setup("fit")
        return bool(self.datamodule.studies("val"))

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}

    def after_test(self) -> None:
        """Print what the test came to; of a grader, the score beside the prior."""
        print(f"{self.model.evaluation}\n{RESEARCH_USE}")


def find_checkpoint(name: str | Path, run: Path) -> Path:
    """Return the file of a checkpoint, checked to be plain data.

    Args:
        name: `best`, `last`, or a file; `fit` also takes `auto`, before this is called.
        run: The run's folder; `best` and `last` are looked up in its `checkpoints`.

    Raises:
        WeightsError: If there is none, or it is damaged or holds more than plain data.
    """
    path = Path(name)
    if str(name) in ("best", "last"):
        found = sorted((run / "checkpoints").glob(f"{name}*.ckpt"), key=lambda p: p.stat().st_mtime)
        path = found[-1] if found else run / "checkpoints" / f"{name}.ckpt"
    if not path.is_file():
        raise WeightsError(
            "there is no such checkpoint",
            path=path,
            remedy="train first, or give the run's folder as --trainer.default_root_dir",
            code="VS-WGT-050",
        )
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise WeightsError(
            "the checkpoint is damaged, or holds more than tensors and plain data",
            path=path,
            remedy="use a checkpoint that volspine fit wrote; nothing in this one was run",
            code="VS-WGT-051",
        ) from error
    return path


def _callbacks(root: Path, *, monitor: str | None, logs: bool) -> list[pl.Callback]:
    watch: list[pl.Callback] = [StopOnNonFiniteLoss()]
    if monitor:
        # At the end of the epoch, not of its validation: what is resumed then is a whole epoch.
        folder = root / "checkpoints"
        best = ModelCheckpoint(folder, "best", monitor=monitor, save_on_train_epoch_end=True)
        watch.append(best)
    return [*watch, LearningRateMonitor("epoch")] if logs else watch


def _with_atomic_checkpoints(plugins: Any) -> list[Any]:
    """Return the plugins of a recipe, and whole checkpoints unless it brings its own."""
    told = plugins if isinstance(plugins, list) else [] if plugins is None else [plugins]
    has_own = any(isinstance(each, CheckpointIO) for each in told)
    return told if has_own else [*told, AtomicCheckpoints()]


def _if_there(name: str, run: Path) -> str | None:
    return name if any((run / "checkpoints").glob(f"{name}*.ckpt")) else None


def _locate(path: str) -> "LocatedBy":
    # Reads DICOM and grids, which training from crops does without.
    from volspine.inference.located_by import LocatedBy, localizer_of

    return LocatedBy(localizer_of(path).localizer)


def _show_progress(done: int, wanted: int) -> None:
    print(f"\r{done} of {wanted} maps", end="\n" if done == wanted else "", file=sys.stderr)


def _first_sentence(text: str) -> str:
    lines = [line.strip(" -") for line in text.splitlines() if line.strip(" -")]
    return " ".join(lines)[:300].rstrip(".")
