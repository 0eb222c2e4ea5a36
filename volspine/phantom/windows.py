"""Windows: from a part of a planned series to its stored pixels, without painting the rest.

A window keeps the acquired pixel grid of the whole series, so that its noise-free pixels are those
of the whole rendering. Reception follows `acquire`: coil and saturation band of the whole field,
complex noise, zero filling to the stored matrix, magnitude, scale. Zero filling a window is a
product with the rows of the interpolation kernel that it needs,

    S = |A X B'|,   A[m, n] = sin(pi L d) / (N tan(pi d)),   d = m / M - n / N,   L = min(M, lines)

which is exact where the window spans the field; elsewhere the kernel is cut off smoothly
`MARGIN` pixels out and its rows sum to 1. What a scanner reads off the whole series, the signal
that sets noise and scale, is read off a coarse rendering of it, the scout. Artefacts that come from
near by are kept (shifted fat, flow voids, cross-talk); ghosts and wrap-around, which come from
elsewhere in the field, are left out.

Shapes: C sequences, K slices, H rows, W columns (acquired), R rows, Q columns (stored).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from volspine.phantom.acquire import FULL_SCALE, shading
from volspine.phantom.anatomy import Anatomy
from volspine.phantom.artefacts import Artefacts, render_marred
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_series
from volspine.types import FloatArray

__all__ = ["MARGIN", "Patch", "Receiver", "Window", "cut", "interpolation", "render_window", "tune"]

MARGIN = 8
"""Acquired pixels painted around a window, where the kernel is cut off."""

_SCOUT_PIXELS, _SCOUT_SLICES = 40, 4

_AT_ONCE = 120_000
"""Points painted at one go; more no longer fit the caches."""


@dataclass(frozen=True)
class Window:
    """Part of a series, in acquired pixels.

    Attributes:
        slices: Their numbers in the plan, in the order wanted.
        rows: First and last (fractional) row that is needed.
        columns: First and last column.
    """

    slices: tuple[int, ...]
    rows: tuple[float, float]
    columns: tuple[float, float]


@dataclass(frozen=True)
class Patch:
    """Stored pixels of a window.

    Attributes:
        values: (K, R, Q) float32.
        start: Stored column and row of the first pixel.
    """

    values: torch.Tensor
    start: tuple[int, int]


@dataclass(frozen=True)
class Receiver:
    """What the scanner sets for a whole series.

    Attributes:
        shading: (H, W) weight of the signal over the whole field.
        sigma: Standard deviation of the noise, in units of the signal.
        scale: Stored value of a signal of 1.
        artefacts: Those that come from near by.
    """

    shading: NDArray[np.float32]
    sigma: float
    scale: float
    artefacts: Artefacts


def tune(
    anatomy: Anatomy, plans: list[SeriesPlan], found: list[Artefacts], rng: np.random.Generator
) -> list[Receiver]:
    """Set the receivers of series that share their slices, from a coarse look at all of them.

    Args:
        anatomy: Whose spine.
        plans: One plan a sequence, as for `render_series`.
        found: Artefacts of each.
        rng: Draws the coils.
    """
    step = -(-len(plans[0].centres_mm) // _SCOUT_SLICES)
    scouts = [_scout(plan, step) for plan in plans]
    images = render_series(anatomy, scouts, at_once=_AT_ONCE)
    near = [replace(marred, ghosts=(), pulses=(), fold=(0.0, 0.0)) for marred in found]
    return [
        replace(_tune(image, plan, rng), artefacts=marred)
        for image, plan, marred in zip(images, plans, near, strict=True)
    ]


def _scout(plan: SeriesPlan, step: int) -> SeriesPlan:
    keep = slice((len(plan.centres_mm) - 1) % step // 2, None, step)
    coarser = max(plan.acquired) / _SCOUT_PIXELS
    size = (max(round(plan.acquired[0] / coarser), 1), max(round(plan.acquired[1] / coarser), 1))
    return replace(
        plan,
        centres_mm=plan.centres_mm[keep],
        tilts=plan.tilts[keep],
        stacks=plan.stacks[keep],
        acquired=size,
        acquired_mm=plan.acquired_mm * coarser,
        matrix=size,
        sub_slices=1,
    )


def _tune(image: NDArray[np.float32], plan: SeriesPlan, rng: np.random.Generator) -> Receiver:
    top = float(np.percentile(image[image > 0.02 * image.max()], 95))
    weight = np.ones(plan.acquired, dtype=np.float32)
    if plan.snr > 0:
        weight = shading(plan, rng)
        rows, columns = (
            np.linspace(0, many - 1, few).round().astype(np.int64)
            for many, few in zip(plan.acquired, image.shape[1:], strict=True)
        )
        image = image * weight[np.ix_(rows, columns)]
    sigma = top / plan.snr if plan.snr > 0 else 0.0
    return Receiver(weight, sigma, FULL_SCALE / float(np.percentile(image, 99)), Artefacts())


def render_window(
    anatomy: Anatomy,
    plans: list[SeriesPlan],
    window: Window,
    receivers: Sequence[Receiver],
    rng: np.random.Generator,
) -> list[Patch]:
    """Render a window of series that share their slices, one patch a series.

    Args:
        anatomy: Whose spine.
        plans: One plan a sequence, as for `render_series`.
        window: What is needed.
        receivers: Of `tune`, in the order of the plans.
        rng: Draws the noise.
    """
    rows = _span(window.rows, plans[0].acquired[0])
    columns = _span(window.columns, plans[0].acquired[1])
    parts = [cut(plan, window.slices, rows, columns) for plan in plans]
    found = [receiver.artefacts for receiver in receivers]
    images = render_marred(anatomy, parts, found, at_once=_AT_ONCE)
    return [
        _receive(image * r.shading[rows.start : rows.stop, columns.start : columns.stop],
                 (plan, window, rows, columns), r, rng)
        for image, plan, r in zip(images, plans, receivers, strict=True)
    ]  # fmt: skip


def _span(needed: tuple[float, float], size: int) -> range:
    """Return the acquired pixels that a window is painted from; all of them if nearly all."""
    low, high = int(np.floor(needed[0])) - MARGIN, int(np.ceil(needed[1])) + MARGIN + 1
    low, high = max(low, 0), min(high, size)
    return range(size) if high - low > size - MARGIN else range(low, max(high, low + 1))


def cut(plan: SeriesPlan, slices: Sequence[int], rows: range, columns: range) -> SeriesPlan:
    """Return the plan of some slices and neighbouring acquired pixels; none of them moves."""
    which = list(slices)
    down = rows.start + (len(rows) - 1) / 2 - (plan.acquired[0] - 1) / 2
    across = columns.start + (len(columns) - 1) / 2 - (plan.acquired[1] - 1) / 2
    shifts = [(across * x + down * y) * plan.acquired_mm for x, y in (plan.axes(n) for n in which)]
    size = (len(rows), len(columns))
    return replace(
        plan,
        centres_mm=plan.centres_mm[which] + np.array(shifts),
        tilts=plan.tilts[which],
        stacks=tuple(plan.stacks[n] for n in which),
        acquired=size,
        matrix=size,
    )


def _receive(
    signal: NDArray[np.float32],
    where: tuple[SeriesPlan, Window, range, range],
    receiver: Receiver,
    rng: np.random.Generator,
) -> Patch:
    """Add noise to a window's signal, zero-fill it and scale its magnitude."""
    plan, window, rows, columns = where
    tall = _stored(window.rows, plan.acquired[0], plan.matrix[0])
    wide = _stored(window.columns, plan.acquired[1], plan.matrix[1])
    lines = plan.lines
    down = interpolation(tall, plan.matrix[0], rows, plan.acquired[0], lines=lines[0])
    across = interpolation(wide, plan.matrix[1], columns, plan.acquired[1], lines=lines[1])
    across = across.T.contiguous()
    if receiver.sigma > 0:
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
        noise = torch.randn((2, *signal.shape), generator=draws).mul_(receiver.sigma)
        noise[0] += torch.from_numpy(signal)
        real, imaginary = _down(down, noise @ across)
        values = real.square_().addcmul_(imaginary, imaginary).sqrt_()
    else:
        values = _down(down, torch.from_numpy(signal) @ across).abs()
    return Patch((values * receiver.scale).clamp_(max=4095.0), (wide.start, tall.start))


_BAND = 64
"""Stored rows that are interpolated at one go, from the acquired rows near them."""


def _down(weights: torch.Tensor, lines: torch.Tensor) -> torch.Tensor:
    """Return weights times lines, leaving out what has no weight, shape (..., stored, Q)."""
    parts = []
    for first in range(0, len(weights), _BAND):
        part = weights[first : first + _BAND]
        found = part.any(dim=0).nonzero()[:, 0]
        band = slice(int(found[0]), int(found[-1]) + 1)
        parts.append(part[:, band] @ lines[..., band, :])
    return torch.cat(parts, dim=-2)


def _stored(needed: tuple[float, float], acquired: int, matrix: int) -> range:
    low = int(np.floor(needed[0] * matrix / acquired))
    high = int(np.ceil(needed[1] * matrix / acquired))
    low = min(max(low, 0), matrix - 1)
    return range(low, min(max(high, low), matrix - 1) + 1)


def interpolation(
    stored: range, matrix: int, span: range, acquired: int, *, lines: int
) -> torch.Tensor:
    """Return the weights of acquired pixels in stored ones, shape (stored, span).

    Args:
        stored: Stored pixels that are wanted.
        matrix: Number of stored pixels of the whole field.
        span: Acquired pixels at hand.
        acquired: Number of acquired pixels of the whole field.
        lines: Number of frequencies measured along it.
    """
    place = np.arange(stored.start, stored.stop, dtype=np.float64)[:, None] * (acquired / matrix)
    length = min(lines, matrix)
    if len(span) == acquired:
        weights = _dirichlet((place - np.arange(acquired)) / acquired, length) / acquired
        return torch.from_numpy(weights.astype(np.float32))
    near = np.rint(place).astype(np.int64) + np.arange(-MARGIN, MARGIN + 1)
    away = place - near
    # Flat to half the margin, then down to zero as a cosine.
    reach = np.clip((np.abs(away) / MARGIN - 0.5) / 0.5, 0.0, 1.0)
    kernel = _dirichlet(away / acquired, length) * (0.5 + 0.5 * np.cos(np.pi * reach))
    kernel *= (near >= span.start) & (near < span.stop)
    kernel /= kernel.sum(axis=1, keepdims=True)
    weights = np.zeros((len(stored), len(span) + 2 * MARGIN + 2))
    columns = np.clip(near - span.start + MARGIN, 0, weights.shape[1] - 1)
    np.put_along_axis(weights, columns, kernel, axis=1)
    return torch.from_numpy(weights[:, MARGIN : MARGIN + len(span)].astype(np.float32))


def _dirichlet(turns: FloatArray, length: int) -> FloatArray:
    """Sum `length` frequencies around zero at a phase in turns.

    Of an even number, the outermost counts half at either sign.
    """
    below = np.sin(np.pi * turns) if length % 2 else np.tan(np.pi * turns)
    near = np.abs(below) < 1e-9
    return np.where(near, length, np.sin(np.pi * length * turns) / np.where(near, 1.0, below))
