"""Acquire: from a noise-free image to what a scanner stores.

Coil sensitivity, complex noise, zero filling of k-space to the stored matrix, magnitude, 12 bits:

    M = |F^-1 pad F (B S + n1 + i n2)|,   n ~ N(0, sigma),   sigma = S_95 / SNR

Noise is added before zero filling, so it is correlated between stored pixels as in real images, and
its magnitude is Rician. Zero filling leaves the centre of the first pixel where it is.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from volspine.phantom.plan import SeriesPlan

__all__ = ["FULL_SCALE", "acquire", "shading"]

FULL_SCALE = 1800.0
"""Stored value of the signal's 99th percentile; 12 bits leave room above."""


def acquire(
    images: NDArray[np.float32], plan: SeriesPlan, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Return the stored pixels, shape (N, rows, columns).

    Args:
        images: Noise-free slices, shape (N, H, W) as acquired.
        plan: Matrix, signal-to-noise ratio, plane.
        rng: Stream of the noise.
    """
    sample = images[:, ::3, ::3]
    top = float(np.percentile(sample[sample > 0.02 * sample.max()], 95))
    signal = images
    if plan.snr > 0:
        profile = shading(plan, rng)
        signal = (images * profile).astype(np.complex64)
        noise = rng.standard_normal((2, *images.shape), dtype=np.float32)
        sigma = np.float32(top / plan.snr)
        signal.real += noise[0] * sigma
        signal.imag += noise[1] * sigma
    stored = _zero_fill(signal, plan.matrix)
    scale = FULL_SCALE / max(float(np.percentile(stored[:, ::3, ::3], 99)), 1e-6)
    return np.asarray(np.clip(np.rint(stored * scale), 0, 4095), dtype=np.uint16)


def shading(plan: SeriesPlan, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how coil and saturation band weigh the signal over the acquired field, (H, W)."""
    return _sensitivity(plan, rng) * _saturation(plan, rng)


def _sensitivity(plan: SeriesPlan, rng: np.random.Generator) -> NDArray[np.float32]:
    """Surface coil behind the back, mostly corrected by the scanner; shape (H, W)."""
    corrected = rng.random() < 0.7
    fall = rng.uniform(-0.1, 0.15) if corrected else rng.uniform(0.4, 1.2)
    bend = rng.normal(0, 0.15, 2)
    down, across = (np.linspace(-1.0, 1.0, side) for side in plan.acquired)
    back = across[None, :] if plan.is_sagittal else down[:, None]
    along = down[:, None] if plan.is_sagittal else across[None, :]
    exponent = fall * back + bend[0] * along**2 + bend[1] * back * along
    return np.asarray(np.exp(exponent), dtype=np.float32)


def _saturation(plan: SeriesPlan, rng: np.random.Generator) -> NDArray[np.float32]:
    """A band that darkens the abdomen on most sagittal series; shape (1, W)."""
    banded, edge, depth = rng.random() < 0.6, rng.uniform(-62.0, -45.0), rng.uniform(0.6, 0.92)
    y = np.linspace(-0.5, 0.5, plan.acquired[1])[None] * plan.field_mm[1]
    if not (plan.is_sagittal and banded):
        return np.ones_like(y, dtype=np.float32)
    return (1.0 - depth / (1.0 + np.exp((y - edge) / 5.0))).astype(np.float32)


def _zero_fill(images: NDArray[np.generic], matrix: tuple[int, int]) -> NDArray[np.float32]:
    """Pad or crop k-space to the stored matrix and return the magnitude, slice by slice."""
    rows, columns = images.shape[1:]
    if (rows, columns) == matrix:
        return np.asarray(np.abs(images), dtype=np.float32)
    result = np.empty((len(images), *matrix), dtype=np.float32)
    for index, image in enumerate(images.astype(np.complex64, copy=False)):
        lines = fft.ifft(_resize(fft.fft(image, axis=0), matrix[0]), axis=0)
        turned = fft.ifft(_resize(fft.fft(lines, axis=1).T, matrix[1]), axis=0)
        np.abs(turned.T, out=result[index])
    return result * np.float32(matrix[0] * matrix[1] / (rows * columns))


def _resize(spectrum: NDArray[np.complex64], length: int) -> NDArray[np.complex64]:
    """Keep the lowest frequencies of either sign along the first axis, zeros elsewhere."""
    half = min(len(spectrum), length) // 2
    result = np.zeros((length, spectrum.shape[1]), dtype=np.complex64)
    result[:half] = spectrum[:half]
    result[-half:] = spectrum[-half:]
    return result
