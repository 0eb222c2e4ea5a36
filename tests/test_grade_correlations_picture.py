"""The picture of correlations: every cell is drawn, blocks are named, the finding is written."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Condition
from volspine.metrics.correlation import grade_correlation, kinships


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[1] / "visualize" / "grade_correlations.py"
    if not path.is_file():
        pytest.skip("the scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("grade_correlations_picture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rho(script):
    return grade_correlation(script.synthetic_grades(300, 1))


def test_synthetic_labels_are_grades_some_of_them_missing_the_same_again(script):
    values = script.synthetic_grades(300, 1)
    assert values.shape == (300, 25)
    assert set(np.unique(values[np.isfinite(values)])) == {0.0, 1.0, 2.0}
    assert 0 < np.isnan(values).mean() < 0.01
    np.testing.assert_array_equal(values, script.synthetic_grades(300, 1))
    assert not np.array_equal(values, script.synthetic_grades(300, 2), equal_nan=True)


def test_every_known_cell_has_its_number_and_every_block_its_name(script, rho):
    gap = rho.copy()
    gap[3, 9] = gap[9, 3] = np.nan
    figure = script.drawn(gap, title="made up", caption=["one", "two"])
    ax = figure.axes[0]
    numbers = {
        tuple(map(round, text.get_position()[::-1])): text.get_text()
        for text in ax.texts
        if "\n" not in text.get_text()
    }
    assert len(numbers) == 623
    assert (3, 9) not in numbers
    assert int(numbers[4, 20]) == round(100 * rho[4, 20])
    names = [text.get_text().replace("\n", " ") for text in ax.texts if "\n" in text.get_text()]
    assert names == [c.term.replace("_", " ") for c in Condition for _ in range(2)]
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == [t.level.label for t in TARGETS]
    assert figure.get_supxlabel().endswith("one\ntwo")


def test_the_finding_names_left_and_right_first_in_numbers_that_were_found(script, rho):
    sides, *_ = kinships(rho)
    first, *others = [script.sentence(kin) for kin in kinships(rho)]
    assert first.startswith("left with right")
    assert f"mean {sides.mean:.2f} of 10 pairs" in first
    assert len(others) == 3
    nothing = kinships(np.full((25, 25), np.nan))[0]
    assert script.sentence(nothing).endswith("no pair has a correlation")


@pytest.mark.slow
def test_the_command_draws_a_table_and_refuses_another(script, tmp_path, monkeypatch, capsys):
    table, out = tmp_path / "t.csv", tmp_path / "c.png"
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(out), "--studies", "50"])
    script.main()
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "left with right" in capsys.readouterr().out
    table.write_text("a,b\n1,2\n")
    monkeypatch.setattr(sys, "argv", ["x", str(table), "--out", str(out)])
    with pytest.raises(SystemExit, match="missing"):
        script.main()
