"""What a grade looked at: in the patient as he is, on the side where it is."""

import numpy as np
import pytest
import torch

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import BrightnessGrader, landmarks, level_predictor
from tests.inference.test_predictor import mirrored
from volspine.anatomy import TARGETS, Finding, Side
from volspine.errors import ConfigurationError
from volspine.geometry.stack import Stack
from volspine.inference.look import tokens_at
from volspine.inference.predictor import Predictor
from volspine.models.mirror import turn_right_sides
from volspine.models.parts import Graded
from volspine.views import Patches
from volspine.volume.grid import Grid
from volspine.volume.level_study import study_crops_of

LATERAL = [t for t in TARGETS if t.side]


def bright_ball(point_mm, *, radius_mm=4.0):
    """The made-up study with a bright ball at a place of the patient."""
    study = make_study()
    for series in study.series:
        stack = series.stacks[0]
        index = np.stack(np.meshgrid(*map(np.arange, stack.shape), indexing="ij"), axis=-1)
        places = index @ stack.affine_lps[:3, :3].T + stack.affine_lps[:3, 3]
        voxels = stack.voxels.copy()
        # Slices are 5 mm apart; in the plane the ball is round.
        near = np.abs(places - point_mm)
        thick = 3.0 if series.protocol.value == "axial_t2" else radius_mm
        wide = radius_mm if series.protocol.value == "axial_t2" else 3.0
        inside = (near[..., 0] < wide) & (near[..., 1] < radius_mm) & (near[..., 2] < thick)
        voxels[inside] = 4 * voxels.max()
        series.stacks[0] = Stack.from_array(voxels, stack.affine_lps)
    return study


def hottest_mm(patch):
    place = np.unravel_index(int(patch.values.argmax()), patch.values.shape)
    return (patch.affine_lps @ [*place, 1.0])[:3]


@pytest.mark.parametrize("method", ["attention", "gradcam"])
@pytest.mark.parametrize("side", [Side.LEFT, Side.RIGHT], ids=["left", "right"])
def test_the_heat_is_where_the_ball_is_and_on_its_side(monkeypatch, side, method):
    # 4 mm outwards, 5 in front of and 2 above the left or right recess at L3/L4.
    target = next(
        t for t in TARGETS if t.finding is Finding.RECESS and t.side is side and "l3" in t.name
    )
    out = 1.0 if side is Side.LEFT else -1.0
    point = landmarks().points_mm[target.index] + [4.0 * out, -5.0, 0.0]
    made = level_predictor(monkeypatch, landmarks(), BrightnessGrader())
    graded = made.predict(bright_ball(point))
    found = graded.saliency(target, method)
    assert found.target is target
    for patch in found.patches:
        if method == "attention" or patch.protocol.value == "axial_t2":
            assert np.linalg.norm(hottest_mm(patch) - point) < 5.0
            assert hottest_mm(patch)[0] * out > 9.0  # On the other side it would be at -13 mm.
    mirror_of_it = graded.saliency(target.mirrored, method)
    assert hottest_mm(mirror_of_it.patches[0])[0] * out < 5.0


def test_a_mirrored_patient_has_the_mirrored_heat(monkeypatch):
    from tests.inference.test_level_mode import reflected

    study, found = make_study(2), landmarks()
    grid = Grid((5.0, 3.0, 3.0), (16, 30, 40), (0.0, 0.0, 0.0))
    as_is = level_predictor(monkeypatch, found).predict(study)
    other = level_predictor(monkeypatch, reflected(found)).predict(mirrored(study))
    for target in (TARGETS[2], TARGETS[6], TARGETS[22]):
        heat = as_is.saliency(target).on_grid(grid)
        assert heat.sum() > 0
        assert np.allclose(other.saliency(target.mirrored).on_grid(grid)[::-1], heat, atol=1e-6)
    plain = as_is.saliency(TARGETS[22]).on_grid(grid)
    assert not np.allclose(plain[::-1], plain)  # Or the above would say nothing.


class BlobNet(BrightnessGrader):
    """Severity of each target: the sum of its bright voxels less that of its dark ones."""

    def features(self, patches):
        return tuple(
            torch.stack([i.clamp(min=0), (-i).clamp(min=0)], dim=2) for i in patches.images
        )

    def grade(self, maps, covered):
        del covered
        found = BrightnessGrader.grade(self, tuple(m[:, :, :1] for m in maps), ())
        per_view = [
            m[:, :, 0].mean(dim=(-3, -2, -1)) - m[:, :, 1].mean(dim=(-3, -2, -1)) for m in maps
        ]
        severity = torch.stack([per_view[4][:, (t + 5) % 10] for t in range(25)], dim=1)
        return Graded(found.log_probs, severity, None)


def test_gradcam_of_a_hand_made_network_lights_what_speaks_for_the_grade(monkeypatch):
    # d severity / d A is 1 / n for bright voxels and -1 / n for dark ones: raised severity is
    # explained by the bright voxels alone, lowered severity by the dark ones alone.
    target = TARGETS[15]
    graded = level_predictor(monkeypatch, landmarks(), BlobNet()).predict(make_study())
    crops = graded.look.crops
    raised = graded.look.saliency(target, "gradcam", is_raised=True).patches[0]
    lowered = graded.look.saliency(target, "gradcam", is_raised=False).patches[0]
    assert raised.values.sum() > 0
    assert lowered.values.sum() > 0
    assert not ((raised.values > 0) & (lowered.values > 0)).any()
    (token,) = [t for t in tokens_at(crops) if t.target == target.index]
    place = np.unravel_index(int(raised.values.argmax()), raised.values.shape)
    row, column = np.linalg.solve(crops.affine_lps[0, 2], token.affine_lps @ [*place, 1.0])[1:3]
    shown = crops.axial[0, token.slices[place[0]]].float()
    assert shown[round(row), round(column)] > 1.0  # Brighter than the mean.


class TurningNet(BlobNet):
    """The same network, which turns right sides back before it reads them."""

    share_sides = False

    def features(self, patches):
        return super().features(Patches(turn_right_sides(patches.images), patches.covered))


@pytest.mark.parametrize("t", [15, 20], ids=["left", "right"])
def test_a_network_that_turns_right_sides_back_lights_the_same_place(monkeypatch, t):
    heats = [
        level_predictor(monkeypatch, landmarks(), net).predict(make_study()).look
        for net in (BlobNet(), TurningNet())
    ]
    one, other = (look.saliency(TARGETS[t], "gradcam").values for look in heats)
    assert not np.allclose(one, one[:, :, ::-1])  # Turned the wrong way it would differ.
    assert np.allclose(one, other, atol=1e-6)


def test_a_token_lies_around_its_place(study):
    crops, _ = study_crops_of(study, landmarks())
    for token in tokens_at(crops):
        view = token.view
        from volspine.views import VIEWS

        size = np.array([VIEWS[view].slices, VIEWS[view].pixels, VIEWS[view].pixels])
        middle = (token.affine_lps @ [*((size - 1) / 2), 1.0])[:3]
        away = middle - crops.points_mm[token.target].numpy()
        assert np.abs(away).max() <= 2.5 + 1e-6  # Half a slice; in the plane nothing.
        assert np.sort(np.abs(away))[1] < 1e-6


def test_a_grid_shows_the_heat_where_the_patches_are(monkeypatch, study):
    graded = level_predictor(monkeypatch, landmarks()).predict(study)
    found = graded.saliency(("left_subarticular_stenosis", "l2_l3"))
    grid = Grid((2.0, 2.0, 2.0), (50, 40, 50), tuple(landmarks().points_mm[16]))
    heat = found.on_grid(grid)
    place = np.array(np.unravel_index(int(heat.argmax()), heat.shape), dtype=float)
    assert np.abs(grid.mm_from_index(place) - hottest_mm(found.patches[0])).max() < 3.5
    assert heat.sum() == pytest.approx(sum(patch.total for patch in found.patches), rel=1e-5)
    fine = Grid((1.0, 1.0, 1.0), (100, 80, 100), grid.center_mm)
    assert found.on_grid(fine).sum() == pytest.approx(heat.sum(), rel=1e-5)
    assert heat[0].max() == 0  # 49 mm to the right of it.


def test_what_was_not_graded_has_no_saliency(monkeypatch, tiny_bundle, study):
    made = level_predictor(monkeypatch, landmarks())
    partial = made.predict(make_study(protocols=("sagittal_t2",)))
    with pytest.raises(ConfigurationError, match="was not graded"):
        partial.saliency(TARGETS[15])
    assert {t.finding for t in partial.saliencies()} == {Finding.CANAL}
    with pytest.raises(ConfigurationError, match="no target"):
        partial.saliency(("left_knee", "l1_l2"))
    with pytest.raises(ConfigurationError, match="no method"):
        partial.saliency(TARGETS[0], "guesswork")
    whole = Predictor(tiny_bundle, device="cpu").predict(study)
    with pytest.raises(ConfigurationError, match="does not know"):
        whole.saliency(TARGETS[0])
