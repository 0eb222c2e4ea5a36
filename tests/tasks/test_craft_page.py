"""Every recipe in the how-to of training craft parses, and does what its row says."""

import re
from pathlib import Path

import pytest
import yaml

from volspine.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "training-craft.md"
ROWS = [
    line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `" in line
]
RECIPES = {row[0].strip("| "): row[1].strip("`") for row in ROWS}

LEVEL = "model: {grader: {class_path: tests.tasks.made_levels.TinyLevelGrader}}\ndata: {crops: C}"
STUDY = "model: {grader: {class_path: tests.tasks.made_graders.TinyGrader}}\ndata: {root: R}"


def flat(recipe, before=""):
    """Values of a nested recipe by their path; lists are values."""
    for key, value in recipe.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def test_the_page_has_a_recipe_for_every_option():
    assert len(RECIPES) == 13


@pytest.mark.slow
@pytest.mark.parametrize("what", RECIPES)
def test_a_recipe_of_the_page_is_taken_as_it_stands(what, tmp_path, capsys):
    base = LEVEL if "level mode" in what else STUDY
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "craft.yaml").write_text(RECIPES[what])
    files = [f"-c={tmp_path / name}.yaml" for name in ("base", "craft")]
    assert main(["fit", *files, "--print_config"]) == 0, capsys.readouterr().err
    printed = dict(flat(yaml.safe_load(capsys.readouterr().out)))
    for key, value in flat(yaml.safe_load(RECIPES[what])):
        if key == "trainer.callbacks":
            assert printed[key][0]["class_path"] == value[0]["class_path"]
            assert value[0]["init_args"].items() <= printed[key][0]["init_args"].items()
        else:
            assert printed[key] == value


def test_a_shape_that_is_in_no_list_is_refused(tmp_path, capsys):
    (tmp_path / "base.yaml").write_text(STUDY)
    assert main(["fit", f"-c={tmp_path / 'base.yaml'}", "--model.schedule.shape=triangle"]) == 2
    assert "triangle" in capsys.readouterr().err


def test_the_page_and_its_figures_name_files_that_exist():
    for path in re.findall(r"`python (\S+\.py)`", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parents[2] / path).exists()
