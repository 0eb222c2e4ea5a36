"""Scan: what coil, noise and reconstruction make of the slices of one series.

    M = gamma( clip( | C B S T + n1 + i n2 | / C^q ) ),    n ~ N(0, sigma),   sigma = S_95 / SNR

with C the sensitivity of a surface coil behind the back, exp(-d / lambda), corrected to a share q;
B a profile from head to foot, a saturation band in front and slow shading; T the grain of tissue.
Parameters are drawn on the CPU and arrays where the slices are.

Shapes: N slices, J columns to the front, K rows to the head.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

__all__ = ["PERFECT", "Scanner", "draw_scanner", "scan"]

_NEAR_MM = 35.0
"""Signal is measured this near to the lumbar bodies' middle."""

_FLOOR = 0.08
"""Sensitivity below which a correction gives up, as a share of the highest."""


@dataclass(frozen=True)
class Scanner:
    """What one series suffers; distances from its middle, mm.

    Attributes:
        coil_mm: Distance over which the coil's sensitivity falls to 1 / e; infinite without one.
        column_mm: y of the lumbar bodies, where the signal is measured that noise is set against.
        back_mm: y of the skin of the back.
        corrected: Share q of the sensitivity that is corrected, 0 to 1.
        profile: Middle and width along z of the coil's elements.
        band: Edge y, width and depth of the saturation band; a depth of 0 is none.
        shading: (5,) terms y, z, yz, y^2, z^2 of the logarithm of slow shading.
        void: Middle y and z and radius of what metal blots out; a radius of 0 is none.
        grain: Strength of the tissue's grain.
        snr: Signal-to-noise ratio.
        blur: Spread of the blur to the front and to the head, pixels; below 0 sharpens.
        uneven: Spread of the slices' brightness.
        gamma: Exponent of the final brightness.
        clip: Quantile above which all is white.
        scale: Stored value of white, the 99th percentile; None stores the signal as it is.
    """

    coil_mm: float = np.inf
    column_mm: float = 0.0
    back_mm: float = 0.0
    corrected: float = 0.0
    profile: tuple[float, float] = (0.0, np.inf)
    band: tuple[float, float, float] = (0.0, 1.0, 0.0)
    shading: tuple[float, ...] = (0.0,) * 5
    void: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grain: float = 0.0
    snr: float = np.inf
    blur: tuple[float, float] = (0.0, 0.0)
    uneven: float = 0.0
    gamma: float = 1.0
    clip: float = 1.0
    scale: float | None = 1000.0


PERFECT = Scanner(scale=None)
"""Stores the signal itself."""


def draw_scanner(rng: np.random.Generator, column_mm: float) -> Scanner:
    """Draw a scanner.

    Args:
        rng: As many numbers are drawn whatever is found.
        column_mm: y of the lumbar bodies.
    """
    chance = rng.random(11)
    fall = float(np.exp(rng.uniform(np.log(25.0), np.log(160.0))))
    widths = (rng.uniform(-70.0, 70.0), rng.uniform(70.0, 220.0))
    edge, steep, depth = rng.uniform(22.0, 60.0), rng.uniform(2.0, 10.0), rng.uniform(0.5, 0.97)
    terms = rng.normal(0, 1, 5) * np.array([0.15, 0.15, 0.12, 0.15, 0.15])
    blurs = rng.uniform(0.2, 1.0) * np.exp(rng.normal(0, 0.3, 2))
    sharper = -float(rng.uniform(0.02, 0.15))
    if chance[4] < 0.25:
        blurs = np.array([sharper, sharper])
    elif chance[4] < 0.5:
        blurs = np.zeros(2)
    place, radius = rng.uniform((-55.0, -90.0), (5.0, 90.0)), float(rng.uniform(6.0, 20.0))
    return Scanner(
        coil_mm=fall if chance[0] < 0.9 else np.inf,
        column_mm=column_mm,
        back_mm=column_mm - float(rng.uniform(45.0, 95.0)),
        corrected=float(rng.uniform(0.3, 1.0)) if chance[1] < 0.35 else 0.0,
        profile=widths if chance[2] < 0.6 else (0.0, np.inf),
        band=(column_mm + edge, steep, depth if chance[3] < 0.35 else 0.0),
        shading=tuple((terms * (chance[5] < 0.6)).tolist()),
        void=(column_mm + place[0], place[1], radius if chance[10] < 0.04 else 0.0),
        grain=float(rng.uniform(0.02, 0.2)) if chance[6] < 0.7 else 0.0,
        snr=float(np.exp(rng.uniform(np.log(9.0), np.log(80.0)))),
        blur=(float(blurs[0]), float(blurs[1])),
        uneven=float(rng.uniform(0.01, 0.08)) if chance[7] < 0.2 else 0.0,
        gamma=float(np.exp(rng.normal(0, 0.2))) if chance[8] < 0.5 else 1.0,
        clip=float(rng.uniform(0.9, 0.999)) if chance[9] < 0.3 else 1.0,
        scale=float(np.exp(rng.uniform(np.log(150.0), np.log(4000.0)))),
    )


def scan(
    slices: torch.Tensor,
    scanner: Scanner,
    where: tuple[torch.Tensor, torch.Tensor],
    generator: torch.Generator,
) -> torch.Tensor:
    """Return the slices (N, J, K) as stored, not below 0.

    Args:
        slices: Noise-free signal, (N, J, K).
        scanner: What they suffer.
        where: y of the columns and z of the rows, mm.
        generator: On the device of the slices.
    """
    y, z = where[0][:, None], where[1][None]
    coil = torch.exp(-(y - scanner.back_mm).clamp_min(0.0) / scanner.coil_mm)
    weight = coil * _slow(scanner, y, z)
    signal = slices * weight
    if scanner.grain:
        signal = signal * (1.0 + scanner.grain * _grain(signal, generator))
    if scanner.uneven:
        each = torch.randn(len(signal), 1, 1, generator=generator, device=signal.device)
        signal = signal * torch.exp(scanner.uneven * each)
    signal = _blurred(signal, scanner.blur)
    near = signal[:, (where[0] - scanner.column_mm).abs() < _NEAR_MM]
    top = _quantile(near if near.numel() else signal, 0.95)
    stored = _with_noise(signal, top / scanner.snr, generator)
    if scanner.corrected:
        stored = stored / (coil / coil.amax() + _FLOOR).pow(scanner.corrected)
    return _graded(stored, scanner)


def _slow(scanner: Scanner, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Return profile, saturation band, shading and what metal leaves, (J, K)."""
    middle, width = scanner.profile
    profile = torch.exp(-0.5 * ((z - middle) / width) ** 2)
    edge, steep, depth = scanner.band
    band = 1.0 - depth * torch.sigmoid((y - edge) / steep)
    p, q = y / 90.0, z / 120.0
    a, b, c, d, e = scanner.shading
    shading = torch.exp(a * p + b * q + c * p * q + d * p * p + e * q * q)
    y_void, z_void, radius = scanner.void
    far = ((y - y_void) ** 2 + (z - z_void) ** 2) / max(radius, 1e-3) ** 2
    return profile * band * shading * (1.0 - torch.exp(-far * far))


def _grain(signal: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a random field, grains of 4, 12 and 32 mm, (N, J, K)."""
    n, j, k = signal.shape
    total = torch.zeros_like(signal)
    for size, strength in ((2, 0.5), (6, 0.7), (16, 0.7)):
        coarse = (1, n, -(-j // size) + 1, -(-k // size) + 1)
        field = torch.randn(coarse, generator=generator, device=signal.device)
        total += strength * functional.interpolate(field, (j, k), mode="bilinear")[0]
    return total


def _blurred(signal: torch.Tensor, blur: tuple[float, float]) -> torch.Tensor:
    if not any(blur):
        return signal
    image = signal[:, None]
    for axis, width in enumerate(blur):
        kernel = _kernel(width).to(signal.device)
        half = len(kernel) // 2
        shape = (1, 1, -1, 1) if axis == 0 else (1, 1, 1, -1)
        padding = (half, half, 0, 0) if axis else (0, 0, half, half)
        image = functional.conv2d(
            functional.pad(image, padding, mode="replicate"), kernel.reshape(shape)
        )
    return image[:, 0].clamp_min(0.0)


def _kernel(width: float) -> torch.Tensor:
    if width < 0:
        return torch.tensor([width, 1.0 - 2 * width, width])
    places = torch.arange(-3.0, 4.0)
    kernel = torch.exp(-0.5 * (places / max(width, 0.05)) ** 2)
    return kernel / kernel.sum()


def _with_noise(
    signal: torch.Tensor, sigma: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Return the magnitude of the signal with complex noise: Rician."""
    noise = torch.randn((2, *signal.shape), generator=generator, device=signal.device) * sigma
    return torch.hypot(signal + noise[0], noise[1])


def _graded(stored: torch.Tensor, scanner: Scanner) -> torch.Tensor:
    """Return brightness after clipping and gamma, as stored."""
    if scanner.scale is None:
        return stored
    white = _quantile(stored, 0.99).clamp_min(1e-6)
    shown = stored / white
    if scanner.clip < 1.0:
        shown = torch.minimum(shown, _quantile(shown, scanner.clip))
    if scanner.gamma != 1.0:
        shown = shown.pow(scanner.gamma)
    return shown * scanner.scale


def _quantile(values: torch.Tensor, share: float) -> torch.Tensor:
    """Return a quantile of every 8th value; it need not be exact."""
    sample = values.reshape(-1)[::8]
    place = min(int(share * len(sample)), len(sample) - 1)
    return sample.kthvalue(place + 1).values
