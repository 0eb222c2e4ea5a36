"""Screen: is this a picture at all, and does it show a lumbar spine?

A model answers whatever it is given, so what it was not made for has to be kept from it. Each check
is a plain measure with a limit that lumbar studies stay far from:

    constant       all voxels are equal
    noise          means of 8 mm blocks vary no more than their voxels' noise would make them
    no structure   a plane or a bowl (a polynomial of second order) explains nearly everything
    not MR         many values far below zero, as air and fat are in CT
    no spine       no sagittal series has a band of fluid from top to bottom with something in front
                   of it that repeats every 24 to 48 mm (see `volspine.dicom.column`)

The last one keeps out heads, knees, necks and drawings. One sagittal series that shows a spine is
enough; a study without a sagittal series is not judged by it.
"""

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.column import clearest_column
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["CONSTANT", "why_no_lumbar_spine", "why_no_picture"]

CONSTANT = "it is a constant image"

MIN_STRUCTURE = 0.1
"""Least part of the variance that lies between 8 mm blocks; pictures have 0.6 and more."""

MAX_SMOOTH = 0.97
"""Most of the variance that a polynomial may explain; it explains half of a picture at most."""

MIN_BAND, MIN_REPEAT = 0.2, 0.5
"""Least contrast of the band of fluid, and least autocorrelation at the distance of the discs."""

_BLOCK_MM = 8.0
_CT_AIR, _CT_SHARE = -300.0, 0.02


def why_no_picture(series: Series) -> str | None:
    """Return why a series cannot be a picture of a patient made by MR; None if it may be.

    Raises:
        VolspineError: If its voxels cannot be decoded.
    """
    ranges = [(stack.voxels.min(), stack.voxels.max()) for stack in series.stacks]
    if min(low for low, _ in ranges) == max(high for _, high in ranges):
        return CONSTANT
    stack = max(series.stacks, key=lambda one: one.shape[2])
    image = np.asarray(stack.voxels[:, :, stack.shape[2] // 2], dtype=np.float64)
    if np.mean(image < _CT_AIR) > _CT_SHARE:
        return "its values go far below zero, as in CT"
    if image.std() == 0:
        return None  # One blank slice among others is no reason to doubt them.
    if _structure(image, stack) < MIN_STRUCTURE:
        return "it is noise"
    return "it is a smooth shade without structure" if _smoothness(image) > MAX_SMOOTH else None


def why_no_lumbar_spine(study: Study) -> str | None:
    """Return why a study does not show a lumbar spine; None if it does, or has no sagittal series.

    Raises:
        VolspineError: If voxels cannot be decoded.
    """
    reasons = [
        _why_not_lumbar(series, is_bright=protocol is Protocol.SAGITTAL_T2)
        for protocol in (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2)
        for series in study.by_protocol(protocol)
    ]
    if not reasons or None in reasons:
        return None
    return f"no lumbar spine is seen in its sagittal series: {reasons[-1]}"


def _why_not_lumbar(series: Series, *, is_bright: bool) -> str | None:
    stack = max(series.stacks, key=lambda one: one.shape[2])
    column = clearest_column(stack, is_bright=is_bright)
    if column.band < MIN_BAND:
        return "no band of fluid runs through it from top to bottom"
    if column.repeat < MIN_REPEAT:
        return "nothing in front of the canal repeats as vertebrae and discs do"
    if not column.is_lumbar:
        return (
            f"what looks like vertebrae repeats every {column.period_mm:.0f} mm, too short for a "
            "lumbar spine"
        )
    return None


def _structure(image: FloatArray, stack: Stack) -> float:
    """Return the part of the variance that lies between blocks, less what noise would put there."""
    size = [max(2, round(_BLOCK_MM / float(mm))) for mm in stack.spacing_mm[:2]]
    across, down = (max(n // block, 1) for n, block in zip(image.shape, size, strict=True))
    cut = image[: across * size[0], : down * size[1]]
    if cut.shape != (across * size[0], down * size[1]) or across * down < 4:
        return 1.0  # Too small to judge.
    means = cut.reshape(across, size[0], down, size[1]).mean(axis=(1, 3))
    by_chance = 1.0 / (size[0] * size[1])
    share = float(means.var()) / max(float(cut.var()), 1e-30)
    return (share - by_chance) / (1.0 - by_chance)


def _smoothness(image: FloatArray) -> float:
    """Return the part of the variance that a polynomial of second order explains."""
    u, v = np.meshgrid(*(np.linspace(-1.0, 1.0, n) for n in image.shape), indexing="ij")
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=-1).reshape(-1, 6)
    values = image.ravel()
    fit = terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return 1.0 - float(np.var(values - fit)) / float(np.var(values))
