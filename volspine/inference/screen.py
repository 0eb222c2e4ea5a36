"""Screen: is this a picture at all, and does it show a lumbar spine?

A model answers whatever it is given, so what it was not made for has to be kept from it. Each check
is a plain measure with a limit that lumbar studies stay far from:

    constant       all voxels are equal
    noise          means of 8 mm blocks vary no more than their voxels' noise would make them
    no structure   a plane or a bowl (a polynomial of second order) explains nearly everything
    not MR         many values far below zero, as air and fat are in CT
    no spine       no sagittal series has a band of fluid from top to bottom with something in front
                   of it that repeats every 24 to 48 mm (see `volspine.dicom.column`)

The last one keeps out heads, knees and necks. To refuse a lumbar study is worse than to doubt
another one, so there are two limits. With

    likeness = min(band / 0.2, repeat / 0.5)        of the sagittal series that is most like a spine

a study below 0.45 is refused (0.3 if its header names the lumbar spine), one from 1 on is not
doubted, and what lies between is graded with a warning; unless T1 and T2 are both there and show no
band that is dark in the one and bright in the other, or what repeats does so as in a neck.
A study without a sagittal series is not judged by it.
"""

from typing import NamedTuple

import numpy as np

from volspine.anatomy import Protocol
from volspine.dicom.column import Column, clearest_column
from volspine.dicom.contrast import fluid_difference
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = [
    "CONSTANT",
    "Judgement",
    "judge_spine",
    "likeness",
    "why_no_lumbar_spine",
    "why_no_picture",
]

CONSTANT = "it is a constant image"

MIN_STRUCTURE = 0.1
"""Least part of the variance that lies between 8 mm blocks; pictures have 0.6 and more."""

MAX_SMOOTH = 0.97
"""Most of the variance that a polynomial may explain; it explains half of a picture at most."""

CLEAR_BAND, CLEAR_REPEAT = 0.2, 0.5
"""Contrast of the band of fluid, and autocorrelation in front of it, without doubt."""

MIN_LIKENESS, MIN_NAMED_LIKENESS = 0.45, 0.3
"""Below the first a study is refused; below the second if its header names the lumbar spine."""

MIN_DIFFERENCE = 0.1
"""Least difference of the fluid of T1 and T2 (`fluid_difference`) that speaks for a spine."""

NECK_MM, NECK_REPEAT = 22.0, 0.6
"""What repeats so clearly at no more than this distance is no lumbar spine."""

_BLOCK_MM = 8.0
_CT_AIR, _CT_SHARE = -300.0, 0.02
_NOT_SEEN = "no lumbar spine is seen in its sagittal series"


class Judgement(NamedTuple):
    """Whether a study may be graded; both are empty where nothing speaks against it.

    Attributes:
        refusal: Why it shows no lumbar spine.
        warning: Why that is in doubt.
    """

    refusal: str = ""
    warning: str = ""


def why_no_picture(series: Series) -> str | None:
    """Return why a series cannot be a picture of a patient made by MR; None if it may be.

    Raises:
        VolspineError: If its voxels cannot be decoded.
    """
    ranges = [(stack.voxels.min(), stack.voxels.max()) for stack in series.stacks]
    if min(low for low, _ in ranges) == max(high for _, high in ranges):
        return CONSTANT
    stack = _largest(series)
    image = np.asarray(stack.voxels[:, :, stack.shape[2] // 2], dtype=np.float64)
    if np.mean(image < _CT_AIR) > _CT_SHARE:
        return "its values go far below zero, as in CT"
    if image.std() == 0:
        return None  # One blank slice among others is no reason to doubt them.
    if _structure(image, stack) < MIN_STRUCTURE:
        return "it is noise"
    return "it is a smooth shade without structure" if _smoothness(image) > MAX_SMOOTH else None


def why_no_lumbar_spine(study: Study) -> str | None:
    """Return why a study does not show a lumbar spine; None if it may, or has no sagittal series.

    Raises:
        VolspineError: If voxels cannot be decoded.
    """
    return judge_spine(study).refusal or None


def judge_spine(study: Study) -> Judgement:
    """Return whether a study shows a lumbar spine, as far as its sagittal series tell.

    Raises:
        VolspineError: If voxels cannot be decoded.
    """
    series = [*study.by_protocol(Protocol.SAGITTAL_T1), *study.by_protocol(Protocol.SAGITTAL_T2)]
    columns = [_column(one) for one in series]
    if not columns or any(likeness(c) >= 1 and c.is_lumbar for c in columns):
        return Judgement()
    best = max(columns, key=likeness)
    is_named = any(one.names_lumbar for one in series)
    least = MIN_NAMED_LIKENESS if is_named else MIN_LIKENESS
    why = _why_not(best)
    if likeness(best) < least or (not is_named and _is_something_else(study, columns)):
        return Judgement(refusal=f"{_NOT_SEEN}: {why}")
    return Judgement(warning=f"This may not be a lumbar spine: {why}. Look at the images.")


def likeness(column: Column) -> float:
    """Return how much like a spine a series looks: 1 is enough not to doubt it."""
    return min(column.band / CLEAR_BAND, column.repeat / CLEAR_REPEAT)


def _column(series: Series) -> Column:
    is_bright = series.protocol is Protocol.SAGITTAL_T2
    return clearest_column(_largest(series), is_bright=is_bright)


def _is_something_else(study: Study, columns: list[Column]) -> bool:
    """Return whether more than a weak column speaks against a lumbar spine."""
    if all(c.period_mm <= NECK_MM and c.repeat >= NECK_REPEAT for c in columns):
        return True
    t1, t2 = (study.by_protocol(p) for p in (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2))
    found = [fluid_difference(_largest(b), _largest(a)) for a in t1 for b in t2]
    return bool(found) and max(found) < MIN_DIFFERENCE


def _why_not(column: Column) -> str:
    if column.band < CLEAR_BAND:
        return "no band of fluid runs clearly through it from top to bottom"
    if column.repeat < CLEAR_REPEAT:
        return "nothing in front of the canal repeats clearly as vertebrae and discs do"
    return (
        f"what looks like vertebrae repeats every {column.period_mm:.0f} mm, too short for a "
        "lumbar spine"
    )


def _largest(series: Series) -> Stack:
    return max(series.stacks, key=lambda stack: stack.shape[2])


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
