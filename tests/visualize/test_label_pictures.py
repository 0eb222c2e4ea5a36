"""Pictures of labels and scores: what they draw is what stands in the table."""

import numpy as np
import pytest

from volspine.anatomy import LEVELS, TARGETS, Condition
from volspine.challenge import GRADE_WEIGHTS
from volspine.tasks.evaluation import predictions_csv

RIGHT, LEFT = Condition.RIGHT_NEURAL_FORAMINAL_NARROWING, Condition.LEFT_NEURAL_FORAMINAL_NARROWING


def all_labels(grade, people=4):
    return np.full((people, 25), float(grade))


def test_bars_are_the_shares_of_the_labels_that_are_known(script):
    labels = all_labels(0)
    labels[:2, 3] = [2, np.nan]  # Canal at L4/L5: one of three is severe.
    module = script("prevalence")
    counts = module.counts_of(labels)
    assert counts[3].tolist() == [2, 0, 1]
    assert counts[4].tolist() == [4, 0, 0]
    canal = module.drawn(counts, title="made up").axes[2]
    assert canal.get_title() == "Spinal canal stenosis"
    widths = [[bar.get_width() for bar in bars] for bars in canal.containers]
    assert np.transpose(widths)[3] == pytest.approx([2 / 3, 0, 1 / 3])
    texts = [text.get_text() for text in canal.texts]
    assert [text for text in texts if text in {"67", "33"}] == ["67", "33"]
    assert texts[-5:] == ["4", "4", "4", "3", "4"]


def test_the_right_side_of_the_patient_is_drawn_on_the_left(script):
    labels = all_labels(0)
    labels[:, [t.index for t in TARGETS if t.condition is RIGHT]] = 2
    module = script("prevalence")
    first, *_, last = module.drawn(module.counts_of(labels), title="made up").axes
    assert first.get_title() == RIGHT.label
    assert last.get_title() == LEFT.label
    assert [bar.get_width() for bar in first.containers[2]] == [1] * len(LEVELS)
    assert [bar.get_width() for bar in last.containers[2]] == [0] * len(LEVELS)


def test_a_table_of_labels_is_counted_like_the_labels_themselves(script, tmp_path):
    labels = np.random.default_rng(0).integers(-1, 3, (9, 25))
    table = tmp_path / "table.csv"
    p = np.full((9, 25, 3), 1 / 3)
    table.write_text(predictions_csv(p, labels, [str(n) for n in range(9)]))
    module = script("prevalence")
    values, name = module.labels_of(table)
    assert name == "table.csv"
    assert (
        module.counts_of(values).sum(axis=0).tolist() == np.bincount(labels[labels >= 0]).tolist()
    )


def test_a_confusion_has_labels_in_rows_and_grades_in_columns_side_by_side(script):
    module = script("confusion")
    labels = np.zeros((3, 25), dtype=np.int64)
    labels[:, [t.index for t in TARGETS if t.condition is LEFT]] = 2
    labels[0, 0] = -1
    given = np.tile(np.eye(3)[1], (3, 25, 1))  # Everything is called moderate.
    found = module.confusions(given, labels)
    assert found[LEFT].tolist() == [[0, 0, 0], [0, 0, 0], [0, 15, 0]]
    assert found[RIGHT].tolist() == [[0, 15, 0], [0, 0, 0], [0, 0, 0]]
    assert found[Condition.SPINAL_CANAL_STENOSIS].sum() == 14
    figure = module.drawn(found, title="made up")
    left = figure.axes[list(found).index(LEFT)]
    texts = {tuple(map(round, t.get_position())): t.get_text() for t in left.texts}
    assert texts[1, 2] == "100 %\n15"  # Column moderate, row severe.
    assert left.get_xlabel() == "given"
    assert figure.axes[0].get_ylabel() == "label"


def test_a_run_is_read_for_its_confusion(script, tmp_path):
    rng = np.random.default_rng(1)
    p, labels = rng.dirichlet([1, 1, 1], (5, 25)), rng.integers(-1, 3, (5, 25))
    table = tmp_path / "test_predictions.csv"
    table.write_text(predictions_csv(p, labels, list("abcde")))
    module = script("confusion")
    read = module.confusions(*module.judged_rows(table)[:2])
    for condition, counts in module.confusions(p, labels).items():
        np.testing.assert_array_equal(read[condition], counts)


def test_a_regression_finds_the_weights_that_made_the_labels(script):
    module = script("learning_curve")
    rng = np.random.default_rng(0)
    x = np.hstack([rng.standard_normal((4000, 2)), np.ones((4000, 1))])
    true = np.array([[-2.0, 0.0, 2.0], [0.0, 0.0, 0.0], [1.0, 0.5, -1.5]])
    p = module.softmax(x @ true)
    labels = (rng.random((4000, 1)) > p.cumsum(axis=1)).sum(axis=1)
    found = module.softmax(x @ module.fitted(x, labels))
    assert np.abs(found - p).mean() < 0.02


def test_scores_are_what_one_computes_by_hand(script):
    belief = np.array([[[0.5, 0.25, 0.25]], [[0.1, 0.8, 0.1]], [[1.0, 0.0, 0.0]]])
    labels = np.array([[0], [2], [-1]])
    accuracy, loss = script("learning_curve").scores(belief, labels)
    assert accuracy == 0.5
    assert loss == pytest.approx((np.log(2) + np.log(10)) / 2)
    assert len(GRADE_WEIGHTS) == belief.shape[-1]


def test_more_people_bring_the_curve_from_the_prior_towards_the_ceiling(script):
    module = script("learning_curve")
    rows = module.experiment(sizes=(50, 400), repeats=1, test=1000)
    of = {(r["finding"], r["measure"], r["studies"]): r["mean"] for r in rows}
    for finding in ("canal", "foramen", "recess"):
        losses = [of[finding, "log_loss", size] for size in ("50", "400", "ceiling")]
        assert losses == sorted(losses, reverse=True)
        assert of[finding, "log_loss", "400"] < of[finding, "log_loss", "prior"]


def test_a_table_of_an_experiment_is_drawn_and_another_refused(script, tmp_path):
    module = script("learning_curve")
    rows = [
        {"finding": f, "measure": "weighted_log_loss", "studies": s, "mean": m, "low": m, "high": m}
        for f in ("canal", "foramen", "recess")
        for s, m in (("10", 0.9), ("100", 0.5), ("prior", 1.0), ("ceiling", 0.4))
    ]
    table = tmp_path / "learning_curve.csv"
    head = ",".join(rows[0])
    table.write_text("\n".join([head, *(",".join(map(str, r.values())) for r in rows)]) + "\n")
    (axis,) = module.drawn(module.table_rows(table), title="made up").axes
    assert axis.get_title().startswith("weighted log loss")
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["10", "100"]
    styles = [line.get_linestyle() for line in axis.lines]
    assert (styles.count("--"), styles.count(":")) == (3, 3)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="no table of a learning curve"):
        module.table_rows(table)
