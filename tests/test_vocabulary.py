"""What is graded: the challenge's 25 targets or own ones, with sides that change places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import LEVELS, MIRRORED_INDEX, TARGETS, Condition, Finding, Side
from volspine.challenge import GRADE_WEIGHTS, LABEL_COLUMNS
from volspine.errors import ConfigurationError
from volspine.vocabulary import CHALLENGE, NamedTarget, Vocabulary, vocabulary_from_dict

NECK = {
    "grades": ["none", "mild", "moderate", "severe"],
    "targets": [
        {
            "name": f"{side}_uncovertebral_{level}",
            "finding": "foramen",
            "level": level,
            "side": side,
        }
        for level in ("c2_c3", "c3_c4", "c4_c5", "c5_c6", "c6_c7")
        for side in ("left", "right")
    ]
    + [{"name": "myelopathy", "finding": "cord"}],
}


def test_the_challenge_in_these_words_is_what_the_anatomy_says():
    assert CHALLENGE.names == LABEL_COLUMNS
    assert CHALLENGE.mirrored_index == MIRRORED_INDEX
    assert CHALLENGE.levels == tuple(level.value for level in LEVELS)
    assert CHALLENGE.findings == tuple(finding.term for finding in Finding)
    assert CHALLENGE.finding_index == tuple(list(Finding).index(t.finding) for t in TARGETS)
    assert CHALLENGE.level_index == tuple(LEVELS.index(t.level) for t in TARGETS)
    conditions = list(dict.fromkeys(t.condition for t in CHALLENGE.targets))
    assert conditions == [(c.finding.term, c.side) for c in Condition]
    assert CHALLENGE.weights == GRADE_WEIGHTS


def test_left_and_right_of_a_neck_change_places_and_the_cord_stays():
    neck = vocabulary_from_dict(NECK)
    assert neck.mirrored_index == (1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 10)
    for target, other in zip(neck.targets, neck.mirrored_index, strict=True):
        name = neck.targets[other].name
        assert name == target.name or name.replace("left", "right") == target.name.replace(
            "left", "right"
        )
        assert neck.targets[other].side == (target.side and target.side.opposite)
    assert neck.groups == (tuple(range(10)), (10,))
    assert neck.levels == ("c2_c3", "c3_c4", "c4_c5", "c5_c6", "c6_c7", "")
    assert neck.num_grades == 4


def test_plain_data_make_the_same_vocabulary_again():
    for known in (CHALLENGE, vocabulary_from_dict(NECK)):
        assert vocabulary_from_dict(known.to_dict()) == known
    assert vocabulary_from_dict(NECK).to_dict() == NECK


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("123")), unique=True, min_size=1))
def test_a_mirror_of_a_mirror_is_the_patient(places):
    both = [NamedTarget(f"{s}{f}{v}", f, v, s) for f, v in places for s in Side]
    order = Vocabulary(tuple(both), ("no", "yes")).mirrored_index
    assert [order[n] for n in order] == list(range(len(both)))
    assert all(n != other for n, other in enumerate(order))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": []}, "there is no target"),
        ({"targets": "discs"}, "not a list"),
        ({"targets": [{"name": "a"}]}, "no name or no finding"),
        ({"targets": [{"name": "a", "finding": ""}]}, "is empty"),
        ({"targets": [{"name": "a", "finding": "f", "lvl": "c2"}]}, "'lvl' is not known"),
        ({"targets": [{"name": "a", "finding": "f", "side": "medial"}]}, "is not a side"),
        ({"targets": [{"name": "a", "finding": "f", "side": "left"}]}, "no counterpart"),
        ({"targets": [{"name": "a", "finding": "f"}] * 2}, "stands twice"),
        ({"targets": [{"name": n, "finding": "f"} for n in "ab"]}, "place 'f' is empty or stands"),
        ({"grades": ["severe"]}, "1 grades cannot"),
        ({"grades": ["no", "no"]}, "'no' is empty or stands twice"),
        ({"grades": ["Severe", "severe"]}, "'severe' is empty or stands twice"),
        ({"grades": [False, True]}, "true or false"),
        ({"grades": None}, "not a list"),
        ({"weights": [1, 2]}, "do not fit"),
        ({"weights": [1, 2, 3, 0]}, "not positive"),
        ({"weights": ["a"] * 4}, "not a number"),
        ({"labels": []}, "'labels' is not known"),
    ],
)
def test_what_contradicts_itself_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        vocabulary_from_dict({**NECK, **change})
