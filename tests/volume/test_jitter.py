"""Measured errors, their table, and what is drawn from it."""

import json
from functools import cache

import numpy as np
import pytest

from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding
from volspine.errors import ConfigurationError
from volspine.volume import jitter
from volspine.volume.jitter import LARGEST_MM, ErrorHistogram, measured_errors

MIRROR = np.array([-1.0, 1.0, 1.0])
SIDES = [0, 2, 1, 4, 3]


@cache
def measured(studies=200, seed=0):
    """Errors with a shift of the level common to its targets, and laterals that err outwards."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(0, 1.0, (studies, 25, 3))
    level = rng.normal(0, 2.0, (studies, 5))
    for target in TARGETS:
        errors[:, target.index, 2] += level[:, target.index % 5]
        if target.side is not None:
            outwards = 1.0 if target.side.value == "left" else -1.0
            errors[:, target.index, 0] += 1.5 * outwards
    return errors


@cache
def table():
    return ErrorHistogram.from_errors(measured(), source="made up")


@cache
def draws(n=10000, seed=1):
    return table().draw(np.random.default_rng(seed), n)


def test_drawn_errors_are_spread_as_the_measured_ones():
    drawn = draws()
    of_levels = measured().reshape(-1, 5, 5, 3)  # Studies, conditions, levels, axes.
    for condition in range(5):
        real = of_levels[:, condition].reshape(-1, 3)
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            expected = np.quantile(real, share, axis=0)
            assert np.quantile(drawn[:, condition], share, axis=0) == pytest.approx(
                expected, abs=0.25
            )


def test_the_targets_of_a_level_err_together():
    together = np.corrcoef(draws()[:, :, 2].T)
    # A common shift of variance 4 beside an own one of 1.
    assert together[np.triu_indices(5, 1)] == pytest.approx(np.full(10, 0.8), abs=0.04)
    apart = np.corrcoef(draws()[:, :, 1].T)
    assert np.abs(apart[np.triu_indices(5, 1)]).max() < 0.06


def test_a_side_errs_outwards_on_its_own_side():
    _, left, right, *_ = draws()[:, :, 0].mean(axis=0)
    assert left == pytest.approx(1.5, abs=0.1)
    assert right == pytest.approx(-1.5, abs=0.1)


def test_errors_of_the_mirrored_study_give_the_same_table():
    mirrored = measured()[:, list(MIRRORED_INDEX)] * MIRROR
    other = ErrorHistogram.from_errors(mirrored)
    assert other.quantiles_mm == pytest.approx(table().quantiles_mm, abs=1e-9)
    assert other.correlation == pytest.approx(table().correlation, abs=1e-9)


def test_draws_have_no_side():
    drawn, other = draws(), draws(seed=2)[:, SIDES] * MIRROR
    for share in (0.1, 0.5, 0.9):
        here, there = (np.quantile(d, share, axis=0) for d in (drawn, other))
        assert here == pytest.approx(there, abs=0.15)


def test_the_canal_errs_as_often_to_the_left_as_to_the_right():
    shifted = measured().copy()
    shifted[:, :5, 0] += 3.0
    canal = ErrorHistogram.from_errors(shifted).quantiles_mm[0, 0]
    assert canal == pytest.approx(-canal[::-1], abs=1e-9)
    assert canal[-1] > 3.0


def test_one_error_alone_is_drawn_always():
    errors = np.tile([0.0, 2.0, -1.0], (10, 25, 1))
    drawn = ErrorHistogram.from_errors(errors).draw(np.random.default_rng(0), 7)
    assert drawn == pytest.approx(np.tile([0.0, 2.0, -1.0], (7, 5, 1)))


def test_nothing_is_drawn_that_is_longer_than_was_measured():
    drawn = draws()
    for axis in range(3):
        assert np.abs(drawn[..., axis]).max() <= np.abs(measured()[..., axis]).max() + 1e-9


def test_the_same_chance_draws_the_same_and_another_does_not():
    assert draws(5).tolist() == draws(5).tolist()
    assert draws(5).tolist() != draws(5, seed=3).tolist()
    assert draws(0).shape == (0, 5, 3)


def test_another_level_and_a_miss_are_counted_and_left_out():
    errors = measured().copy()
    errors[:50, 0] = [0.0, 0.0, 36.0]
    errors[:20, 5] = np.nan
    found = ErrorHistogram.from_errors(errors)
    # 50 of 1000 canals, 20 of 2000 foramina.
    assert found.far.tolist() == pytest.approx([0.05, 0.0, 0.0])
    assert found.absent.tolist() == pytest.approx([0.0, 0.01, 0.0])
    assert np.abs(found.quantiles_mm).max() < LARGEST_MM
    assert found.levels == 1000


def test_a_table_survives_its_file(tmp_path):
    path = tmp_path / "errors.json"
    path.write_text(json.dumps(table().to_dict()), encoding="utf-8")
    again = ErrorHistogram.read(path)
    assert again.quantiles_mm == pytest.approx(table().quantiles_mm, abs=1e-3)
    assert again.correlation == pytest.approx(table().correlation, abs=1e-4)
    assert (again.levels, again.source) == (1000, "made up")
    assert again.absent.tolist() == [0.0, 0.0, 0.0]
    assert again.to_dict() == table().to_dict()
    assert len(path.read_bytes()) < 10_000


def test_the_shipped_table_is_read_from_its_place_or_its_lack_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(jitter, "MEASURED", tmp_path / "localizer_errors.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        measured_errors()
    jitter.MEASURED.write_text(json.dumps(table().to_dict()), encoding="utf-8")
    assert measured_errors().source == "made up"


def test_findings_are_stored_by_name():
    data = table().to_dict()
    assert list(data["findings"]) == [finding.name.lower() for finding in Finding]
    assert data["findings"]["foramen"]["left"][20] == pytest.approx(1.5, abs=0.2)
    assert data["unit"] == "mm"


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="only 15 levels"):
        ErrorHistogram.from_errors(measured()[:3])
    with pytest.raises(ConfigurationError, match="schema 7"):
        ErrorHistogram.from_dict({**table().to_dict(), "schema": 7})
    data = table().to_dict()
    del data["findings"]["recess"]
    with pytest.raises(ConfigurationError, match="without what it needs"):
        ErrorHistogram.from_dict(data)
    falling = table().to_dict()
    falling["findings"]["canal"]["back"].reverse()
    with pytest.raises(ConfigurationError, match="do not increase"):
        ErrorHistogram.from_dict(falling)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ErrorHistogram.read(tmp_path / "nothing.json")
    bad = (2 * np.eye(15) - 1.0).tolist()
    with pytest.raises(ConfigurationError, match="correlation that is none"):
        ErrorHistogram.from_dict({**table().to_dict(), "correlation": bad})


def test_the_package_has_the_table_of_its_localizer():
    drawn = measured_errors().draw(np.random.default_rng(0), 200)
    assert drawn.shape == (200, 5, 3)
    size = np.linalg.norm(drawn, axis=2)
    assert 0.2 < np.median(size) < 3.0  # Millimetres, not voxels or metres.
