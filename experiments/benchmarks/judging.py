"""How right three volumes are: the largest error on the ramp, and what is left empty."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ramp import level_of, places_of
from volumes import GRID, SERIES, WAYS, Volumes

__all__ = ["accuracy", "judge_way"]


def judge_way(way: str, study: str, grid: list[Any]) -> Callable[[], dict[str, float]]:
    """Return what `serve` calls once: the error on the ramp, and what is empty."""
    run = WAYS[way](Path(study), GRID(*map(tuple, grid)))
    return lambda: accuracy(run(), Path(study).parent)


def accuracy(made: Volumes, folder: Path) -> dict[str, float]:
    """Return the largest error against the ramp, and the share of voxels left empty.

    Both over the voxels whose middle lies within the outermost voxel centres of a stack.
    """
    worst, empty, count = 0.0, 0, 0
    places = places_of(folder)
    index = np.indices(made.volumes[0].shape, dtype=np.float32)
    axes = made.affine_lps[:3, :3]
    points = np.tensordot(axes, index, axes=1) + made.affine_lps[:3, 3][:, None, None, None]
    truth = level_of(np.moveaxis(points, 0, -1))
    for volume, name in zip(made.volumes, SERIES, strict=True):
        inside = _inside(points, places[name])
        filled = inside & (volume > 0)
        empty += int(inside.sum() - filled.sum())
        count += int(inside.sum())
        if filled.any():
            worst = max(worst, float(np.abs(volume[filled] - truth[filled]).max()))
    return {"error": worst, "holes": empty / max(count, 1)}


def _inside(points: np.ndarray, stacks: list[Any]) -> np.ndarray:
    """Return which points, (3, X, Y, Z), lie within the voxel centres of any stack."""
    found = np.zeros(points.shape[1:], dtype=bool)
    for first, across, down, last in np.array(stacks):
        basis = np.linalg.inv(np.stack([across - first, down - first, last - first], axis=1))
        index = np.tensordot(basis, points - first[:, None, None, None], axes=1)
        found |= ((index >= 0) & (index <= 1)).all(axis=0)
    return found
