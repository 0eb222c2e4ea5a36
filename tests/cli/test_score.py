"""`volspine score` as a user meets it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Grade
from volspine.challenge import LABEL_COLUMNS, row_id
from volspine.cli import main
from volspine.decide import decide
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


def test_two_submissions_are_compared_in_pairs(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth, said = tables
    lines = said.read_text().replace("0.8", "0.7").replace("0.1", "0.15")
    (tmp_path / "worse.csv").write_text(lines)
    page = tmp_path / "a.html"
    options = ("--against", tmp_path / "worse.csv", "--bootstrap", 100)
    _, out, _ = run(capsys, *tables, *options, "--json")
    against = json.loads(out)["against"]
    gap = against["score_difference"]["total"]
    own, other = rsna_score(*tables).total, rsna_score(truth, tmp_path / "worse.csv").total
    assert gap["value"] == pytest.approx(own - other)
    assert gap["low"] <= gap["value"] <= gap["high"] < 0
    assert against["headline_difference"]["all"]["kappa"]["value"] == 0.0
    _, text, _ = run(capsys, *tables, *options, "--html", page)
    assert "worse.csv" in text
    assert "the evaluated predictions are better" in page.read_text()
    _, swapped, _ = run(
        capsys, truth, tmp_path / "worse.csv", "--against", said, "--bootstrap", 100, "--json"
    )
    back = json.loads(swapped)["against"]["score_difference"]["total"]
    assert back["value"] == pytest.approx(-gap["value"])
    assert back["low"] == pytest.approx(-gap["high"])


def test_a_submission_compared_with_itself_differs_by_nothing(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, *tables, "--against", tables[1], "--bootstrap", 20, "--json")
    differences = json.loads(out)["against"]["score_difference"]
    assert all(set(each.values()) == {0.0} for each in differences.values())


def test_calibrated_predictions_are_weighted_before_they_are_scored(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth, said = tables
    rows = [line.split(",") for line in said.read_text().splitlines()]
    p = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    decided = decide(p / p.sum(axis=1, keepdims=True))
    held_out, submitted = tmp_path / "test_predictions.csv", tmp_path / "decided.csv"
    both = {held_out: (p, ",0,1"), submitted: (decided, "")}
    for path, (values, more) in both.items():
        head = ",".join(rows[0]) + (",grade,fold" if more else "")
        body = [
            f"{row[0]},{a!r},{b!r},{c!r}{more}"
            for row, (a, b, c) in zip(rows[1:], values.tolist(), strict=True)
        ]
        path.write_text("\r\n".join([head, *body]) + "\r\n", newline="")
    one = json.loads(run(capsys, truth, held_out, "--calibrated", "--bootstrap", 10, "--json")[1])
    two = json.loads(run(capsys, truth, submitted, "--bootstrap", 10, "--json")[1])
    assert one["score"] == pytest.approx(two["score"])
    for name in ("kappa", "auroc_severe", "likelihood_loss"):
        assert one["headline"]["all"][name] == pytest.approx(two["headline"]["all"][name])
    code, _, err = run(capsys, truth, held_out)
    assert (code, "VS-TAB-052" in err) == (2, True)


def test_one_study_has_a_score_and_no_intervals(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "one.txt").write_bytes(b"103\r\n")
    only = ("--studies", tmp_path / "one.txt")
    code, out, _ = run(capsys, *tables, *only, "--json")
    found = json.loads(out)
    assert (code, found["num_studies"], found["intervals"]) == (0, 1, {})
    assert found["headline"]["all"]["accuracy"] == {"value": 1.0, "low": None, "high": None}
    code, _, err = run(capsys, *tables, *only, "--against", tables[1])
    assert (code, "VS-CFG-129" in err) == (2, True)


def test_a_hostile_study_id_is_shown_as_text(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hostile, shown = "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"
    files = [tmp_path / name for name in ("<b>t.csv", "<i>s.csv")]
    for source, path in zip(tables, files, strict=True):
        text = source.read_text()
        path.write_text(text.replace("\n103,", f"\n{hostile},").replace("\n103_", f"\n{hostile}_"))
    page = tmp_path / "page.html"
    code, _, _ = run(capsys, *files, "--html", page, "--bootstrap", 5)
    html = page.read_text()
    assert code == 0
    assert hostile not in html
    assert "<i>s.csv" not in html
    assert "&lt;i&gt;s.csv" in html
    assert shown in html


def test_a_row_that_is_there_twice_is_refused(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, said = tables
    said.write_text(said.read_text() + said.read_text().splitlines()[1] + "\n")
    code, _, err = run(capsys, truth, said)
    assert (code, "VS-TAB-054" in err) == (2, True)


def test_numbers_of_phantoms_say_that_they_are(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "synthetic studies (phantoms) prove" in run(capsys, *tables, "--bootstrap", 0)[1]
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "100.json").write_text("{}")
    page = tmp_path / "page.html"
    _, out, _ = run(capsys, *tables, "--bootstrap", 0, "--html", page)
    assert "These studies are synthetic (phantoms)." in out
    assert "These studies are synthetic (phantoms)." in page.read_text()


def test_a_cell_without_the_event_is_blank_with_its_reason(
    tables: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    truth, _ = tables
    rows = [line.split(",") for line in truth.read_text().splitlines()]
    column = rows[0].index("left_subarticular_stenosis_l1_l2")
    for row in rows[1:]:
        row[column] = "" if row[0] == "100" else "Moderate"
    truth.write_text("\n".join(",".join(row) for row in rows) + "\n")
    page = tmp_path / "page.html"
    _, out, _ = run(capsys, *tables, "--bootstrap", 0, "--json", "--html", page)
    cells = json.loads(out)["cells"]
    (cell,) = [c for c in cells if (c["finding"], c["level"], c["side"]) ==
               ("subarticular_stenosis", "l1_l2", "left")]  # fmt: skip
    assert (cell["n"], cell["labels"]["moderate"]) == (11, 11)
    assert cell["auroc_severe"] is None
    assert cell["reasons"]["auroc_severe"] == "no label is severe"
    assert '<td class="none">no label is severe</td>' in page.read_text()
