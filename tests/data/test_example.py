import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.data.made_examples import LEFT, RIGHT, SHAPE, spot
from volspine.data.example import mirrored, within


def test_the_mirror_image_of_a_left_finding_is_a_right_finding():
    # Index i grows to the patient's right, so the left spot has the small i: 2 of 0 to 8.
    image = mirrored(spot((2, 5, 7)))
    assert image.volume[0, 6, 5, 7] == 1.0
    assert image.volume[0].sum() == 1.0
    assert (image.grades[RIGHT], image.grades[LEFT], image.grades[0]) == (2, -1, 1)
    assert image.points[RIGHT].tolist() == [6.0, 5.0, 7.0]
    assert image.has_point.nonzero().flatten().tolist() == [RIGHT]


@given(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)))
def test_the_point_stays_on_its_voxel_and_two_mirrors_are_none(place):
    example = spot(place)
    image = mirrored(example)
    i, j, k = image.points[RIGHT].int().tolist()
    assert image.volume[0, i, j, k] == 1.0
    for once, twice in zip(example[:4], mirrored(image)[:4], strict=True):
        assert torch.equal(once, twice)


def test_the_input_of_a_mirror_is_left_as_it_was():
    example = spot((2, 5, 7))
    mirrored(example)
    assert example.points[LEFT].tolist() == [2.0, 5.0, 7.0]
    assert example.volume[0, 2, 5, 7] == 1.0


def test_a_point_is_within_up_to_half_a_voxel_around_the_centres():
    points = torch.tensor([[-0.5, 0, 0], [-0.51, 0, 0], [8.5, 11.5, 15.5], [0, 11.6, 0]])
    assert within(points, SHAPE).tolist() == [True, False, True, False]
