"""Examples with one bright spot at each side, so that a swapped side shows."""

import torch

from volspine.anatomy import TARGETS
from volspine.data.example import Example

SHAPE = (9, 12, 16)
SPACING_MM = (4.0, 2.0, 1.0)
LEFT, RIGHT = 5, 10  # Foramina at L1/L2.
assert TARGETS[LEFT].name == "left_neural_foraminal_narrowing_l1_l2"
assert TARGETS[RIGHT].name == "right_neural_foraminal_narrowing_l1_l2"


def spot(place, value=1.0, shape=SHAPE) -> Example:
    """A bright voxel of the first image, marked as the left foramen at L1/L2."""
    volume = torch.cat([torch.zeros(3, *shape), torch.ones(3, *shape)])
    volume[(0, *place)] = value
    points = torch.full((25, 3), -1.0)
    points[LEFT] = torch.tensor(place, dtype=torch.float32)
    has_point = torch.zeros(25, dtype=torch.bool)
    has_point[LEFT] = True
    grades = torch.full((25,), -1)
    grades[LEFT], grades[0] = 2, 1
    return Example(volume, grades, points, has_point)


def blob(place, *, sigma=2.0, shape=(17, 24, 32), spacing_mm=SPACING_MM) -> Example:
    """A smooth spot of `sigma` mm, so that its centroid can be measured after interpolation."""
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    offset = (mesh - torch.tensor(place)) * torch.tensor(spacing_mm)
    example = spot((0, 0, 0), 0.0, shape)
    example.volume[0] = torch.exp(-0.5 * (offset / sigma).pow(2).sum(-1))
    example.points[LEFT] = torch.tensor(place)
    return example


def centroid(image: torch.Tensor) -> torch.Tensor:
    """The brightness-weighted mean index."""
    axes = [torch.arange(n, dtype=torch.float32) for n in image.shape]
    mesh = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return (mesh * image[..., None]).sum(dim=(0, 1, 2)) / image.sum()
