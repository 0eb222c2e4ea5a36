"""Distractors of the person: what a worn spine shows beside its narrowings, and no grade follows.

Slipped vertebrae, low discs, uneven facets, swollen facet joints, much epidural fat and, on
request, a transitional vertebra change the subject before the narrowings are solved; the narrowings
then reach the same measures in the changed spine. Without them a model could learn, say, that a low
disc means a narrow foramen.

Frequencies are choices near those in print: degenerative slip in 8 % of women and 3 % of men over
50 (Jacobsen 2007), mostly at L4/L5; tropism above 7 degrees in about a fifth; effusions and
lipomatosis are priors.
"""

from dataclasses import replace

import numpy as np

from volspine.phantom.frame import FIRST_SEGMENT
from volspine.phantom.subject import Subject, open_behind
from volspine.types import FloatArray

__all__ = ["RATES", "SLIP_RATES", "distract"]

SLIP_RATES = (0.05, 0.11)
"""Share of men and of women of 57 with a forward slip; it grows with age."""

RATES = {
    "back_slip": 0.06,
    "lipomatosis": 0.06,
    "tropism": 0.20,
    "low_disc": 0.15,
    "effusion": 0.12,
}
"""Share of subjects, or of graded segments for tropism, low discs and effusions (of joints)."""

_GRADED = slice(FIRST_SEGMENT, FIRST_SEGMENT + 5)


def distract(subject: Subject, rng: np.random.Generator, *, transitional: bool = False) -> Subject:
    """Return the subject with distractors drawn at their frequencies.

    Args:
        subject: A person without any.
        rng: Stream of the lesion stage; as many numbers are drawn whatever is found.
        transitional: Make the last lumbar or the first sacral vertebra ambiguous.
    """
    kind = 1 if rng.random() < 0.5 else -1
    changed = replace(
        subject,
        slips=_slips(subject, rng),
        sac_areas=subject.sac_areas * _fat_share(len(subject.heights), rng),
        facet_angles=subject.facet_angles + _tropism(len(subject.discs), rng),
        discs=subject.discs * _lowered(len(subject.discs), rng),
        joints=subject.joints + _effusion(subject.joints.shape, rng),
    )
    changed = _transitional(changed, kind) if transitional else changed
    return replace(changed, bends=open_behind(changed))


def _slips(subject: Subject, rng: np.random.Generator) -> FloatArray:
    """Forward slips of 2 to 6 mm, mostly at L4/L5; small backward ones above and below."""
    chance = SLIP_RATES[int(subject.female)] * np.clip((subject.age - 30) / 27, 0.0, 2.0)
    slips = np.zeros(len(subject.discs))
    place = int(rng.choice([2, 3, 4], p=[0.17, 0.70, 0.13]))
    found, back = rng.random(2) < (chance, RATES["back_slip"])
    size, small = rng.uniform(2.0, 6.0), rng.uniform(1.0, 3.0)
    other = int(rng.choice([1, 2, 4]))
    slips[FIRST_SEGMENT + other] = -small if back else 0.0
    if found:
        slips[FIRST_SEGMENT + place] = size
    return slips


def _fat_share(count: int, rng: np.random.Generator) -> FloatArray:
    """Epidural fat takes up to 40 % of the sac's room, from L3 downwards."""
    found, share = rng.random() < RATES["lipomatosis"], rng.uniform(0.6, 0.8)
    low = np.clip((np.arange(count) - FIRST_SEGMENT) / 3, 0.0, 1.0)
    return np.asarray(1.0 - (1.0 - share) * low if found else np.ones(count))


def _tropism(count: int, rng: np.random.Generator) -> FloatArray:
    """One side's joint turns more than the other's by 7 to 18 degrees."""
    found = rng.random(count) < RATES["tropism"]
    turn = np.deg2rad(rng.uniform(7, 18, count)) * rng.choice([-0.5, 0.5], count)
    return np.asarray((found * turn)[:, None] * np.array([1.0, -1.0]))


def _lowered(count: int, rng: np.random.Generator) -> FloatArray:
    """Discs that have lost 20 to 50 % of their height, whatever the canal."""
    found, share = rng.random(count) < RATES["low_disc"], rng.uniform(0.5, 0.8, count)
    graded = np.zeros(count, dtype=bool)
    graded[_GRADED] = True
    return np.where(found & graded, share, 1.0)


def _effusion(shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    found, width = rng.random(shape) < RATES["effusion"], rng.uniform(0.8, 2.4, shape)
    return np.where(found, width, 0.0)


def _transitional(subject: Subject, kind: int) -> Subject:
    """Give S1 a disc of its own, or fuse L5 to the sacrum; names stay as they were counted."""
    last = FIRST_SEGMENT + 4
    discs, bends, hydration = subject.discs.copy(), subject.bends.copy(), subject.hydration.copy()
    widths = subject.widths.copy()
    if kind > 0:
        discs[last + 1] = max(0.75 * discs[last], 6.5)
        bends[last + 1], hydration[last + 1] = np.deg2rad(6.0), 0.7
        bends[last] *= 0.7
    else:
        discs[last] *= 0.45
        bends[last] *= 0.6
        hydration[last] = 0.1
        widths[last] *= 1.08
    return replace(
        subject, discs=discs, bends=bends, hydration=hydration, widths=widths, transition=kind
    )
