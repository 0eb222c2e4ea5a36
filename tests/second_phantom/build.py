"""From (seed, index) to a person: sizes, angles, degeneration, fat; millimetres and degrees.

Eighteen bones from T8 to the third of the coccyx; seventeen gaps between them. Means are from
published tables of morphometry (Panjabi 1992; Cook 2021; Been 2014 and others for the angles),
spread around one factor of size.
"""

from dataclasses import dataclass

import numpy as np

BONES = (
    *(f"T{n}" for n in range(8, 13)),
    *(f"L{n}" for n in range(1, 6)),
    *(f"S{n}" for n in range(1, 6)),
    *(f"Co{n}" for n in range(1, 4)),
)
T12, L1, L3, L5, S1, S2 = (BONES.index(name) for name in ("T12", "L1", "L3", "L5", "S1", "S2"))

HEIGHT = (20, 20.5, 21.5, 23, 24.5, 26, 27, 27.5, 27.5, 26.5, 28, 23.5, 20, 17, 14, 10, 8, 7)
WEDGE = (-4, -4, -3, -3, -4, -3, -1, 1, 3, 8, 6, -6, -10, -12, -12, -8, -8, -8)
DEPTH_TOP = (28, 29, 30, 31, 32, 33, 34, 34.5, 35, 35, 34, 21, 16, 12, 9, 8, 7, 6)
DEPTH_LOW = (28.5, 29.5, 30.5, 31.5, 32.5, 33.5, 34.5, 35, 35, 34, 22, 16.5, 12.5, 9.5, 7, 7, 6, 4)
WIDTH_TOP = (29, 31, 33, 37, 40, 42, 43.5, 45, 47, 49, 51, 36, 30, 26, 21, 14, 11, 9)
WIDTH_LOW = (30, 32, 36, 39, 42, 43.5, 45, 47, 49, 50, 38, 31, 27, 22, 16, 12, 9, 7)
GAP = (4, 4.2, 4.8, 5.6, 7, 8.2, 9.4, 10.3, 10.8, 9.6, 2.8, 1.0, 0.7, 0.7, 1.5, 1, 1)
BEND = (-4.5, -4.5, -4, -3, -1, 2, 6, 9.5, 13.5, 19, -9, -18, -22, -20, -14, -14, -14)
CANAL_DEPTH = (16, 16, 16, 16.5, 17, 17.5, 17, 16.5, 17, 17, 14.5, 11, 7, 5, 3, 1, 1, 1)
CANAL_WIDTH = (18, 18, 18, 19, 21, 23, 23.5, 24, 25, 27.5, 29, 22, 16, 12, 7, 1, 1, 1)


@dataclass(frozen=True)
class Build:
    """One person.

    Attributes:
        size: Factor of all lengths of bone.
        height, wedge, depth, width: (18,), (18,), (18, 2) and (18, 2), upper and lower plate.
        gap, bend: (17,) heights of discs, lordosis of each segment.
        lean: Pitch of L3. tilt, twist: (18,) to the side and about the long axis.
        slip: (17,) forwards of the upper bone. dent: (18,) depth of a plate's hollow.
        worn: (17,) 0 healthy to 1 worn. bulge: (17,) of the disc into the canal.
        canal: (18, 2) width and depth of the bony canal.
        conus, sac_end: Places along the column in bones from T8.
        fat: Behind the fascia. belly: Depth in front of L3. streaks: Share of fat in the muscle.
        sick: One of "", "fracture", "tumour", "haemangioma", and which bone.
        rest: (4,) share of the sacrum's depth that is left of each of its discs; 0 is none.
    """

    size: float
    height: np.ndarray
    wedge: np.ndarray
    depth: np.ndarray
    width: np.ndarray
    gap: np.ndarray
    bend: np.ndarray
    lean: float
    tilt: np.ndarray
    twist: np.ndarray
    slip: np.ndarray
    dent: np.ndarray
    worn: np.ndarray
    bulge: np.ndarray
    canal: np.ndarray
    conus: float
    sac_end: float
    fat: float
    belly: float
    streaks: float
    sick: tuple[str, int]
    rest: np.ndarray


def draw_build(rng):
    """Return a person drawn from `rng`."""
    male = rng.random() < 0.5
    size = rng.normal(1.04 if male else 0.95, 0.045)
    vary = lambda table, sd: np.array(table, float) * rng.normal(1, sd, len(table))  # noqa: E731
    depth = np.stack([DEPTH_TOP, DEPTH_LOW], 1) * size * rng.normal(1, 0.025, (18, 1))
    width = np.stack([WIDTH_TOP, WIDTH_LOW], 1) * size * rng.normal(1, 0.03, (18, 1))
    worn = _worn(rng)
    gap = vary(GAP, 0.1) * size * np.where(worn > 0.8, 1.25 - 0.9 * worn, 1.05 - 0.2 * worn)
    gap[S1] *= rng.uniform(0.4, 1.8)
    height, wedge = vary(HEIGHT, 0.03) * size, np.array(WEDGE) + rng.normal(0, 1.5, 18)
    sick = _sick(rng)
    if sick[0] == "fracture":
        wedge[sick[1]] -= rng.uniform(6, 20)
        height[sick[1]] *= rng.uniform(0.7, 0.92)
    tilt, twist = _curve(rng)
    canal = np.stack([CANAL_WIDTH, CANAL_DEPTH], 1) * rng.normal(1, 0.07) * size**0.5
    return Build(
        size=size,
        height=height,
        wedge=wedge,
        depth=depth,
        width=width,
        gap=np.maximum(gap, 0.4),
        bend=_bend(rng, sick),
        lean=rng.normal(0, 5),
        tilt=tilt,
        twist=twist,
        slip=_slip(rng),
        dent=rng.uniform(0.6, 2.0, 18) * (np.arange(18) < S1),
        worn=worn,
        bulge=_bulge(rng, worn),
        canal=canal,
        conus=np.clip(rng.normal(L1 + 0.1, 0.5), T12 - 0.3, L1 + 1.5),
        sac_end=np.clip(rng.normal(S2, 0.5), S1 + 0.1, S2 + 1),
        fat=float(np.exp(rng.normal(2.6, 0.55))),
        belly=rng.normal(105, 18) * size + rng.exponential(15),
        streaks=rng.beta(1.6, 4),
        sick=sick,
        rest=_rest(rng),
    )


def _rest(rng):
    """Return what is left of the sacral discs: S1/S2 none, some or all of its depth.

    The kinds are those of O'Driscoll (1996); the fourth, a whole lumbar disc, is left out.
    """
    kind = rng.choice(3, p=[0.2, 0.5, 0.3])
    first = (0.0, rng.uniform(0.35, 0.75), rng.uniform(0.85, 1.0))[kind]
    return np.array([first, *(rng.uniform(0, 0.8, 3) * (rng.random(3) < 0.7))])


def _worn(rng):
    lumbar = np.array([0.2, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.65, 0.65, 0.5])
    worn = np.full(17, 0.5)
    worn[:11] = np.clip(lumbar + rng.normal(0, 0.22) + rng.normal(0, 0.18, 11), 0, 1)
    return worn


def _bulge(rng, worn):
    amount = np.where(worn > 0.5, rng.gamma(1.6, 1.3, 17), rng.gamma(1.0, 0.4, 17))
    amount[S1:] = 0
    return np.minimum(amount, 6.5)


def _slip(rng):
    slip = rng.normal(0, 0.5, 17)
    slip[S1:] *= 0.3
    if rng.random() < 0.2:
        slip[rng.choice([L3, L5 - 1, L5], p=[0.2, 0.5, 0.3])] = rng.uniform(3, 9)
    if rng.random() < 0.12:
        slip[rng.integers(L1, L5)] = -rng.uniform(2, 4)
    return slip


def _bend(rng, sick):
    scale = np.full(17, max(0.25, rng.normal(0.95, 0.25)))
    scale[: T12 + 1] = rng.normal(1, 0.25)
    scale[S1:] = np.clip(rng.normal(1, 0.2), 0.5, 1.5)
    bend = np.array(BEND) * scale + rng.normal(0, 1.6, 17)
    if sick[0] == "fracture":
        bend[max(sick[1] - 1, 0) : sick[1] + 1] -= rng.uniform(2, 6)
    return bend


def _curve(rng):
    """Return tilt to the side and twist of each bone; every third person has a scoliosis."""
    bones = np.arange(18)
    cobb = rng.normal(0, 14) if rng.random() < 0.33 else rng.normal(0, 3)
    apex, reach = rng.uniform(5, 9), rng.uniform(3, 4.5)
    tilt = cobb / 2 * np.sin(np.clip((bones - apex) / reach, -1.3, 1.6) * np.pi / 2)
    tilt[S1:] = tilt[S1] * np.linspace(0.6, 0.1, len(tilt[S1:]))
    twist = -cobb * 0.45 * np.exp(-(((bones - apex) / reach) ** 2))
    return tilt + rng.normal(0, 0.8, 18), twist + rng.normal(0, 2.5) * (bones < S1)


def _sick(rng):
    kind = rng.choice(["", "fracture", "tumour", "haemangioma"], p=[0.62, 0.14, 0.08, 0.16])
    return str(kind), int(rng.integers(3, S1))
