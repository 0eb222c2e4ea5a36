"""The command line as a user meets it: what it says, where it says it, and how it exits."""

import importlib
import logging
import subprocess
import sys
import types

import pytest

from volspine import __version__, errors
from volspine.cli import COMMANDS, main

TRAINER = {"fit", "validate", "test"}  # Commands whose options belong to LightningCLI.


@pytest.fixture
def command(monkeypatch):
    """Install a command `targets` that does what the test says, and return the installer."""

    def install(behaviour):
        module = types.ModuleType("volspine.cli.targets")
        module.add_arguments = lambda parser: parser.add_argument("--number", type=int, default=0)
        module.run = behaviour
        monkeypatch.setitem(sys.modules, "volspine.cli.targets", module)

    return install


def raising(error):
    def run(_):
        raise error

    return run


def in_a_process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "volspine", *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_command_with_its_summary(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert f"  {name} " in shown
        assert summary in shown


def test_no_command_shows_the_help_and_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "usage: volspine COMMAND" in capsys.readouterr().out


def test_version_is_the_package_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"volspine {__version__}\n"


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - TRAINER))
def test_every_listed_command_has_a_module_that_keeps_the_contract(name):
    module = importlib.import_module(f"volspine.cli.{name}")
    assert callable(module.add_arguments)
    assert callable(module.run)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - TRAINER))
def test_every_command_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: volspine {name}" in shown
    assert "--quiet" in shown
    assert "--debug" in shown


def test_an_unknown_command_is_one_line_with_the_nearest_name(capsys):
    assert main(["tragets"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "volspine: VS-CFG-002: there is no command 'tragets'; "
        "did you mean targets? see: volspine --help\n"
    )


def test_an_unknown_option_is_one_line_and_a_usage_error(capsys):
    assert main(["targets", "--jsno"]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "VS-CFG-001: unrecognized arguments: --jsno; see: volspine targets --help" in shown


def test_options_reach_the_command(command):
    seen = []
    command(lambda arguments: seen.append((arguments.number, arguments.quiet)) or 3)
    assert main(["targets", "--number", "7", "--quiet"]) == 3
    assert seen == [(7, True)]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ConfigurationError, 2),
        (errors.DeviceError, 2),
        (errors.TableError, 2),
        (errors.MissingExtraError, 2),
        (errors.InputError, 4),
        (errors.GeometryError, 4),
        (errors.WeightsError, 4),
        (errors.OutputError, 4),
    ],
)
def test_an_error_of_ours_is_one_line_with_code_and_remedy(kind, code, command, capsys):
    command(raising(kind("it is wrong", remedy="mend it")))
    assert main(["targets"]) == code
    assert capsys.readouterr().err == f"volspine: {kind.default_code}: it is wrong; mend it\n"


def test_a_message_with_line_ends_and_escapes_stays_one_harmless_line(command, capsys):
    command(raising(errors.InputError("first\nsecond\x1b[31m", path="a\rb")))
    assert main(["targets"]) == 4
    assert capsys.readouterr().err == "volspine: VS-INP-000: first second?[31m [a b]\n"


def test_debug_adds_the_traceback_to_an_error(command, capsys):
    command(raising(errors.InputError("it is wrong")))
    assert main(["targets", "--debug"]) == 4
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_internal_error_names_its_place_but_not_what_it_quotes(command, capsys):
    command(raising(ValueError("Doe^Jane")))
    assert main(["targets"]) == 1
    shown = capsys.readouterr().err
    assert "internal error: ValueError in test_dispatch.py, line" in shown
    assert "--debug" in shown
    assert "Doe" not in shown
    assert "Traceback" not in shown


def test_debug_shows_the_whole_of_an_internal_error(command, capsys):
    command(raising(ValueError("everything")))
    assert main(["targets", "--debug"]) == 1
    assert "ValueError: everything" in capsys.readouterr().err


def test_an_interrupt_exits_with_130_and_no_traceback(command, capsys):
    command(raising(KeyboardInterrupt()))
    assert main(["targets"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "code", "shown"), [(None, 0, ""), (2, 2, ""), ("no", 1, "volspine: no\n")]
)
def test_an_exit_asked_for_from_within_is_an_exit_code(given, code, shown, command, capsys):
    command(raising(SystemExit(given)))
    assert main(["targets"]) == code
    assert capsys.readouterr().err == shown


def test_warnings_of_our_log_are_shown_and_quiet_silences_them(command, capsys):
    command(lambda _: logging.getLogger("volspine.dicom").warning("one slice is missing") or 0)
    main(["targets"])
    assert capsys.readouterr().err == "volspine: one slice is missing\n"
    main(["targets", "--quiet"])
    assert capsys.readouterr().err == ""


def test_logs_of_other_packages_are_not_shown_since_they_may_quote_headers(command, capsys):
    command(lambda _: logging.getLogger("pydicom").warning("PatientName Doe^Jane") or 0)
    main(["targets"])
    assert capsys.readouterr().err == ""


def test_a_run_leaves_logging_as_it_found_it(command):
    command(lambda _: 0)
    before = (logging.root.handlers[:], logging.getLogger("volspine").handlers[:])
    main(["targets"])
    assert (logging.root.handlers, logging.getLogger("volspine").handlers) == before


def test_the_trainer_gets_its_own_arguments_and_quiet_means_no_bar(monkeypatch):
    seen = []
    fake = types.ModuleType("volspine.cli.fit")
    fake.run_lightning = lambda arguments: seen.append(arguments) or 0
    monkeypatch.setitem(sys.modules, "volspine.cli.fit", fake)
    assert main(["fit", "-c", "recipe.yaml", "--debug", "--quiet"]) == 0
    assert seen == [["fit", "-c", "recipe.yaml", "--trainer.enable_progress_bar", "false"]]


def test_a_reader_that_leaves_early_is_no_error():
    shell = f"set -o pipefail; {sys.executable} -m volspine targets --json | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[\n", "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_an_output_that_is_not_utf8_gets_question_marks_and_no_crash(encoding):
    code = """
import sys
import volspine.cli.targets as command
from volspine.cli import main
command.run = lambda arguments: print("L4/L5 \u2265 \u4e00") or 0
sys.exit(main(["targets"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
    )
    assert done.stdout == b"L4/L5 ? ?\n"


def test_the_module_and_the_console_script_exit_with_the_code():
    assert in_a_process("targets").returncode == 0
    assert in_a_process("nothing").returncode == 2
