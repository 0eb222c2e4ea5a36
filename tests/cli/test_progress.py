"""Progress bars: every item comes through, and nobody is shown a bar who did not ask for one."""

import io

import pytest
import rich.console

from volspine.cli import progress


@pytest.fixture
def terminal(monkeypatch):
    """Make stderr a terminal, and return what is written to it."""
    written = io.StringIO()
    real = rich.console.Console

    def console(*, stderr):
        assert stderr
        return real(file=written, force_terminal=True, width=100)

    monkeypatch.setattr(rich.console, "Console", console)
    return written


def test_every_item_comes_through_in_order():
    assert list(progress.track(iter("abc"), "Reading")) == ["a", "b", "c"]


def test_nothing_is_shown_where_stderr_is_no_terminal(capsys):
    list(progress.track([1, 2], "Reading"))
    with progress.counting("Writing", total=2) as advance:
        advance("study")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_what_is_done_and_how_far(terminal):
    list(progress.track([1, 2, 3], "Grading"))
    assert "Grading" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_quiet_shows_nothing_even_on_a_terminal(terminal):
    list(progress.track([1, 2], "Grading", quiet=True))
    assert terminal.getvalue() == ""


def test_counting_moves_one_step_whatever_it_is_called_with(terminal):
    with progress.counting("Writing", total=2) as advance:
        advance()
        advance("a study id")
    assert "2/2" in terminal.getvalue()


def test_an_error_inside_a_bar_is_not_swallowed(terminal):
    def failing():
        yield 1
        raise ValueError("from within")

    with pytest.raises(ValueError, match="from within"):
        list(progress.track(failing(), "Grading", total=2))
