"""Augmentation of whole batches: it agrees with the other pipelines, and sides stay sides."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made_examples import LEFT, RIGHT, SHAPE, SPACING_MM, blob, centroid, spot
from volspine.anatomy import MIRRORED_INDEX
from volspine.data.dataset import collate, rng_for
from volspine.data.device_transforms import DeviceAugment, DeviceLook, see, stacked
from volspine.data.example import Example
from volspine.data.torchio_transforms import TorchioRecord
from volspine.data.torchio_transforms import apply as apply_torchio
from volspine.data.transforms import LightAugment, affine_matrix
from volspine.errors import ConfigurationError

STILL = DeviceAugment(
    mirror=0.0, degrees=(0.0,) * 3, scale=0.0, shift_mm=(0.0,) * 3, gamma=0.0, bias=0.0, noise=0.0,
    contrast=0.0,
)  # fmt: skip


def at_rest(**changes) -> DeviceLook:
    look = STILL.look(np.random.default_rng(0))
    return look._replace(**{name: torch.as_tensor(value) for name, value in changes.items()})


def seen(examples, looks, spacing_mm=SPACING_MM):
    batch = collate([(each, str(n)) for n, each in enumerate(examples)])
    return see(batch, stacked(looks), spacing_mm)


def test_a_look_that_does_nothing_changes_nothing():
    example = spot((2, 5, 7), 0.8)
    after = seen([example], [at_rest()])
    for name, before in example._asdict().items():
        if before is not None:
            torch.testing.assert_close(after[name][0], before, rtol=0, atol=1e-6)


def test_a_one_sided_mark_goes_to_the_other_side_in_the_mirrored_study_alone():
    after = seen([spot((2, 5, 7))] * 2, [at_rest(mirror=True), at_rest()])
    assert after["volume"][0, 0, 6, 5, 7] > 0.999
    assert (after["grades"][0, RIGHT], after["grades"][0, LEFT]) == (2, -1)
    torch.testing.assert_close(after["points"][0, RIGHT], torch.tensor([6.0, 5.0, 7.0]))
    assert after["has_point"][0].nonzero().tolist() == [[RIGHT]]
    assert after["grades"][0, 0] == 1  # The canal has no side.
    assert after["volume"][1, 0, 2, 5, 7] > 0.999
    assert (after["grades"][1, RIGHT], after["grades"][1, LEFT]) == (-1, 2)
    assert after["has_point"][1].nonzero().tolist() == [[LEFT]]


def test_own_targets_change_places_as_their_table_says():
    own = Example(
        spot((2, 5, 7)).volume,
        torch.tensor([2, 0, -1]),
        torch.tensor([[2.0, 5.0, 7.0], [4.0, 5.0, 7.0], [0.0, 0.0, 0.0]]),
        torch.tensor([True, True, False]),
        torch.tensor([2, 1, 0]),
    )
    after = seen([own], [at_rest(mirror=True)])
    assert after["grades"][0].tolist() == [-1, 0, 2]
    torch.testing.assert_close(after["points"][0, 2], torch.tensor([6.0, 5.0, 7.0]))
    assert after["has_point"][0].tolist() == [False, True, True]


def full(seed) -> Example:
    """A smooth patient all around, of whom one view is half measured."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 3, 4, 4, generator=rng)
    images = torch.nn.functional.interpolate(coarse, SHAPE, mode="trilinear")[0]
    masks = torch.ones(3, *SHAPE)
    masks[seed % 3, :, : SHAPE[1] // 2] = 0
    points = torch.rand(25, 3, generator=rng) * (torch.tensor(SHAPE) - 1)
    grades = torch.randint(-1, 3, (25,), generator=rng)
    known = torch.rand(25, generator=rng) < 0.7
    return Example(torch.cat([images * masks, masks]), grades, points, known)


def test_without_contrast_it_is_the_light_pipeline_study_by_study():
    light = LightAugment(drop_view=0.5)
    device = DeviceAugment(drop_view=0.5, contrast=0.0)
    examples, rows = [full(n) for n in range(8)], range(8)
    looks = [device.look(rng_for(0, 1, str(n))) for n in rows]
    assert {bool(look.mirror) for look in looks} == {True, False}
    assert any(not look.kept.all() for look in looks)
    after = seen(examples, looks)
    for n in rows:
        expected = light(examples[n], rng_for(0, 1, str(n)), SPACING_MM)
        off = (after["volume"][n] - expected.volume).abs()
        assert (off > 1e-4).float().mean() < 1e-3  # A mask's edge may fall on either side.
        assert torch.equal(after["grades"][n], expected.grades)
        assert torch.equal(after["has_point"][n], expected.has_point)
        known = expected.has_point
        torch.testing.assert_close(after["points"][n][known], expected.points[known])


def by_simpleitk(image, matrix, shift_mm):
    """The image after p' = matrix p + shift about its middle, by SimpleITK's linear resampling."""
    given = SimpleITK.GetImageFromArray(image.permute(2, 1, 0).numpy())
    given.SetSpacing(SPACING_MM)
    given.SetOrigin([-(n - 1) / 2 * step for n, step in zip(image.shape, SPACING_MM, strict=True)])
    back = np.linalg.inv(matrix)
    transform = SimpleITK.AffineTransform(back.ravel().tolist(), (-back @ shift_mm).tolist())
    moved = SimpleITK.Resample(given, given, transform, SimpleITK.sitkLinear, 0.0)
    return torch.from_numpy(SimpleITK.GetArrayFromImage(moved)).permute(2, 1, 0)


@pytest.mark.parametrize(
    "degrees", [(20.0, 0.0, 0.0), (0.0, -15.0, 0.0), (0.0, 0.0, 25.0), (6.0, -4.0, 9.0)]
)
def test_the_affine_map_is_that_of_simpleitk(degrees):
    example, shift = blob((7.0, 13.0, 14.0)), np.array([3.0, -2.0, 1.5])
    matrix = affine_matrix(degrees, 1.07)
    expected = by_simpleitk(example.volume[0], matrix, shift)
    found = seen([example], [at_rest(matrix=matrix, shift_mm=shift)])["volume"][0, 0]
    inner = (slice(3, -3),) * 3
    torch.testing.assert_close(found[inner], expected[inner], atol=1e-4, rtol=0)
    assert expected[inner].max() > 0.5


@pytest.mark.parametrize(("scale", "shift"), [(1.07, (0.0,) * 3), (1.0, (3.0, -2.0, 1.5))])
def test_size_and_shift_are_those_of_torchio(scale, shift):
    example = blob((7.0, 13.0, 14.0))
    theirs = apply_torchio(example, TorchioRecord(shift_mm=shift, scale=scale), SPACING_MM)
    look = at_rest(matrix=affine_matrix((0.0,) * 3, scale), shift_mm=np.array(shift))
    ours = seen([example], [look])
    torch.testing.assert_close(ours["points"][0, LEFT], theirs.points[LEFT], atol=1e-3, rtol=0)
    inner = (slice(3, -3),) * 3
    found, expected = ours["volume"][0, 0][inner], theirs.volume[0][inner]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


small = st.floats(-1, 1)


@given(
    degrees=st.tuples(small, small, small),
    shift=st.tuples(small, small, small),
    scale=st.floats(0.9, 1.1),
    mirror=st.booleans(),
)
@settings(max_examples=25)
def test_points_go_where_the_voxels_go(degrees, shift, scale, mirror):
    look = at_rest(
        matrix=affine_matrix(tuple(15 * d for d in degrees), scale),
        shift_mm=torch.tensor(shift).double() * 4,
        mirror=mirror,
    )
    after = seen([blob((7.0, 13.0, 14.0))], [look])
    target = RIGHT if mirror else LEFT
    difference = (centroid(after["volume"][0, 0]) - after["points"][0, target]).abs()
    assert difference.max() < 0.15, difference


def test_a_point_that_leaves_the_grid_is_no_longer_known_and_its_grade_stays():
    after = seen([spot((8, 5, 7))], [at_rest(shift_mm=torch.tensor([8.0, 0, 0]).double())])
    assert not after["has_point"].any()
    assert after["grades"][0, LEFT] == 2


def test_contrast_stretches_what_differs_from_the_mean_of_what_was_measured():
    grey = spot((0, 0, 0), 0.0)
    grey.volume[0, :, :6], grey.volume[0, :, 6:] = 0.2, 0.6
    grey.volume[[0, 3], :4] = 0  # Not measured, and so no part of the mean.
    factor = torch.tensor([1.5, 1.0, 1.0]).double()
    image = seen([grey], [at_rest(contrast=factor)])["volume"][0, 0]
    assert image[5, 0, 0] == pytest.approx(0.1, abs=1e-6)
    assert image[5, 9, 0] == pytest.approx(0.7, abs=1e-6)
    assert not image[:4].any()


def test_a_protocol_is_taken_away_with_its_mask_but_never_the_last():
    both, alone = spot((2, 5, 7)), spot((2, 5, 7))
    alone.volume[4:] = 0
    gone = at_rest(kept=torch.tensor([False, True, True]))
    after = seen([both, alone], [gone, gone])["volume"]
    assert not after[0, [0, 3]].any()
    assert after[0, 4:].all()
    assert after[1, 0, 2, 5, 7] > 0.999
    assert after[1, 3].all()


def test_a_study_is_seen_alike_in_any_company_and_differently_in_another_epoch():
    augment = DeviceAugment(noise=0.2)
    looks = [augment.look(rng_for(0, 4, str(n))) for n in range(3)]
    together = seen([full(n) for n in range(3)], looks)["volume"][2]
    assert torch.equal(together, seen([full(2)], looks[2:])["volume"][0])
    other = augment.look(rng_for(0, 5, "2"))
    assert not torch.equal(together, seen([full(2)], [other])["volume"][0])


def test_called_on_one_example_it_does_what_it_does_to_a_batch():
    augment = DeviceAugment()
    one = augment(full(1), rng_for(0, 0, "a"), SPACING_MM)
    batch = seen([full(1)], [augment.look(rng_for(0, 0, "a"))])
    assert torch.equal(one.volume, batch["volume"][0])
    assert torch.equal(one.grades, batch["grades"][0])


def test_what_was_given_is_left_as_it_was():
    example = full(3)
    before = example.volume.clone()
    DeviceAugment()(example, rng_for(0, 0, "a"), SPACING_MM)
    assert torch.equal(example.volume, before)


def test_mirrored_twice_is_where_it_began():
    example, look = full(4), at_rest(mirror=True)
    once = seen([example], [look])
    again = see(once, stacked([look]), SPACING_MM)
    torch.testing.assert_close(again["volume"][0], example.volume, atol=1e-5, rtol=0)
    assert torch.equal(again["grades"][0], example.grades)
    assert torch.equal(once["grades"][0], example.grades[list(MIRRORED_INDEX)])


@pytest.mark.parametrize("wrong", [{"mirror": 1.5}, {"drop_view": -0.1}, {"noise": -1.0}])
def test_an_impossible_augmentation_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        replace(STILL, **wrong)
    assert caught.value.code == "VS-CFG-420"
