"""A batch of series: each is decoded by itself, in its place."""

import numpy as np
import pytest
import torch

from tests.models.made_heat import SMALL, spine, told_of
from volspine.errors import GeometryError
from volspine.landmarks import POINT_OF_TARGET
from volspine.models.chain_batch import decode_batch
from volspine.models.localizer import Located
from volspine.volume.grid import Grid

I, J, K = SMALL.shape
VOXELS = Grid((4.0, 2.0, 2.0), (I, 2 * J, 2 * K), SMALL.center_mm)


def test_each_series_of_a_batch_has_its_own_landmarks() -> None:
    spines = [spine((0.0, 20.0, 96.0), size=0.9), spine((4.0, 24.0, 100.0), size=0.9)]
    told = [told_of(points, grid=SMALL) for points in spines]
    located = Located(
        torch.from_numpy(np.stack([t.logits for t in told])),
        torch.from_numpy(np.stack([t.offset_mm for t in told])),
    )
    found = decode_batch(located, torch.ones(2, 1, *VOXELS.shape), VOXELS)
    for landmarks, points in zip(found, spines, strict=True):
        np.testing.assert_allclose(landmarks.points_mm, points[list(POINT_OF_TARGET)], atol=0.2)


def test_a_series_that_measured_nothing_is_refused() -> None:
    located = Located(torch.zeros(1, 28, I, J, K), torch.zeros(1, 27, 3, I, J, K))
    with pytest.raises(GeometryError, match="VS-GEO-081"):
        decode_batch(located, torch.zeros(1, 1, *VOXELS.shape), VOXELS)
