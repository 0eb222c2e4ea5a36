"""Folds: every study is held out once, no patient on two sides, each part its share of severity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.test_splits import studies
from volspine.data.folds import deal_folds, fold_split, read_folds, write_folds
from volspine.errors import ConfigurationError, TableError


@given(st.lists(st.integers(0, 12), min_size=12, max_size=60), st.integers(2, 5), st.integers(0, 5))
def test_every_study_is_in_one_part_and_no_patient_in_two(patients, count, seed):
    everyone = studies([n % 26 for n in range(len(patients))], [f"p{p}" for p in patients])
    if len(set(patients)) < count:
        with pytest.raises(ConfigurationError, match="cannot be dealt out"):
            deal_folds(everyone, count, seed=seed)
        return
    folds = deal_folds(everyone, count, seed=seed)
    assert sorted(key for part in folds.parts for key in part) == sorted(s.key for s in everyone)
    of = {s.key: s.group for s in everyone}
    sides = [{of[key] for key in part} for part in folds.parts]
    assert sum(map(len, sides)) == len(set.union(*sides))


@given(st.lists(st.integers(0, 25), min_size=8, max_size=40), st.integers(0, 5), st.data())
def test_the_folds_do_not_depend_on_the_order_of_the_studies(burdens, seed, data):
    ordered = studies(burdens)
    shuffled = data.draw(st.permutations(ordered))
    assert deal_folds(ordered, 3, seed=seed).parts == deal_folds(shuffled, 3, seed=seed).parts


def test_parts_are_equal_in_size_and_alike_in_severity():
    rng = np.random.default_rng(0)
    everyone = studies([int(b) for b in rng.integers(0, 26, 120)])
    burden = {s.key: sum(s.grades) for s in everyone}
    folds = deal_folds(everyone, 4)
    assert [len(part) for part in folds.parts] == [30, 30, 30, 30]
    means = [np.mean([burden[key] for key in part]) for part in folds.parts]
    chance = np.std(list(burden.values())) / np.sqrt(30)
    assert np.ptp(means) < chance


def test_another_seed_deals_anew():
    everyone = studies([n % 26 for n in range(60)])
    assert deal_folds(everyone, 3, seed=0).parts != deal_folds(everyone, 3, seed=1).parts


def test_a_fold_is_tested_on_what_it_holds_out_and_chosen_by_others():
    everyone = studies([n % 26 for n in range(40)])
    folds = deal_folds(everyone, 4)
    split = fold_split(folds, 1, everyone, val=5)
    assert split.test == folds.parts[1]
    assert (len(split.train), len(split.val)) == (25, 5)
    assert not set(split.test) & {*split.train, *split.val}


def test_no_share_for_validation_trains_on_all_the_others():
    everyone = studies([n % 26 for n in range(12)])
    split = fold_split(deal_folds(everyone, 3), 0, everyone, val=0)
    assert (len(split.train), split.val) == (8, ())


def test_a_table_of_folds_reads_back(tmp_path):
    folds = deal_folds(studies([n % 26 for n in range(12)], ["a", "b", "c"] * 4), 3)
    write_folds(folds, tmp_path / "folds.csv")
    assert read_folds(tmp_path / "folds.csv") == folds
    assert (tmp_path / "folds.csv").read_text().splitlines()[0] == "study_id,group,fold"


@pytest.mark.parametrize(
    "rows",
    [
        "1,1,1\n1,1,2\n",
        "1,p,1\n2,p,2\n",
        "1,1,1\n2,2,3\n",
        "1,1,1\n2,2,1\n",
        "1,1,0\n2,2,1\n",
        "",
    ],
    ids=["study twice", "patient twice", "a gap", "one fold", "from zero", "empty"],
)
def test_a_table_that_shares_or_leaves_out_is_refused(tmp_path, rows):
    (tmp_path / "folds.csv").write_text(f"study_id,group,fold\n{rows}")
    with pytest.raises(TableError, match="not a table of folds"):
        read_folds(tmp_path / "folds.csv")


@pytest.mark.parametrize("count", [0, 1, 13])
def test_too_few_or_too_many_folds_are_refused(count):
    with pytest.raises(ConfigurationError, match="12 patients cannot be dealt out"):
        deal_folds(studies([1] * 12), count)
