"""The experiment about doubt: each way to spoil a study spoils what it says and nothing else."""

import numpy as np
import pytest
import torch

from tests.volume.made_crops import crops_of
from volspine.inference.doubt import Impression, Usual
from volspine.inference.doubt_record import read_doubt
from volspine.views import VIEWS

doubt = pytest.importorskip("experiments.doubt", reason="experiments are not installed")


@pytest.fixture(scope="module")
def crops():
    made = crops_of(lambda at: 1 + 0.3 * np.sin(at / 3).sum(axis=-1))
    return made._replace(sagittal=made.sagittal.half(), axial=made.axial.half())


def spoilt(crops, name):
    return doubt.SPOILT[name](crops, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", doubt.SPOILT)
def test_a_spoilt_study_has_the_shape_and_places_of_the_study(crops, name):
    found = spoilt(crops, name)
    for part, before in zip(found, crops, strict=True):
        assert (part.shape, part.dtype) == (before.shape, before.dtype)
        assert part.isfinite().all()
    assert torch.equal(found.affine_lps, crops.affine_lps)
    assert torch.equal(found.points_mm, crops.points_mm)
    assert not torch.equal(found.axial, crops.axial)


def test_noise_is_as_strong_as_it_says(crops):
    added = (spoilt(crops, "noise").sagittal - crops.sagittal).float()
    assert added.std().item() == pytest.approx(0.3, abs=0.01)
    assert added.mean().item() == pytest.approx(0, abs=0.01)


def test_blur_keeps_the_mean_and_lowers_the_steps(crops):
    found = spoilt(crops, "blur").axial.float()
    before = crops.axial.float()
    assert found.mean().item() == pytest.approx(before.mean().item(), abs=0.02)
    assert found.diff(dim=-1).abs().mean() < before.diff(dim=-1).abs().mean()


def test_a_third_is_cut_off_and_not_measured(crops):
    found = spoilt(crops, "cropped")
    assert found.axial_mask.float().mean().item() == pytest.approx(54 / 80)
    assert not found.sagittal[..., :26].any()
    assert torch.equal(found.sagittal[..., 26:], crops.sagittal[..., 26:])


def test_contrasts_change_places_and_slices_their_order(crops):
    found = spoilt(crops, "contrast")
    assert torch.equal(found.sagittal[:, 0], crops.sagittal[:, 1])
    means = spoilt(crops, "shuffled").axial.float().mean(dim=(-2, -1))
    before = crops.axial.float().mean(dim=(-2, -1))
    assert torch.equal(means.sort(dim=-1).values, before.sort(dim=-1).values)


def test_the_tables_hold_every_measure(capsys):
    rng = np.random.default_rng(0)
    usual = {name: rng.standard_normal(20) for name in doubt.ALL}
    doubt.auroc_table(usual, {"far": {name: x + 9 for name, x in usual.items()}})
    samples = rng.dirichlet([1, 1, 1], size=(2, 25))
    seen = doubt.Seen({"as it is": Impression(samples, (), ())}, rng.integers(0, 3, 25))
    doubt.rejection_table([seen, seen])
    out = capsys.readouterr().out
    assert out.count("1.00 (1.00 to 1.00)") == len(doubt.ALL)
    wrong = (samples.mean(axis=0).argmax(axis=-1) != seen.grades).mean()
    assert f"| {wrong:.3f} |" in out


def test_what_is_saved_is_what_a_bundle_takes(tmp_path):
    rng = np.random.default_rng(0)
    seen = [
        Impression(
            rng.dirichlet([1, 1, 1], size=(2, 25)),
            tuple(rng.standard_normal((2 * len(v.targets), 3)) for v in VIEWS),
            tuple(rng.standard_normal((len(v.targets), 7)) for v in VIEWS),
        )
        for _ in range(12)
    ]
    usual = Usual.of(seen[:6])
    inside = doubt.of_measure(usual, seen[6:])
    doubt.save(tmp_path / "doubt.json", usual, inside, weights="abc")
    record = read_doubt(tmp_path / "doubt.json")
    assert record.weights_sha256 == "abc"
    judged = [record.judged(impression) for impression in seen[6:]]
    for name in doubt.ALL:
        shares = sorted(j[name]["usual_below"] for j in judged)
        assert shares == pytest.approx([n / 6 for n in range(6)])
