import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.data.rsna import LabelledStudy
from volspine.data.splits import Split, read_split, split_counts, split_studies, write_split
from volspine.errors import ConfigurationError, TableError


def studies(burdens, groups=None):
    return [
        LabelledStudy(
            study_id=str(n),
            folder=Path(str(n)),
            grades=tuple([2] * b + [0] * (25 - b)),
            group=groups[n] if groups else str(n),
            key=str(n),
        )
        for n, b in enumerate(burdens)
    ]


def test_counts_are_fractions_below_one_and_studies_from_one():
    assert split_counts(200, val=0.1, test=0.3) == (120, 20, 60)
    assert split_counts(200, val=0, test=60) == (140, 0, 60)
    assert split_counts(10, val=1, test=1.0) == (8, 1, 1)


@pytest.mark.parametrize(("val", "test"), [(0.5, 0.5), (5, 5), (-1, 2), (0, 99)])
def test_a_split_that_leaves_nothing_to_train_on_is_refused(val, test):
    with pytest.raises(ConfigurationError, match="nothing of 10 studies to train on"):
        split_counts(10, val=val, test=test)


def test_the_sets_have_exactly_the_sizes_asked_for():
    split = split_studies(studies([n % 26 for n in range(200)]), val=0.1, test=60)
    assert (len(split.train), len(split.val), len(split.test)) == (120, 20, 60)
    assert len({*split.train, *split.val, *split.test}) == 200


@given(st.lists(st.integers(0, 25), min_size=8, max_size=40), st.integers(0, 5), st.data())
def test_the_split_does_not_depend_on_the_order_of_the_studies(burdens, seed, data):
    ordered = studies(burdens)
    shuffled = data.draw(st.permutations(ordered))
    assert split_studies(ordered, seed=seed) == split_studies(shuffled, seed=seed)


@given(
    st.lists(st.integers(0, 9), min_size=12, max_size=60),
    st.integers(0, 5),
)
def test_no_patient_is_on_two_sides(patients, seed):
    everyone = studies([n % 26 for n in range(len(patients))], [f"p{p}" for p in patients])
    split = split_studies(everyone, val=0.2, test=0.3, seed=seed)
    group = {s.key: s.group for s in everyone}
    sides = [{group[k] for k in keys} for keys in (split.train, split.val, split.test)]
    assert sum(map(len, sides)) == len(set.union(*sides))
    assert sum(map(len, (split.train, split.val, split.test))) == len(everyone)


def test_every_set_gets_its_share_of_severe_patients():
    # 50 severe of 200: chance alone leaves the test set with 15 +- 2.8 of them.
    everyone = studies([25] * 50 + [0] * 150)
    for seed in range(20):
        split = split_studies(everyone, val=0.1, test=0.3, seed=seed)
        severe = [sum(int(k) < 50 for k in keys) for keys in (split.train, split.val, split.test)]
        np.testing.assert_allclose(severe, [30, 5, 15], atol=2)


def test_another_seed_gives_another_split_and_the_same_seed_the_same():
    everyone = studies([n % 26 for n in range(50)])
    assert split_studies(everyone, seed=1) == split_studies(everyone, seed=1)
    assert split_studies(everyone, seed=1) != split_studies(everyone, seed=2)


def test_a_split_written_is_the_split_read(tmp_path):
    everyone = studies(range(20))
    split = split_studies(everyone)
    write_split(split, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json", everyone) == split


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("{", TableError, "JSONDecodeError"),
        ("[1]", TableError, "AttributeError"),
        ('{"train": 1}', TableError, "TypeError"),
        ('{"train": ["77"]}', TableError, "1 studies of the split are not in the data, '77' first"),
        ('{"train": ["1"], "test": ["1"]}', ConfigurationError, "stands in two sets"),
        ('{"train": ["1"], "test": ["2"]}', ConfigurationError, "a patient's studies stand in two"),
    ],
)
def test_a_split_that_does_not_fit_is_refused(tmp_path, content, error, message):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(error, match=message):
        read_split(path, studies([1, 2, 3], ["a", "b", "b"]))


def test_a_fixed_split_may_leave_studies_out(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [2, "0"], "test": ["1"]}))
    assert read_split(path, studies(range(5))) == Split(("0", "2"), (), ("1",))
