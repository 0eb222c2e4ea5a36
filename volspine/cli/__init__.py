"""The command line: one file per command, found by name, run with errors caught once.

`volspine NAME ...` imports `volspine.cli.NAME`, which defines two functions:

    add_arguments(parser)      declares its options
    run(arguments) -> int      does the work and returns an exit code

One with `PASSES_ON = True` takes other options too, as `arguments.others`.

Nothing else is imported before it is needed, so every `--help` answers at once. `fit`, `validate`
and `test` belong to LightningCLI, which parses its own options.

Exit codes: 0 all well; 1 internal error; 2 wrong usage, or an input table that does not parse;
3 some studies failed; 4 none succeeded; 130 interrupted.
"""

import argparse
import contextlib
import difflib
import importlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from volspine import __version__
from volspine.errors import ConfigurationError, MissingExtraError, TableError, VolspineError

__all__ = ["COMMANDS", "main"]

COMMANDS = MappingProxyType(
    {
        "demo": "grade a synthetic study from end to end: offline, no GPU, under a minute",
        "fit": "train from a recipe, or resume (LightningCLI)",
        "validate": "evaluate a checkpoint on the validation split (LightningCLI)",
        "test": "evaluate a checkpoint on the test split, beside the prior (LightningCLI)",
        "cv": "cross-validate a recipe: every fold, out-of-fold predictions, an ensemble",
        "predict": "grade studies: a folder, a zip, a folder of studies, a challenge root, NIfTI",
        "scan": "list studies, series, protocols, stacks and faults",
        "phantom": "write synthetic studies with known truth, laid out as the challenge's",
        "prepare": "decode studies once: a root or folder of studies -> a store of native stacks",
        "score": "the challenge metric and its four parts, with bootstrap intervals",
        "view": "look at a study in 3D: a window, a picture, a page or a point cloud",
        "png": "instances as PNG files with a table of their labels, plain or annotated",
        "bundle": "turn checkpoints into a model folder that predict loads",
        "targets": "the vocabulary: 25 conditions and levels, and their grades",
        "doctor": "check this installation, with a remedy for each fault",
    }
)
"""Every command and what it does, in the order in which they are listed."""

_TRAINER_COMMANDS = ("fit", "validate", "test")
_USAGE_ERRORS = (ConfigurationError, TableError, MissingExtraError)
_INTERNAL, _USAGE, _NONE_SUCCEEDED, _INTERRUPTED = 1, 2, 4, 130

log = logging.getLogger("volspine.cli")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line like every other error."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message, remedy=f"see: {self.prog} --help", code="VS-CFG-001")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Arguments after the program's name; those of the process if omitted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _survive_any_encoding()
    with _voices(debug="--debug" in arguments, quiet="--quiet" in arguments):
        return _guarded(arguments)


def _guarded(arguments: list[str]) -> int:
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
    except VolspineError as error:
        log.debug("traceback", exc_info=True)
        _complain(str(error))
        return _USAGE if isinstance(error, _USAGE_ERRORS) else _NONE_SUCCEEDED
    except KeyboardInterrupt:
        _complain("interrupted; what was finished is valid")
        return _INTERRUPTED
    except BrokenPipeError:
        _close_quietly()
        return 0
    except SystemExit as request:  # argparse after --help, LightningCLI after a usage error.
        return _exit_code(request)
    except Exception as error:
        log.debug("traceback", exc_info=True)
        _complain(f"internal error: {_where(error)}; run again with --debug to see all of it")
        return _INTERNAL
    return code


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in {"-h", "--help"}:
        _show_commands()
        return 0 if arguments else _USAGE
    name, *rest = arguments
    if name == "--version":
        print(f"volspine {__version__}")
        return 0
    if name in _TRAINER_COMMANDS:
        return _run_trainer(name, rest)
    if name not in COMMANDS:
        raise _unknown(name)
    return _run_command(name, rest)


def _run_command(name: str, rest: list[str]) -> int:
    command = importlib.import_module(f"volspine.cli.{name}")
    parser = _Parser(prog=f"volspine {name}", description=_sentence(COMMANDS[name]))
    command.add_arguments(parser)
    passes_on = getattr(command, "PASSES_ON", False)
    parser.add_argument("--quiet", action="store_true", help="no progress bar, errors only")
    parser.add_argument("--debug", action="store_true", help="log everything, show tracebacks")
    if not passes_on:
        return int(command.run(parser.parse_args(rest)))
    arguments, others = parser.parse_known_args(rest)
    return int(command.run(argparse.Namespace(**vars(arguments), others=others)))


def _run_trainer(name: str, rest: list[str]) -> int:
    from volspine.cli.fit import run_lightning

    ours = {"--debug", "--quiet"}
    theirs = [argument for argument in rest if argument not in ours]
    if "--quiet" in rest:
        theirs += ["--trainer.enable_progress_bar", "false"]
    return int(run_lightning([name, *theirs]))


def _show_commands() -> None:
    width = max(map(len, COMMANDS))
    print("usage: volspine COMMAND [options]\n")
    print("Lumbar-spine MRI in, 25 ordinal stenosis grades out. Research use only.\n")
    for name, summary in COMMANDS.items():
        print(f"  {name:<{width}}  {summary}")
    print("\nvolspine COMMAND --help tells more; volspine --version says which version this is.")


def _unknown(name: str) -> ConfigurationError:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    guess = f"did you mean {close[0]}? " if close else ""
    kind = "option" if name.startswith("-") else "command"
    return ConfigurationError(
        f"there is no {kind} {name!r}",
        remedy=f"{guess}see: volspine --help",
        code="VS-CFG-002",
    )


def _exit_code(request: SystemExit) -> int:
    if request.code is None or isinstance(request.code, int):
        return request.code or 0
    _complain(request.code)
    return _INTERNAL


def _where(error: Exception) -> str:
    # The text of a foreign error may quote a header, so only its kind and place are shown.
    frames = traceback.extract_tb(error.__traceback__)
    last = [frame for frame in frames if not frame.filename.startswith("<frozen")][-1]
    return f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}"


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _complain(message: str) -> None:
    """Write one line to stderr, whatever the message holds: no line ends, no control codes."""
    line = " ".join(message.split())
    shown = "".join(c if c.isprintable() else "?" for c in line)
    with contextlib.suppress(OSError):
        print(f"volspine: {shown}", file=sys.stderr)


def _survive_any_encoding() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _close_quietly() -> None:
    # The reader (head, less) has left; the interpreter must not complain when it flushes at exit.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _voices(*, debug: bool, quiet: bool) -> Iterator[None]:
    """Decide who may write to stderr: our log always; other packages only when debugging.

    Warnings of other packages may quote what they read from a header, so they are not shown unless
    asked for (`--debug`, or Python's own `-W`).
    """
    root, ours = logging.getLogger(), logging.getLogger("volspine")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("volspine: %(message)s"))
    level = logging.DEBUG if debug else logging.ERROR if quiet else logging.WARNING
    speaker, before = (root, root.level) if debug else (ours, ours.level)
    hush = logging.NullHandler()
    root.addHandler(hush)
    speaker.addHandler(handler)
    speaker.setLevel(level)
    try:
        with warnings.catch_warnings():
            if not (debug or sys.warnoptions):
                warnings.simplefilter("ignore")
            yield
    finally:
        speaker.setLevel(before)
        speaker.removeHandler(handler)
        root.removeHandler(hush)
