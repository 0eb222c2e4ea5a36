"""The page on scale holds what was measured, and nothing that does not follow from it."""

import importlib.util
import json

import pytest


@pytest.fixture(scope="module")
def scale(repository):
    spec = importlib.util.spec_from_file_location("scale", repository / "experiments/scale.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_holds_the_tables_of_the_measurement(scale, repository):
    report = json.loads((repository / "experiments/scale.json").read_text())
    page = (repository / "docs/explanation/scale.md").read_text(encoding="utf-8")
    for table in scale.table(report).split("\n\n"):
        assert table in page
    assert report["assumed"] == scale.ASSUMED
    for name, row in report["measured"].items():
        assert report["on_paper"][name] == scale.on_paper(row)


def test_a_second_a_study_is_what_a_calculator_says(scale):
    row = {"cpu_s": 1.0, "bytes_in": 20e6, "bytes_out": 5e6}
    found = scale.on_paper(row)
    assert found["studies_an_hour_a_core"] == 3600
    expected = 3600 * 32 * 100 * 0.7
    assert found["studies_an_hour_100_nodes"] == pytest.approx(expected, rel=5e-3)
    assert found["tb_read_for_a_million"] == 20
    assert found["gb_a_second_100_nodes"] == pytest.approx(25e6 * 32 * 100 * 0.7 / 1e9)


def test_a_gpu_is_as_fast_as_the_slower_of_its_two_parts(scale):
    row = {"cpu_s": 3.0, "cpu_s_network": 2.0}
    by_cores = scale.on_paper({**row, "operations": 1e9})
    assert (by_cores["studies_an_hour_h200"], by_cores["h200_waits_for_cores"]) == (57600, 1)
    by_network = scale.on_paper({**row, "operations": 989e12 * 0.05 * 3600 / 100})
    assert (by_network["studies_an_hour_h200"], by_network["h200_waits_for_cores"]) == (100, 0)
