"""Chain: candidate places -> which disc each of them is, in order from T12/L1 down to S1/S2.

A hidden Markov model runs down the seven discs. At each disc it is in one of these states:

    above      the disc lies above the view; so does every disc before it
    at n       the disc is at candidate n
    skip n     the disc is not seen, the one before it was at candidate n
    below      the disc lies below the view; so does every disc after it

With v how likely a disc is in view, the score is the sum of, for a disc at n,

    log p_disc(near n) + log(p_any(n) + .02) + log v,

for one that is nowhere, a constant + log(1 - v); for each step down from n to m, log N(|n - m|;
36, 7) mm (less at either end of the chain), with m strictly below n; and where the view begins or
ends inside the chain, how likely the next disc lies outside of what was measured. The best chain is
found by Viterbi's recursion; how sure each name is by the forward-backward recursion, with all
scores times a factor below 1, because the votes of one network are not independent.

Shapes:
    D  7 discs    N  candidates    S = 2 N + 2  states: above, at 0.., skip 0.., below
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, logsumexp

from volspine.errors import GeometryError
from volspine.landmarks import CHAIN
from volspine.types import BoolArray, FloatArray, IntArray

__all__ = ["Candidates", "Named", "Rules", "name_discs"]

ABSENT = -1
_NEVER = -1e9


@dataclass(frozen=True)
class Rules:
    """What is known of chains of discs before any picture is seen.

    The scores and the temperature were chosen on the heat of two half-trained networks: 20 and 33
    whole synthetic spines, 32 that were cut off, and 16 scans of 8 people of another generator.
    Cheaper absence keeps more of the cut-off ones right and fewer of the small ones.

    Attributes:
        steps_mm: Mean distance of the canal points of neighbouring discs, T12/L1 to L1/L2 first.
        spread_mm: Standard deviation of those distances, over people of all sizes.
        least_drop_mm: The lower of two neighbours lies at least this much lower.
        drops_mm: How much lower a disc lies than the one before it, for what leaves the view.
        leave_spread_mm: Standard deviation of that.
        not_seen: Score of a disc that is nowhere, in place of its two logarithms.
        hidden: Score of a disc that is not seen though it should lie within the view.
        empty: Score of no disc at all, beside that of each disc that is nowhere.
        least_view: A disc is taken to be in view, or out of it, with at least this probability.
        temperature: Factor of all scores in the probabilities.
    """

    steps_mm: tuple[float, ...] = (34.0, 36.0, 37.0, 36.0, 34.0, 30.0)
    spread_mm: float = 7.0
    least_drop_mm: float = 3.0
    drops_mm: tuple[float, ...] = (33.0, 35.0, 36.0, 35.0, 32.0, 22.0)
    leave_spread_mm: float = 8.0
    not_seen: float = -2.0
    hidden: float = -7.0
    empty: float = -12.0
    least_view: float = 0.05
    temperature: float = 0.4


@dataclass(frozen=True, eq=False)
class Candidates:
    """Places where a disc may be.

    Attributes:
        points_mm: (N, 3) LPS.
        log_disc: (D, N); logarithm of the heat of each disc near each place.
        log_any: (N,); logarithm of how much the place looks like any disc.
        above_mm: (N,); how far what was measured reaches above it.
        below_mm: (N,); how far below it.
        in_view: (D,); how likely each disc is in view at all.

    Raises:
        GeometryError: If the shapes do not fit.
    """

    points_mm: FloatArray
    log_disc: FloatArray
    log_any: FloatArray
    above_mm: FloatArray
    below_mm: FloatArray
    in_view: FloatArray

    def __post_init__(self) -> None:
        n = len(self.points_mm)
        discs = len(CHAIN)
        fits = (
            self.points_mm.shape == (n, 3)
            and self.log_disc.shape == (discs, n)
            and self.in_view.shape == (discs,)
        )
        if not fits or any(v.shape != (n,) for v in (self.log_any, self.above_mm, self.below_mm)):
            raise GeometryError("candidates of a wrong shape", code="VS-GEO-082")


@dataclass(frozen=True, eq=False)
class Named:
    """Which disc is where.

    Attributes:
        picks: (D,) number of the candidate, -1 where there is none.
        probabilities: (D, N); how likely each disc is each candidate.
        above: (D,) probability that the disc lies above the view.
        below: (D,) probability that it lies below.
        score: Of the best chain.
    """

    picks: IntArray
    probabilities: FloatArray
    above: FloatArray
    below: FloatArray
    score: float


def name_discs(candidates: Candidates, rules: Rules | None = None) -> Named:
    """Return the best chain, and how likely every other name is.

    Args:
        candidates: Any number of places, also none.
        rules: What is known before.
    """
    how = rules or Rules()
    unary = _unary(candidates, how)
    steps = np.stack([_steps(candidates, how, d) for d in range(len(CHAIN) - 1)])
    path, score = _best_path(unary, steps)
    n = len(candidates.points_mm)
    posterior = _posterior(unary * how.temperature, steps * how.temperature)
    at = (path >= 1) & (path <= n)
    return Named(
        picks=np.where(at, path - 1, ABSENT),
        probabilities=posterior[:, 1 : n + 1],
        above=posterior[:, 0],
        below=posterior[:, -1],
        score=score,
    )


def _unary(c: Candidates, how: Rules) -> FloatArray:
    """Score of each state at each disc, (D, S)."""
    n = len(c.points_mm)
    scores = np.full((len(CHAIN), 2 * n + 2), float(how.not_seen))
    view = np.clip(c.in_view, how.least_view, 1 - how.least_view)[:, None]
    scores += np.log(1 - view)
    scores[:, 1 : n + 1] = c.log_disc + c.log_any + np.log(view)
    scores[:, n + 1 : -1] += how.hidden
    scores[0, n + 1 : -1] = scores[-1, n + 1 : -1] = _NEVER  # The ends are above or below instead.
    return scores


def _steps(c: Candidates, how: Rules, disc: int) -> FloatArray:
    """Score of going from each state at a disc to each state at the next one, (S, S)."""
    n = len(c.points_mm)
    scores = np.full((2 * n + 2, 2 * n + 2), _NEVER)
    at, skip, below = slice(1, n + 1), slice(n + 1, 2 * n + 1), 2 * n + 1
    scores[0, 0] = scores[below, below] = 0.0
    scores[0, below] = how.empty
    scores[0, at] = _leaving(c.above_mm, how, disc)
    scores[at, below] = _leaving(c.below_mm, how, disc)
    scores[at, at] = _apart(c.points_mm, how, how.steps_mm[disc : disc + 1])
    if disc > 0:
        scores[skip, at] = _apart(c.points_mm, how, how.steps_mm[disc - 1 : disc + 1])
    scores[range(1, n + 1), range(n + 1, 2 * n + 1)] = 0.0
    return scores


def _leaving(room_mm: FloatArray, how: Rules, disc: int) -> FloatArray:
    """Score of the next disc lying outside of what was measured, or else hidden inside it."""
    out = log_ndtr((how.drops_mm[disc] - room_mm) / how.leave_spread_mm)
    return np.asarray(np.logaddexp(out, how.hidden), dtype=np.float64)


def _apart(points_mm: FloatArray, how: Rules, steps_mm: tuple[float, ...]) -> FloatArray:
    """Score of each pair of places being neighbours, or one apart, upper one first, (N, N)."""
    step = points_mm[None, :] - points_mm[:, None]
    distance = np.linalg.norm(step, axis=-1)
    deviation = (distance - sum(steps_mm)) / (how.spread_mm * np.sqrt(len(steps_mm)))
    fits: BoolArray = step[..., 2] <= -how.least_drop_mm
    return np.asarray(np.where(fits, -0.5 * deviation**2, _NEVER), dtype=np.float64)


def _best_path(unary: FloatArray, steps: FloatArray) -> tuple[IntArray, float]:
    """Return the states of the best path, (D,), and its score."""
    score, back = unary[0], []
    for here, step in zip(unary[1:], steps, strict=True):
        reach = score[:, None] + step
        back.append(reach.argmax(axis=0))
        score = reach.max(axis=0) + here
    path = [int(score.argmax())]
    for origin in reversed(back):
        path.append(int(origin[path[-1]]))
    return np.array(path[::-1], dtype=np.int64), float(score.max())


def _posterior(unary: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the probability of each state at each disc, (D, S)."""
    forward, backward = [unary[0]], [np.zeros_like(unary[0])]
    for here, step in zip(unary[1:], steps, strict=True):
        forward.append(logsumexp(forward[-1][:, None] + step, axis=0) + here)
    for here, step in zip(unary[:0:-1], steps[::-1], strict=True):
        backward.append(logsumexp(step + (here + backward[-1])[None], axis=1))
    joint = np.array(forward) + np.array(backward[::-1])
    return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))
