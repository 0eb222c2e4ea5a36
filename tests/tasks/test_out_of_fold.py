"""Out-of-fold tables: written, read, refused; calibrated by others; weights of members."""

import numpy as np
import pytest

from tests.data.test_splits import studies
from tests.metrics.test_likelihood import reports
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.data.folds import deal_folds
from volspine.errors import TableError
from volspine.metrics.calibration import fit_temperature, tempered
from volspine.metrics.headline import calibration_change
from volspine.tasks.evaluation import predictions_csv
from volspine.tasks.out_of_fold import OutOfFold, gather, member_weights, read_oof, write_oof


def too_bold(seed=0, power=2.5):
    """Reports that are bolder than they should be, in two folds."""
    p, grades = reports(seed, sharp=1.5)
    bold = p**power / (p**power).sum(axis=-1, keepdims=True)
    keys = tuple(f"s{n:02d}" for n in range(len(p)))
    return OutOfFold(keys, bold, grades, np.repeat([1, 2], len(p) // 2))


def folds_of(tmp_path):
    everyone = studies([n % 26 for n in range(12)])
    folds = deal_folds(everyone, 3)
    p, grades = reports(0)
    files = []
    for n, part in enumerate(folds.parts):
        place = [int(key) for key in part]
        files.append(tmp_path / f"{n}.csv")
        files[-1].write_text(predictions_csv(p[place], grades[place], part))
    return folds, files, p, grades


def test_what_every_fold_said_of_its_own_is_gathered(tmp_path):
    folds, files, p, grades = folds_of(tmp_path)
    said = gather(folds, files)
    for n, key in enumerate(said.keys):
        np.testing.assert_allclose(said.probabilities[n], p[int(key)], atol=2e-6)
        np.testing.assert_array_equal(said.grades[n], grades[int(key)])
        assert key in folds.parts[said.fold[n] - 1]
    assert len(said.keys) == 12


def test_the_temperature_of_each_run_is_undone(tmp_path):
    """One temperature is fitted for all members, to what they say without any of their own."""
    folds, files, p, grades = folds_of(tmp_path)
    heats = [np.linspace(0.5, 2, 25), np.ones(25), np.full(25, 1.5)]
    for part, file, heat in zip(folds.parts, files, heats, strict=True):
        place = [int(key) for key in part]
        file.write_text(predictions_csv(tempered(np.log(p[place]), heat), grades[place], part))
    said = gather(folds, files, temperatures=heats)
    for n, key in enumerate(said.keys):
        np.testing.assert_allclose(said.probabilities[n], p[int(key)], atol=2e-3)


def test_predictions_of_another_fold_are_refused(tmp_path):
    folds, files, _, _ = folds_of(tmp_path)
    with pytest.raises(TableError, match="held out of fold 1"):
        gather(folds, [files[1], files[0], files[2]])


def test_oof_csv_reads_back(tmp_path):
    said = too_bold()
    said.grades[3, 4] = -1
    write_oof(said, tmp_path / "oof.csv")
    back = read_oof(tmp_path / "oof.csv")
    assert back.keys == said.keys
    np.testing.assert_allclose(back.probabilities, said.probabilities, atol=2e-6)
    np.testing.assert_array_equal(back.grades, said.grades)
    np.testing.assert_array_equal(back.fold, said.fold)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("s00_spinal_canal_stenosis_l1_l2", "s01_spinal_canal_stenosis_l1_l2", "row is missing"),
        (",1\n", ",x\n", "is not a number"),
        ("row_id,", "rowid,", "column 'row_id' is missing"),
    ],
)
def test_a_damaged_oof_csv_is_refused(tmp_path, old, new, complaint):
    write_oof(too_bold(), tmp_path / "oof.csv")
    text = (tmp_path / "oof.csv").read_text()
    (tmp_path / "oof.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(TableError, match=complaint):
        read_oof(tmp_path / "oof.csv")


@pytest.mark.parametrize("row", ["0.5,0.1,0.1,0,1", "-1,1,1,0,1", "0.5,0.3,0.2,3,1"])
def test_a_row_that_is_no_distribution_or_no_grade_is_refused(tmp_path, row):
    write_oof(too_bold(), tmp_path / "oof.csv")
    lines = (tmp_path / "oof.csv").read_text().splitlines()
    lines[1] = f"{lines[1].split(',')[0]},{row}"
    (tmp_path / "oof.csv").write_text("\n".join(lines))
    with pytest.raises(TableError, match=r"not a (distribution|grade)"):
        read_oof(tmp_path / "oof.csv")


def test_each_fold_is_calibrated_by_the_others_and_becomes_likelier():
    said = too_bold()
    report = said.calibrated()
    change = calibration_change(said.probabilities, report, said.grades)["all"]
    assert change["likelihood_loss"][2].high < 0
    assert change["calibration_error"][2].high < 0
    heat = fit_temperature(said.log_probs[said.fold == 2], said.grades[said.fold == 2])
    assert heat[0] > 1.2
    # Labels of the first fold say nothing about how it is calibrated.
    other = OutOfFold(said.keys, said.probabilities, said.grades.copy(), said.fold)
    other.grades[said.fold == 1] = 0
    np.testing.assert_array_equal(other.calibrated()[said.fold == 1], report[said.fold == 1])


def test_a_member_that_knows_nothing_of_a_finding_does_not_count_there():
    said = too_bold(power=1.0)
    canal = [t.index for t in TARGETS if t.finding is Finding.CANAL]
    first = said.fold == 1
    said.probabilities[np.ix_(first, canal)] = [0.98, 0.01, 0.01]
    weights = member_weights(said)
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    assert (weights[0, canal] == 0).all()
    others = np.setdiff1d(np.arange(25), canal)
    assert (weights[:, others] > 0.2).all()
    np.testing.assert_array_equal(weights, weights[:, list(MIRRORED_INDEX)])


def test_members_that_all_know_nothing_count_alike():
    said = too_bold()
    blind = OutOfFold(
        said.keys, np.full_like(said.probabilities, 1 / 3), np.zeros_like(said.grades), said.fold
    )
    np.testing.assert_array_equal(member_weights(blind), np.full((2, 25), 0.5))
