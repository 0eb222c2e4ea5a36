"""The reliability diagram as a picture: the table is read by name, and every bin is drawn."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from volspine.metrics.reliability import EVENTS, reliability
from volspine.tasks.evaluation import predictions_csv


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    path = Path(__file__).parents[1] / "visualize" / "reliability.py"
    if not path.is_file():
        pytest.skip("the scripts are not part of an installed package")
    spec = importlib.util.spec_from_file_location("reliability_picture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2, 1, 1], size=(12, 25))
    grades = rng.integers(-1, 3, (12, 25))
    return p, grades


def test_the_table_of_a_run_is_read_back_whatever_the_order_of_its_rows(script, made, tmp_path):
    p, grades = made
    head, *rows = predictions_csv(p, grades, [str(n) for n in range(12)]).splitlines()
    table = tmp_path / "test_predictions.csv"
    table.write_text("\n".join([head, *reversed(rows)]) + "\n")
    found, labels = script.read_predictions(table)
    assert np.allclose(found[::-1], p, atol=1e-6)
    assert np.array_equal(labels[::-1], grades)


def test_every_event_of_every_finding_has_its_bins(script, made):
    judged = reliability(*made, resamples=10)
    figure = script.drawn(judged)
    assert len(figure.axes) == 3 * len(EVENTS)
    flat = [found for events in judged.values() for found in events.values()]
    for ax, found in zip(figure.axes, flat, strict=True):
        discs = [tuple(d.get_offsets()[0]) for d in ax.collections]
        assert discs == [pytest.approx((b.said, b.seen)) for b in found.bins]
        assert f"{found.events} of {found.rows} rows" in ax.texts[0].get_text()


@pytest.mark.parametrize(
    "text", [None, "study_id\n1\n", "row_id,normal_mild,moderate,severe,grade\n"]
)
def test_a_table_that_is_of_no_use_is_one_line(script, text, tmp_path, monkeypatch):
    table = tmp_path / "table.csv"
    if text is not None:
        table.write_text(text)
    monkeypatch.setattr("sys.argv", ["reliability.py", str(table)])
    with pytest.raises(SystemExit, match=r"the table is not there|is missing|has no row"):
        script.main()
