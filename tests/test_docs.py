"""The pages say what is true: commands, options, names, links and files that they mention exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import pages
from volspine import errors
from volspine.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCKS = [block for page in PAGES for block in pages.blocks(ROOT, page)]


def of_language(*languages):
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language in languages]


def test_every_block_is_in_a_language_that_is_checked():
    assert {block.language for block in BLOCKS} <= {"bash", "python"}


@pytest.mark.parametrize("block", of_language("bash"))
def test_a_command_of_a_page_exists_with_its_options(block):
    for words in pages.commands(block):
        pages.check_command(words, ROOT)


@pytest.mark.parametrize("block", of_language("python"))
def test_python_of_a_page_parses_and_uses_public_names(block):
    pages.check_python(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    missing = [link for link in pages.links(page) if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_in_the_contents():
    def names(entry):
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [name for part in inner for name in names(part)]

    contents = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    written = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert set(names(contents)) == written


def test_the_reference_lists_every_command():
    text = (ROOT / "docs/reference/commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`volspine (\w+)`", text)) == set(COMMANDS)


def test_the_reference_lists_every_error_with_its_code():
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"`VS-(\w+)-\.\.\.` \| `(\w+)`", text))
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.default_code.split("-")[1]: kind.__name__ for kind in kinds}
    assert listed == {code: name for code, name in codes.items() if name != "VolspineError"}


def test_a_page_with_a_wrong_option_would_be_found():
    wrong = pages.Block("x.md", 1, "bash", "volspine targets --jsno\n")
    with pytest.raises(errors.ConfigurationError, match="unrecognized arguments: --jsno"):
        pages.check_command(pages.commands(wrong)[0], ROOT)


def test_a_page_with_a_private_name_would_be_found():
    with pytest.raises(AssertionError, match=r"volspine\.predcit is not public"):
        pages.check_python(pages.Block("x.md", 1, "python", "volspine.predcit('x')"))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    program = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reference" / "building-blocks" / "index.html").is_file()
