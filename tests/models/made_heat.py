"""Heat maps made by hand: a spine whose places are known, and what a network would say of it."""

import numpy as np

from volspine.anatomy import Condition, Side
from volspine.landmarks import CHAIN, POINTS
from volspine.models.chain_fuse import Told, fuse
from volspine.models.chain_heat import HeatMaps
from volspine.models.chain_points import ASIDE_MM
from volspine.volume.grid import Grid

CELLS = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(24, 48, 64), center_mm=(0.0, 0.0, 0.0))
SMALL = Grid(spacing_mm=(4.0, 4.0, 4.0), shape=(20, 28, 64), center_mm=(0.0, 20.0, 0.0))
STEPS_MM = (34.0, 36.0, 37.0, 36.0, 34.0, 30.0)
THORACIC_MM = (31.0, 29.0, 28.0)


def spine(top_mm=(0.0, 20.0, 100.0), *, lean=0.0, size=1.0) -> np.ndarray:
    """27 places, (27, 3) LPS: a lordotic chain, foramina 17 and recesses 8 mm aside."""
    angles = np.deg2rad([5.0, 0.0, -8.0, -15.0, -5.0, 30.0])
    steps = np.array(STEPS_MM) * size
    moves = np.stack([np.sin(lean) * steps, np.sin(angles) * steps, -np.cos(angles) * steps], 1)
    chain = np.concatenate([np.zeros((1, 3)), np.cumsum(moves, axis=0)]) + np.array(top_mm)
    sided = [c for c in Condition if c.side is not None]
    signs = [1.0 if c.side is Side.LEFT else -1.0 for c in sided]
    aside = [
        chain[1:6] + np.array([sign * ASIDE_MM[c.finding] * size, -5.0, 0.0])
        for c, sign in zip(sided, signs, strict=True)
    ]
    return np.concatenate([chain, *aside])


def discs_above(points_mm: np.ndarray) -> np.ndarray:
    """Three thoracic discs above T12/L1, which only "any disc" knows of."""
    return points_mm[0] + np.cumsum([[0.0, 1.0, step] for step in THORACIC_MM], axis=0)


def heat_of(
    points_mm: np.ndarray,
    *,
    grid: Grid = CELLS,
    inside: np.ndarray | None = None,
    noise: float = 0.0,
    silent: tuple[int, ...] = (),
    seed: int = 0,
) -> HeatMaps:
    """What a good network would say of a spine, fused; see `told_of`."""
    told = told_of(points_mm, grid=grid, inside=inside, noise=noise, silent=silent, seed=seed)
    return fuse([told], grid)


def told_of(
    points_mm: np.ndarray,
    *,
    grid: Grid = CELLS,
    inside: np.ndarray | None = None,
    noise: float = 0.0,
    silent: tuple[int, ...] = (),
    seed: int = 0,
) -> Told:
    """What a good network would say of a spine.

    Logits fall off as a Gaussian of 4 mm around each place to a floor 9 below. A place that was
    not measured, or that is `silent`, leaves the floor alone, and the network says that it is out
    of view, exp(-3) to 1, as it says of the others that they are in view.
    """
    measured = np.ones(grid.shape, dtype=np.bool_) if inside is None else inside
    rng = np.random.default_rng(seed)
    shape = (len(POINTS) + 1, *grid.shape)
    logits = np.zeros(shape, dtype=np.float32)
    if noise:
        logits = rng.standard_normal(shape, dtype=np.float32) * np.float32(noise)
    logits[-1] -= 5.0
    offset = np.zeros((len(POINTS), 3, *grid.shape), dtype=np.float32)
    for p, place in enumerate(points_mm):
        for axis, (ruler, sign) in enumerate(zip(rulers(grid), (-1.0, -1.0, 1.0), strict=True)):
            offset[p, axis] = np.clip((place[axis] - ruler) * sign, -8.0, 8.0)
        if p not in silent and is_measured(grid, measured, place):
            logits[p] += bump(grid, place, 9.0) + 3.0
        else:
            logits[p] -= 3.0
    anywhere = [*points_mm[: len(CHAIN)], *discs_above(points_mm)]
    for p, place in enumerate(anywhere):
        if p not in silent and is_measured(grid, measured, place):
            logits[-1] += bump(grid, place, 8.0)
    return Told(logits, offset, measured)


def rulers(grid: Grid) -> list[np.ndarray]:
    """LPS coordinates of the cells along each axis, ready to broadcast."""
    ends = [np.arange(n)[:, None] * np.eye(3)[axis] for axis, n in enumerate(grid.shape)]
    shapes = [tuple(-1 if a == axis else 1 for a in range(3)) for axis in range(3)]
    return [grid.mm_from_index(end)[:, a].reshape(shapes[a]) for a, end in enumerate(ends)]


def bump(grid: Grid, place: np.ndarray, height: float) -> np.ndarray:
    x, y, z = (ruler - at for ruler, at in zip(rulers(grid), place, strict=True))
    square = x * x + y * y + z * z
    return np.maximum(height - square / (2 * 4.0**2), 0.0).astype(np.float32)


def is_measured(grid: Grid, measured: np.ndarray, place: np.ndarray) -> bool:
    index = np.rint(grid.index_from_mm(place)).astype(int)
    within = np.all((index >= 0) & (index < grid.shape))
    return bool(within and measured[tuple(index)])


def between(low_mm: float, high_mm: float, *, axis: int = 2, grid: Grid = CELLS) -> np.ndarray:
    """The cells whose middle lies between two coordinates along an axis of LPS."""
    ruler = rulers(grid)[axis]
    return np.broadcast_to((ruler >= low_mm) & (ruler <= high_mm), grid.shape).copy()
