"""`volspine score` as a user meets it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import LABEL_COLUMNS, row_id
from volspine.cli import main
from volspine.metrics.rsna import rsna_score


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve studies and their predictions, mostly right."""
    rng = np.random.default_rng(0)
    grades = rng.choice(3, size=(12, 25), p=[0.6, 0.2, 0.2])
    truth, said = tmp_path / "train.csv", tmp_path / "submission.csv"
    lines = [",".join(["study_id", *LABEL_COLUMNS])]
    rows = ["row_id,normal_mild,moderate,severe"]
    for n, row in enumerate(grades.tolist()):
        lines.append(",".join([str(100 + n), *(Grade(g).label for g in row)]))
        for target, g in zip(TARGETS, row, strict=True):
            p = ["0.1", "0.1", "0.1"]
            p[g] = "0.8"
            rows.append(",".join([row_id(100 + n, target), *p]))
    truth.write_text("\n".join(lines) + "\n")
    said.write_text("\n".join(rows) + "\n")
    return truth, said


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["score", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_it_prints_the_five_numbers_with_intervals(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *tables)
    assert (code, err) == (0, "")
    assert "12 studies, 300 graded rows" in out
    assert f"{rsna_score(*tables).total:.4f}" in out
    for label in ("Spinal canal", "Neural foramina", "Subarticular", "Any severe canal"):
        assert re.search(rf"{label} +0\.\d{{4}}  90% 0\.\d{{4}} to 0\.\d{{4}}  95% ", out)
    assert "Research use only" in out
    assert "say nothing about patients" in out


def test_json_holds_the_same_numbers(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, *tables, "--json", "--bootstrap", 50)
    found = json.loads(out)
    assert code == 0
    assert found["score"] == pytest.approx(rsna_score(*tables).to_dict())
    low, high = found["intervals"]["total"][0]["low"], found["intervals"]["total"][0]["high"]
    assert low <= found["score"]["total"] <= high
    assert found["agreement"]["all"]["kappa"] == 1.0
    assert (found["num_studies"], found["num_rows"], found["resamples"]) == (12, 300, 50)
    assert "Research use only" in found["notice"]


def test_json_stays_valid_where_a_number_is_not_defined(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth, said = tables
    text = truth.read_text().replace("Severe", "Normal/Mild").replace("Moderate", "Normal/Mild")
    (tmp_path / "mild.csv").write_text(text)
    code, out, _ = run(capsys, tmp_path / "mild.csv", said, "--json", "--bootstrap", 0)
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert code == 0
    assert found["intervals"] == {}
    assert found["agreement"]["all"]["kappa"] == pytest.approx(0.0)


def test_some_studies_are_scored_alone(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "some.txt").write_text("100\n107\n")
    _, out, _ = run(capsys, *tables, "--studies", tmp_path / "some.txt", "--json")
    expected = rsna_score(*tables, studies={"100", "107"})
    assert json.loads(out)["num_studies"] == 2
    assert json.loads(out)["score"]["total"] == pytest.approx(expected.total)


def test_the_page_stands_alone_and_escapes_what_it_shows(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = tmp_path / "out" / "score.html"
    code, _, _ = run(capsys, *tables, "--html", page, "--bootstrap", 20)
    html = page.read_text()
    assert code == 0
    assert f"{rsna_score(*tables).total:.4f}" in html
    assert "Research use only" in html
    assert not re.search(r"(src|href)=|<script|https?://", html)
    assert html.count("</tr>") == html.count("<tr>") + html.count('<tr class="first">')
    for table in ("The 25 targets", "Rows by true and given grade", "Studies that cost most"):
        assert table in html
    assert html.count('role="img"') == 1 + 8 + 12


def test_the_bootstrap_is_repeatable_and_the_seed_matters(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, again, other = (run(capsys, *tables, "--seed", seed)[1] for seed in (0, 0, 1))
    assert first == again != other


def test_a_table_that_does_not_parse_is_wrong_usage_in_one_line(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = tables
    code, out, err = run(capsys, said, truth)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "VS-TAB-052" in err
    assert "lacks column 'sample_weight'" in err


@pytest.mark.parametrize("option", ["--bootstrap", "--seed"])
def test_negative_numbers_are_refused(
    option: str, tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, *tables, option, "-1")
    assert code == 2
    assert "must not be negative" in err


def test_scoring_needs_no_torch(tables: tuple[Path, Path]) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from volspine.cli import main; "
        f"code = main(['score', {str(tables[0])!r}, {str(tables[1])!r}]); "
        "heavy = {'torch', 'pandas', 'pydicom'} & set(sys.modules); print(code, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 set()"
