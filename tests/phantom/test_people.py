"""Synthetic people without images."""

import numpy as np

from volspine.phantom.people import draw_people
from volspine.phantom.spec import Noise


def test_the_same_seed_draws_the_same_people():
    a, b, other = draw_people(50, seed=3), draw_people(50, seed=3), draw_people(50, seed=4)
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.severity, b.severity)
    assert not np.array_equal(a.labels, other.labels)


def test_without_noise_the_labels_are_the_truth_and_the_belief_is_sure_of_it():
    people = draw_people(200, noise=Noise.NONE)
    known = people.labels >= 0
    assert known.mean() > 0.99
    np.testing.assert_array_equal(people.labels[known], people.truth[known])
    np.testing.assert_array_equal(people.belief.argmax(axis=-1), people.truth)


def test_the_belief_says_how_often_each_label_is_given():
    """Over many people the mean belief is the share of the labels, to three standard errors."""
    people = draw_people(4000, seed=1)
    np.testing.assert_allclose(people.belief.sum(axis=-1), 1)
    for grade in range(3):
        seen = (people.labels == grade).mean(axis=0)
        said = people.belief[..., grade].mean(axis=0)
        assert np.abs(seen - said).max() < 3.5 * 0.5 / np.sqrt(4000)
