"""Artefacts: what goes wrong while a series is acquired, from noise-free images to marred ones.

Chances of a series: motion ghosts 15 %, flow voids and pulsation of fluid on T2 25 %, a visible
chemical shift of fat 30 %, wrap-around 5 %, cross-talk between slices 5 %. Poor signal (3 %), the
saturation band and the coil belong to `protocols` and `acquire`; metal is not simulated. Only the
cohorts `rsna_like` and `shift` have artefacts: `probe` and `pairs` have noise, coil and saturation
band alone, so that no fault hides behind them, and `clean` has none of these.

None moves water, so landmarks stay true. Fat moves along the read axis by at most one pixel, which
is its frequency (220 Hz at 1.5 T) over the bandwidth of a pixel:

    I(r) = W(r) + F(r - df / bw)

Shapes: N slices, H rows, W columns (acquired). Axis 0 runs down a column, axis 1 along a row.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from volspine.phantom.anatomy import Anatomy
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import pixel_offsets, render_layers
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.tissues import Tissue, fat_signals, relaxation, signals
from volspine.types import FloatArray

__all__ = [
    "Artefacts",
    "Void",
    "cross_talk",
    "darken_fluid",
    "draw_artefacts",
    "fold",
    "ghost",
    "render_marred",
    "shift_fat",
]

Images = NDArray[np.float32]

_ALONG_MM, _BEHIND_MM = (8.0, 22.0), (22.0, 32.0)


@dataclass(frozen=True)
class Void:
    """Where moving fluid gives less signal: an ellipsoid with soft edges.

    Attributes:
        centre_mm: (3,), body frame.
        radius_mm: To the sides, and front to back.
        reach_mm: Along the spine.
        depth: Share of the fluid's signal that is lost in the middle.
    """

    centre_mm: FloatArray
    radius_mm: float
    reach_mm: float
    depth: float


@dataclass(frozen=True)
class Artefacts:
    """What mars one series.

    Attributes:
        ghosts: Copies of what moves: (share of the field, signed strength).
        pulses: Copies of fluid alone.
        voids: In the sac.
        fat_shift: Of fat along the read axis, acquired pixels.
        lost: Share of the signal that every second slice loses.
        fold: Share of the field folded over its edges, and how strongly.
    """

    ghosts: tuple[tuple[float, float], ...] = ()
    pulses: tuple[tuple[float, float], ...] = ()
    voids: tuple[Void, ...] = ()
    fat_shift: float = 0.0
    lost: float = 0.0
    fold: tuple[float, float] = (0.0, 0.0)

    @property
    def needs_fluid(self) -> bool:
        """Whether fluid has to be painted apart."""
        return bool(self.pulses or self.voids)


def draw_artefacts(
    rng: np.random.Generator, spec: Spec, plan: SeriesPlan, anatomy: Anatomy
) -> Artefacts:
    """Draw the artefacts of one series; the cohorts without any still use up their draws."""
    chances = rng.random(5)
    ghosts = _ghosts(rng, int(rng.integers(2, 5)), (0.02, 0.10))
    pulses = _ghosts(rng, 2, (0.03, 0.12))
    voids = [_draw_void(rng) for _ in range(int(rng.integers(2, 7)))]
    shift = float(rng.uniform(0.4, 1.0) * rng.choice([-1.0, 1.0]))
    folded = (float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.15, 0.45)))
    if spec.cohort not in (Cohort.RSNA_LIKE, Cohort.SHIFT):
        return Artefacts()
    flowing = chances[1] < 0.25 and plan.sequence.name != "T1"
    return Artefacts(
        ghosts=ghosts if chances[0] < 0.15 else (),
        pulses=pulses if flowing else (),
        voids=tuple(_void(anatomy, *drawn) for drawn in voids) if flowing else (),
        fat_shift=shift if chances[2] < 0.30 else 0.0,
        lost=0.08 if chances[3] < 0.05 else 0.0,
        fold=folded if chances[4] < 0.05 else (0.0, 0.0),
    )


def _ghosts(
    rng: np.random.Generator, count: int, strength: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    """Evenly spaced copies that fade; each has a phase of its own against the image."""
    step, first = rng.uniform(0.11, 0.3), rng.uniform(*strength)
    phases = np.cos(rng.uniform(0, 2 * np.pi, count))
    return tuple(
        (float(step * (n // 2 + 1) * (-1) ** n), float(first * 0.7 ** (n // 2) * phases[n]))
        for n in range(count)
    )


def _draw_void(rng: np.random.Generator) -> tuple[float, ...]:
    """Draw place along the spine, depth, place to the left, radius, reach and strength."""
    place, behind = rng.uniform(4.0, 9.5), rng.uniform(*_BEHIND_MM)
    left, radius, reach = rng.normal(0, 3.0), rng.uniform(2.0, 4.5), rng.uniform(*_ALONG_MM)
    return place, behind, left, radius, reach, rng.uniform(0.2, 0.8)


def _void(anatomy: Anatomy, place: float, behind: float, *shape: float) -> Void:
    """Place a void: mostly behind the cord and the cauda equina, between T12 and L5."""
    left, radius, reach, depth = shape
    y, z = anatomy.frame.locate(int(place), place % 1.0, behind)
    return Void(np.array([left, y, z]), radius, reach, depth)


def render_marred(
    anatomy: Anatomy, plans: list[SeriesPlan], found: list[Artefacts], *, at_once: int = 0
) -> list[Images]:
    """Render series that share their slices, each with its artefacts, noise-free.

    Args:
        anatomy: Whose spine.
        plans: One plan a sequence, as for `render_series`.
        found: One a plan.
        at_once: See `render_layers`.

    Returns:
        One array a plan, shape (N, H, W).
    """
    table = relaxation(anatomy.subject.marrow_fat, anatomy.subject.jitter)
    rows = [signals(table, plan.sequence) for plan in plans]
    fluid = np.arange(len(Tissue)) == Tissue.CSF
    extra = {"fat": any(a.fat_shift for a in found), "fluid": any(a.needs_fluid for a in found)}
    rows += [row.astype(np.float64) for name, row in (("fat", table[:, 3]), ("fluid", fluid))
             if extra[name]]  # fmt: skip
    painted = render_layers(anatomy, plans[0], np.array(rows), at_once=at_once)
    layers = dict(zip([n for n in extra if extra[n]], painted[len(plans) :], strict=True))
    for images, plan, marred in zip(painted, plans, found, strict=False):
        gains = plan.sequence.gains or (1.0,) * len(Tissue)
        fat = fat_signals(table, plan.sequence)[Tissue.FAT] * gains[Tissue.FAT]
        water = signals(table, plan.sequence)[Tissue.CSF]
        if marred.fat_shift:
            shift_fat(
                images, layers["fat"] * np.float32(fat), marred.fat_shift, 1 - plan.phase_axis
            )
        if marred.needs_fluid:
            moving = layers["fluid"] * np.float32(water)
            darken_fluid(images, moving, plan, marred.voids)
            ghost(images, moving, marred.pulses, plan.phase_axis)
        _mar(images, plan, marred)
    return list(painted[: len(plans)])


def _mar(images: Images, plan: SeriesPlan, marred: Artefacts) -> None:
    """Apply what needs no layer of its own, in place."""
    if marred.ghosts:
        ghost(images, images * _motion(plan), marred.ghosts, plan.phase_axis)
    if marred.lost:
        cross_talk(images, plan.stacks, marred.lost)
    if marred.fold[1]:
        fold(images, plan.phase_axis, *marred.fold)


def _motion(plan: SeriesPlan) -> Images:
    """How much of what is there moves with breath: all in front, a fifth behind; (1, H or W)."""
    ramp = np.linspace(1.0, 0.2, plan.acquired[1 if plan.is_sagittal else 0], dtype=np.float32)
    return ramp[None, :] if plan.is_sagittal else ramp[:, None]


def shift_fat(images: Images, fat: Images, pixels: float, axis: int) -> None:
    """Move the part of the images that is fat's along an axis, in place; signals stay positive."""
    whole = int(np.floor(pixels))
    share = np.float32(pixels - whole)
    images -= fat
    images += (1 - share) * _moved(fat, whole, axis) + share * _moved(fat, whole + 1, axis)
    np.maximum(images, 0.0, out=images)


def _moved(images: Images, pixels: int, axis: int) -> Images:
    """Move images by whole pixels; what comes in from beyond the field repeats its edge."""
    side = images.shape[1 + axis]
    source = np.clip(np.arange(side) - pixels, 0, side - 1)
    return np.take(images, source, axis=1 + axis)


def ghost(
    images: Images, source: Images, copies: tuple[tuple[float, float], ...], axis: int
) -> None:
    """Add faint copies of what moves along the phase axis, in place; they fold over the edges."""
    for share, strength in copies:
        pixels = round(share * images.shape[1 + axis])
        images += np.float32(strength) * np.roll(source, pixels, axis=1 + axis)
    np.maximum(images, 0.0, out=images)


def darken_fluid(images: Images, fluid: Images, plan: SeriesPlan, voids: tuple[Void, ...]) -> None:
    """Take signal of moving fluid away, in place.

    Args:
        images: Shape (N, H, W).
        fluid: The part of the images that is fluid's, same shape.
        plan: Where the pixels lie.
        voids: Where fluid moves.
    """
    rows, columns = pixel_offsets(plan)
    for index in range(len(images)):
        for void in voids:
            across, down = plan.axes(index)
            offset = void.centre_mm - plan.centres_mm[index]
            reach = (void.reach_mm, void.radius_mm)
            along, through = reach if plan.is_sagittal else reach[::-1]
            away = float(offset @ plan.normal(index)) / through
            if abs(away) > 2.5:
                continue
            height = _bell(rows - offset @ down, along) * np.float32(np.exp(-0.5 * away**2))
            width = _bell(columns - offset @ across, void.radius_mm)
            weight = np.float32(void.depth) * height[:, None] * width
            images[index] -= weight * fluid[index]
            fluid[index] *= 1 - weight


def _bell(away: FloatArray, width: float) -> NDArray[np.float32]:
    return np.exp(-0.5 * (away / width) ** 2).astype(np.float32)


def cross_talk(images: Images, stacks: tuple[int, ...], lost: float) -> None:
    """Darken every second slice of each stack, in place: its neighbours have excited it already."""
    count: dict[int, int] = {}
    for index, stack in enumerate(stacks):
        count[stack] = count.get(stack, -1) + 1
        if count[stack] % 2:
            images[index] *= np.float32(1.0 - lost)


def fold(images: Images, axis: int, share: float, strength: float) -> None:
    """Fold what lies beyond the field's ends over the opposite edges, in place.

    What lies there is not painted: the strip inside the edge stands for it, mirrored, as tissue
    goes on. It fades with the distance from the coil, and the middle of the field stays as it is.
    """
    view = np.moveaxis(images, 1 + axis, 1)
    width = round(share * view.shape[1])
    fading = np.linspace(strength, 0.0, width, dtype=np.float32)[:, None]
    first, last = view[:, :width].copy(), view[:, -width:][:, ::-1].copy()
    view[:, :width] += fading * last
    view[:, -width:] += (fading * first)[:, ::-1]
