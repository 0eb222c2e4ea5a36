"""The mirror: everything that has a side changes it, in hand-valued places."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from volspine.anatomy import TARGETS
from volspine.models.mirror import mirror_batch, mirror_points, mirror_targets, mirror_volume

NAMES = [target.name for target in TARGETS]
LEFT = NAMES.index("left_neural_foraminal_narrowing_l4_l5")
RIGHT = NAMES.index("right_neural_foraminal_narrowing_l4_l5")
CANAL = NAMES.index("spinal_canal_stenosis_l4_l5")


def test_a_bright_voxel_on_the_right_is_then_on_the_left() -> None:
    volume = torch.zeros(1, 6, 4, 3, 3)
    volume[0, 0, 3, 1, 2] = 1.0  # i grows to the patient's right
    mirrored = mirror_volume(volume)
    assert mirrored[0, 0, 0, 1, 2] == 1.0
    assert mirrored.sum() == 1.0


def test_a_severe_left_foramen_becomes_a_severe_right_one() -> None:
    grades = torch.zeros(1, 25, dtype=torch.int64)
    grades[0, LEFT] = 2
    mirrored = mirror_targets(grades)
    assert mirrored[0, RIGHT] == 2
    assert mirrored[0, LEFT] == 0


def test_the_canal_stays_where_it_is() -> None:
    values = torch.arange(25.0)[None]
    assert mirror_targets(values)[0, CANAL] == CANAL


def test_a_point_moves_with_its_target_and_its_voxel() -> None:
    points = torch.zeros(1, 25, 3)
    points[0, LEFT] = torch.tensor([2.0, 5.0, 7.0])
    mirrored = mirror_points(points, size_i=32)
    assert mirrored[0, RIGHT].tolist() == [29.0, 5.0, 7.0]
    assert mirrored[0, LEFT].tolist() == [31.0, 0.0, 0.0]


def test_the_target_axis_can_be_another() -> None:
    values = torch.arange(25.0)
    assert mirror_targets(values, dim=0)[LEFT] == RIGHT


@given(st.integers(0, 24), st.integers(0, 7))
def test_a_batch_is_mirrored_as_a_whole(target: int, i: int) -> None:
    """The voxel that a target's point names has the same value after the mirror."""
    batch = {
        "volume": torch.zeros(1, 6, 8, 4, 4),
        "grades": torch.full((1, 25), -1),
        "points": torch.zeros(1, 25, 3),
        "has_point": torch.zeros(1, 25, dtype=torch.bool),
        "study_id": ["1"],
    }
    batch["volume"][0, 0, i, 1, 2] = 1.0
    batch["grades"][0, target] = 2
    batch["points"][0, target] = torch.tensor([float(i), 1.0, 2.0])
    batch["has_point"][0, target] = True
    mirrored = mirror_batch(batch)
    there = TARGETS[target].mirrored.index
    x, y, z = (int(v) for v in mirrored["points"][0, there])
    assert mirrored["volume"][0, 0, x, y, z] == 1.0
    assert mirrored["grades"][0, there] == 2
    assert mirrored["has_point"][0].nonzero().tolist() == [[there]]
    assert mirrored["study_id"] == ["1"]
    assert batch["has_point"][0, target], "the original stays as it was"
    back = mirror_batch(mirrored)
    assert all(torch.equal(back[k], batch[k]) for k in ("volume", "grades", "points", "has_point"))


def test_a_batch_without_labels_is_only_flipped() -> None:
    assert set(mirror_batch({"volume": torch.zeros(1, 6, 2, 2, 2)})) == {"volume"}
