"""Code that stands in a page: found, checked without running it, or made small enough to run."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from volspine.cli import COMMANDS, _Parser

TRAINER = ("fit", "validate", "test")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(root: Path, page: Path) -> Iterator[Block]:
    """Yield every fenced block of a page that names its language."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(str(page.relative_to(root)), line, match[1], match[2])


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures that are files."""
    return [t for t in _LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]


def commands(block: Block) -> list[list[str]]:
    """Return the command lines of a shell block, as words, without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def check_command(words: list[str], root: Path) -> None:
    """Fail unless a command line names only what exists: programs, options, targets, recipes."""
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.MULTILINE)
        assert set(rest) <= set(targets), words
    elif program == "pip":
        _check_pip(rest, root)
    elif program == "volspine":
        _check_ours(rest, root)
    else:
        raise AssertionError(f"a page tells the reader to run {program}")


def _check_pip(rest: list[str], root: Path) -> None:
    extras = re.search(r"volspine\[([\w,]+)\]", " ".join(rest))
    declared = re.findall(r"^(\w+) =$", (root / "setup.cfg").read_text(), re.MULTILINE)
    assert rest[0] in {"install", "wheel"}
    assert extras is None or set(extras[1].split(",")) <= set(declared)


def _check_ours(rest: list[str], root: Path) -> None:
    name, *options = rest
    assert name in COMMANDS, name
    if name in TRAINER:
        assert (root / options[options.index("-c") + 1]).is_file(), options
        return  # Whether its options exist is told by running it.
    parser, command = _Parser(prog=name), importlib.import_module(f"volspine.cli.{name}")
    command.add_arguments(parser)
    if getattr(command, "PASSES_ON", False):
        assert (root / options[options.index("-c") + 1]).is_file(), options
        parser.parse_known_args(options)
    else:
        parser.parse_args(options)


def check_python(block: Block) -> None:
    """Fail unless a Python block parses and uses only public names of volspine."""
    import volspine

    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "volspine":
            assert node.attr in volspine.__all__, f"volspine.{node.attr} is not public"
