"""People for a localizer: anatomy that differs more widely than that of any cohort.

spec -> subject with distractors -> strained subject -> narrowings -> anatomy

A localizer taught by synthetic pictures holds on real ones only where its anatomy varied more than
theirs. The subject of a spec is therefore strained further, from a random stream of its own, so the
pictures of the cohorts stay what they are: other proportions, lordosis and curves to the side,
slipped, collapsed and wedged vertebrae, low discs, fat of any thickness under the skin, and sacra
of any shape, fused anywhere between wholly and hardly, since the sacrum is what levels are named
by. What lies beside the spine, and the end of the cord, lie higher or lower than usual, since a
network would otherwise name levels by where the aorta divides, which is no more than a hint.

Shapes: K = 15 vertebrae, K - 1 discs.
"""

from dataclasses import replace

import numpy as np

from volspine.anatomy import TARGETS
from volspine.phantom.anatomy import Anatomy, assemble
from volspine.phantom.distractors import distract
from volspine.phantom.frame import FIRST_SEGMENT, Frame
from volspine.phantom.labels import draw_severity
from volspine.phantom.lesions import draw_lesions
from volspine.phantom.narrowing import narrow
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.subject import Subject, draw_subject, open_behind
from volspine.phantom.targets import draw_measures, measure_of, wanted
from volspine.phantom.truth import SHIFT_SPREAD
from volspine.types import FloatArray

__all__ = ["RATES", "is_plain", "map_stream", "proportioned", "strain", "varied_anatomy"]

RATES = {"scoliosis": 0.30, "slip": 0.15, "fracture": 0.15, "collapse": 0.30, "transition": 0.06}
"""Share of people with each; choices, far above what is usual."""

_L5_S1 = FIRST_SEGMENT + 4

_APART_MM = 3.0
"""Least distance between the planes of two vertebrae near the spine."""

_STREAM = 0x4D4150
"""Tells this stream from those of the stages."""


def map_stream(spec: Spec) -> np.random.Generator:
    """Return the random stream of what is strained; no stage of the phantom draws from it."""
    cohort = list(Cohort).index(spec.cohort)
    return np.random.default_rng([spec.seed, cohort, spec.anatomy_index, _STREAM])


def varied_anatomy(spec: Spec) -> Anatomy:
    """Return the anatomy of one person for a localizer; the same at every call.

    Of the people that are drawn, the first whose spine `is_plain` is taken.
    """
    rng = map_stream(spec)
    while True:
        anatomy = _draw(spec, rng)
        if is_plain(anatomy.frame):
            return anatomy


def is_plain(frame: Frame) -> bool:
    """Tell whether no two vertebrae's planes cross near the spine, from T8 to S1.

    Where a spine bends too much they do, and the frame folds: points are then taken for parts of
    another vertebra than the one they lie beside.
    """
    back = np.stack([np.cos(frame.tilts), -np.sin(frame.tilts)], axis=1)
    depths = np.array([-22.0, 18.0, 45.0])
    points = frame.centres_mm[: _L5_S1 + 2, None] + depths[:, None] * back[: _L5_S1 + 2, None]
    offset = (frame.normals * frame.centres_mm).sum(axis=1)
    height = points @ frame.normals.T - offset
    own, other = np.arange(len(points))[:, None, None], np.arange(len(offset))
    right = np.where(other < own, height < -_APART_MM, height > _APART_MM)
    return bool(np.all(right | (other == own)))


def _draw(spec: Spec, rng: np.random.Generator) -> Anatomy:
    if spec.cohort is Cohort.PROBE:
        measures = draw_measures(rng.integers(0, 3, len(TARGETS)), rng)
    else:
        measures = measure_of(draw_severity(rng, 1)[0])
    spread = SHIFT_SPREAD if spec.cohort is Cohort.SHIFT else 1.0
    subject = draw_subject(rng, float(rng.normal(0.2, 0.8)), 1.0, spread=spread)
    subject = distract(subject, rng, transitional=rng.random() < RATES["transition"])
    subject = strain(proportioned(subject, rng), rng)
    lesions = draw_lesions(subject, rng) if spec.distractors else None
    return assemble(subject, narrow(subject, wanted(measures), rng), lesions)


def proportioned(subject: Subject, rng: np.random.Generator) -> Subject:
    """Return the subject with every length and angle varied, the sacrum also as a whole.

    In some people discs are as wet or dry as chance will have it, whatever their level.
    """
    k = len(subject.heights)
    lowest = np.clip(np.arange(k) - (FIRST_SEGMENT + 1), 0, 4)
    sacrum = np.arange(k) > _L5_S1
    tall = np.exp(rng.normal(0, 0.06, k) + rng.normal(0, 0.04) * lowest)
    deep, wide, high = np.exp(np.outer(rng.normal(0, 0.1, 3), sacrum))
    thick = np.exp(rng.normal(0, 0.15, k - 1) + rng.normal(0, 0.06) * lowest[:-1])
    bends = np.deg2rad(rng.normal(0, 2.5, k - 1))
    bends[_L5_S1 - 1 : _L5_S1 + 3] += np.deg2rad(rng.normal(0, 4.0, 4))
    at_will, wet = rng.random() < 0.4, rng.uniform(0.05, 1.0, _L5_S1 + 1)
    hydration = subject.hydration.copy()
    if at_will:
        hydration[: _L5_S1 + 1] = wet
    return replace(
        subject,
        heights=subject.heights * tall * high,
        depths=subject.depths * deep,
        widths=subject.widths * wide,
        discs=subject.discs * thick,
        bends=subject.bends + bends,
        hydration=hydration,
    )


def strain(subject: Subject, rng: np.random.Generator) -> Subject:
    """Return the subject, bent, worn, broken, slipped and fused."""
    wedges, heights, kyphosis = _fractured(subject, rng)
    bends = subject.bends - kyphosis + _more_lordosis(subject, rng)
    changed = _fused(
        replace(
            subject,
            heights=heights,
            wedges=wedges,
            bends=bends,
            discs=subject.discs * _collapsed(len(subject.discs), rng),
            slips=_slipped(subject.slips, rng),
            sway=_swayed(subject.sway, rng),
            pitch=subject.pitch + float(np.deg2rad(rng.normal(0, 4.0))),
            dorsal_fat=float(np.exp(rng.uniform(np.log(3.0), np.log(65.0)))),
            canal_depths=subject.canal_depths * float(np.exp(rng.normal(0, 0.06))),
        ),
        rng,
    )
    return _raised(replace(changed, bends=open_behind(changed)), rng)


def _raised(subject: Subject, rng: np.random.Generator) -> Subject:
    """Raise or lower vessels, kidneys, iliac bones and cord; in a third, vessels by anything."""
    vessels, kidneys, ilium = rng.normal(0, 1, 3) * np.array([20.0, 25.0, 9.0])
    anywhere, found = rng.uniform(-90.0, 60.0), rng.random() < 0.33
    conus = float(rng.uniform(3.5, 7.5))
    raised = (anywhere if found else float(vessels), float(kidneys), float(ilium))
    return replace(subject, raised=raised, conus=conus)


def _more_lordosis(subject: Subject, rng: np.random.Generator) -> FloatArray:
    """What takes the curve down to L5/S1 to N(1, 0.3) of itself, the sacrum's to N(1, 0.3)."""
    lumbar = float(np.clip(rng.normal(1.0, 0.3), 0.2, 1.7))
    sacral = float(np.clip(rng.normal(1.0, 0.3), 0.3, 1.5))
    factor = np.where(np.arange(len(subject.bends)) <= _L5_S1, lumbar, sacral)
    return np.asarray((factor - 1.0) * subject.bends)


def _fractured(
    subject: Subject, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Wedge one or two vertebrae, T10 to L4; return wedges, heights and kyphosis of segments."""
    wedges, heights = subject.wedges.copy(), subject.heights.copy()
    kyphosis = np.zeros(len(subject.bends))
    count = int(rng.integers(1, 3)) if rng.random() < RATES["fracture"] else 0
    places = rng.choice(np.arange(2, 9), 2, replace=False)
    losses, front = rng.uniform(0.08, 0.4, 2), rng.uniform(0.2, 1.0, 2)
    for place, loss, share in zip(places[:count], losses, front, strict=False):
        angle = 2.0 * loss * share * heights[place] / subject.depths[place] * 0.5
        heights[place] *= 1.0 - loss * (1.0 - 0.5 * share)
        wedges[place] -= angle
        kyphosis[place - 1 : place + 1] += angle / 2
    return wedges, heights, kyphosis


def _collapsed(count: int, rng: np.random.Generator) -> FloatArray:
    """Share of its height that each disc keeps: up to three lumbar ones lose most."""
    found, many = rng.random() < RATES["collapse"], int(rng.integers(1, 4))
    places = rng.choice(np.arange(FIRST_SEGMENT - 1, FIRST_SEGMENT + 5), 3, replace=False)
    kept = np.ones(count)
    kept[places[:many]] = rng.uniform(0.3, 0.7, 3)[:many]
    return kept if found else np.ones(count)


def _slipped(slips: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Slip one lumbar vertebra forwards by 3 to 12 mm."""
    found, size = rng.random() < RATES["slip"], rng.uniform(3.0, 12.0)
    place = FIRST_SEGMENT + int(rng.choice([2, 3, 4], p=[0.2, 0.4, 0.4]))
    changed = slips.copy()
    if found:
        changed[place] = size
    return changed


def _fused(subject: Subject, rng: np.random.Generator) -> Subject:
    """Leave anything from nothing to a flat disc between S1 and S2, less below, and bend there.

    A transitional vertebra keeps the disc that makes it one.
    """
    first = _L5_S1 + 1
    kept = np.exp(rng.uniform(np.log(0.1), np.log(1.6)))
    below = rng.uniform(0.1, 1.0)
    wet, bend = rng.uniform(0.0, 0.5), np.deg2rad(rng.normal(0.0, 4.0))
    if subject.transition:
        return subject
    discs, hydration, bends = (
        values.copy() for values in (subject.discs, subject.hydration, subject.bends)
    )
    discs[first] *= kept
    discs[first + 1 :] *= below
    hydration[first] = wet
    bends[first] += bend
    return replace(subject, discs=discs, hydration=hydration, bends=bends)


def _swayed(
    sway: tuple[float, float, float], rng: np.random.Generator
) -> tuple[float, float, float]:
    """A curve to the side of 10 to 40 degrees in some; the amplitude follows from its angle."""
    cobb = np.deg2rad(rng.uniform(10.0, 40.0)) * rng.choice([-1.0, 1.0])
    period, phase = float(rng.uniform(240.0, 420.0)), float(rng.uniform(0, 2 * np.pi))
    if rng.random() >= RATES["scoliosis"]:
        return sway
    return float(np.tan(cobb / 2) * period / (2 * np.pi)), phase, period
