"""How strange a study is to the networks that graded it: from its crops to a few doubts.

    entropy       mean over the targets of the entropy of the report
    information   the same of the mutual information over members, mirror images and places moved as
                  the localizer errs
    features      distance of the trunk's mean features of a patch from those of usual studies, each
                  number in units of its spread: ln mean_f ((x_f - m_f) / s_f)^2
    pictures      the same of what kind of picture a patch is (`patch_statistics`), by Mahalanobis
    overall       the most strange of them: (doubt - median) / (95th percentile - median) of usual
                  studies, and the greatest of the four

Distances are means over the patches of a view, and the greatest of the views: one bad series is
enough. What usual studies are like is a `Usual`, some hundred numbers that a card can carry. They
tell nothing of a grade: a severe patient is not strange.

Shapes:
    S  samples of the report    V  the views    T  targets of a view    F  features of the trunk
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import LEVELS, TARGETS
from volspine.errors import ConfigurationError
from volspine.inference.plain_numbers import plain_numbers
from volspine.metrics.calibration import tempered
from volspine.metrics.doubt import entropy, mutual_information
from volspine.models.level_grader import Maps
from volspine.models.mirror import mirror_targets
from volspine.models.parts import Graded
from volspine.types import FloatArray
from volspine.views import VIEWS, Patches, StudyCrops
from volspine.volume.jitter import measured_errors
from volspine.volume.patch_statistics import STATISTICS, patch_statistics
from volspine.volume.patches import cut_patches
from volspine.volume.study_crops import batched

__all__ = [
    "MEASURES",
    "Impression",
    "Seeing",
    "Usual",
    "impression_of",
    "mean_features",
    "pictures_of",
]

MEASURES = ("entropy", "information", "features", "pictures")
"""What is put together in `overall`."""

_SCHEMA = 1
_LEAST_STUDIES = 5
_SHRINK = 0.05
_TINY = 1e-9  # So that a study that is exactly usual has a logarithm.
_FLOOR = 1e-3  # Least spread of a number, so that one that never varied cannot rule.


@runtime_checkable
class Seeing(Protocol):
    """A grader of patches that says what it sees in them, as `LevelGrader` does."""

    def __call__(self, patches: Patches) -> Graded:
        """Return the grades."""
        ...

    def features(self, patches: Patches) -> Maps:
        """Return the feature map of every patch, (B, T, F, d, h, w) a view."""
        ...


@dataclass(frozen=True, eq=False)
class Impression:
    """What networks made of a study.

    Attributes:
        samples: (S, 25, K) calibrated reports; of each network, place and mirror image.
        features: Of each view (2 T, F), as it is and mirrored; mean features of its patches; NaN
            where nothing was measured.
        pictures: Of each view (T, len(STATISTICS)); NaN likewise.
    """

    samples: FloatArray
    features: tuple[FloatArray, ...]
    pictures: tuple[FloatArray, ...]


def impression_of(
    graders: Sequence[Seeing],
    crops: StudyCrops,
    *,
    temperature: FloatArray,
    draws: int = 3,
    seed: int = 0,
) -> Impression:
    """Return what networks make of a study, seen as it is and in the mirror, here and nearby.

    Args:
        graders: Members, in evaluation mode; features are of the first.
        crops: Of one study, where the networks are.
        temperature: (25,), of the card.
        draws: Places from which it is looked at; the first is `crops.points_mm`, the others are
            moved by errors of a localizer.
        seed: Of the moves; the same for every study, so that a study is never doubted by chance.
    """
    both = batched([crops, crops])
    flip = torch.tensor([False, True], device=both.points_mm.device)
    moves = [move.to(both.points_mm) for move in _moves(draws, seed)]
    with torch.inference_mode():
        seen = [cut_patches(both, both.points_mm + move, flip=flip) for move in moves]
        samples = [_reports(grader, patches) for patches in seen for grader in graders]
        features = mean_features(graders[0].features(seen[0]), seen[0].covered)
    said = tempered(torch.cat(samples).double().cpu().numpy(), temperature)
    flat = tuple(_array(of_view.flatten(0, 1)) for of_view in features)
    return Impression(said, flat, pictures_of(seen[0]))


def mean_features(maps: Maps, covered: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the mean features of each patch, (B, T, F) a view; NaN where nothing was measured.

    Args:
        maps: Of a trunk, (B, T, F, d, h, w) a view; None of a view that is not looked at, F is 0.
        covered: As in `views.Patches`.
    """
    found = []
    for cells, share in zip(maps, covered, strict=True):
        there = (share > 0).any(dim=-1, keepdim=True)
        means = share[..., :0] if cells is None else cells.float().mean(dim=(-3, -2, -1))
        found.append(torch.where(there, means, torch.nan))
    return tuple(found)


def pictures_of(patches: Patches) -> tuple[FloatArray, ...]:
    """Return what kind of picture each patch of the first study is, (T, 7) a view."""
    return tuple(
        _array(patch_statistics(image[:1], covered[:1])[0])
        for image, covered in zip(patches.images, patches.covered, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Usual:
    """What usual studies are like.

    Attributes:
        features: Of each view (2, F): mean and spread.
        pictures: Of each view mean and inverse root of the covariance, (1 + n, n).
        scales: For each of `MEASURES` its median and 95th percentile in usual studies.
        studies: How many they were.
    """

    features: tuple[FloatArray, ...]
    pictures: tuple[FloatArray, ...]
    scales: Mapping[str, tuple[float, float]]
    studies: int

    @classmethod
    def of(cls, impressions: Sequence[Impression]) -> "Usual":
        """Return what these have in common.

        The scales are of the same studies, so distances are a little too small in them.

        Raises:
            ConfigurationError: If they are fewer than five, or a view was never measured.
        """
        if len(impressions) < _LEAST_STUDIES:
            raise _bad(f"{len(impressions)} studies do not tell what is usual")
        features = tuple(
            _spread(np.concatenate([i.features[v] for i in impressions])) for v in range(len(VIEWS))
        )
        pictures = tuple(
            _whitening(np.concatenate([i.pictures[v] for i in impressions]))
            for v in range(len(VIEWS))
        )
        plain = cls(features, pictures, {}, len(impressions))
        doubts = [plain.doubts(i) for i in impressions]
        scales = {name: _scale(np.array([d[name] for d in doubts])) for name in MEASURES}
        return cls(features, pictures, scales, len(impressions))

    def doubts(self, impression: Impression) -> dict[str, float]:
        """Return each of `MEASURES`, and `overall` where scales are known."""
        samples = impression.samples
        features = zip(self.features, impression.features, strict=True)
        pictures = zip(self.pictures, impression.pictures, strict=True)
        found = {
            "entropy": float(entropy(samples.mean(axis=0)).mean()),
            "information": float(mutual_information(samples).mean()),
            "features": _greatest(_squared((x - u[0]) / u[1]) for u, x in features),
            "pictures": _greatest(_squared((x - u[0]) @ u[1:].T) for u, x in pictures),
        }
        if self.scales:
            scaled = (
                (found[name] - middle) / (high - middle)
                for name, (middle, high) in self.scales.items()
            )
            found["overall"] = max((d for d in scaled if not np.isnan(d)), default=np.nan)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "schema": _SCHEMA,
            "studies": self.studies,
            "statistics": list(STATISTICS),
            "views": {
                view.name: {"features": _plain(f), "pictures": _plain(p)}
                for view, f, p in zip(VIEWS, self.features, self.pictures, strict=True)
            },
            "scales": {name: list(pair) for name, pair in self.scales.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Usual":
        """Return what `to_dict` wrote.

        Raises:
            ConfigurationError: If it is none.
        """
        try:
            if data["schema"] != _SCHEMA or data["statistics"] != list(STATISTICS):
                raise _bad("it is of another version")
            views = [data["views"][view.name] for view in VIEWS]
            n = len(STATISTICS)
            return cls(
                tuple(_spreading(plain_numbers(v["features"], (2, None))) for v in views),
                tuple(plain_numbers(v["pictures"], (1 + n, n)) for v in views),
                {name: _rising(plain_numbers(data["scales"][name], (2,))) for name in MEASURES},
                int(plain_numbers([data["studies"]], (1,))[0]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _bad(f"a field is missing or malformed ({type(error).__name__})") from error


def _moves(draws: int, seed: int) -> list[Tensor]:
    """Return moves of the 25 places, (25, 3) mm; none first."""
    rng, errors = np.random.default_rng(seed), measured_errors()
    moved = [
        torch.from_numpy(errors.draw(rng, len(LEVELS)).transpose(1, 0, 2).reshape(-1, 3).copy())
        for _ in range(draws - 1)
    ]
    return [torch.zeros(len(TARGETS), 3, dtype=torch.float64), *moved]


def _reports(grader: Seeing, patches: Patches) -> Tensor:
    """Return the log-probabilities of a study and its mirror image, sides put back, (2, 25, K)."""
    log_probs: Tensor = grader(patches).log_probs
    return torch.stack([log_probs[0], mirror_targets(log_probs[1], dim=0)])


def _spread(rows: FloatArray) -> FloatArray:
    known = _known(rows)
    return np.stack([known.mean(axis=0), np.maximum(known.std(axis=0), _FLOOR)])


def _whitening(rows: FloatArray) -> FloatArray:
    """Return the mean, and below it what makes rows less the mean white."""
    mean, spread = _spread(rows)
    scaled = (_known(rows) - mean) / spread
    # Shrunk a little, so that no combination that hardly varied can rule.
    shrunk = (1 - _SHRINK) * (scaled.T @ scaled) / len(scaled) + _SHRINK * np.eye(len(mean))
    values, vectors = np.linalg.eigh(shrunk)
    return np.concatenate([mean[None], vectors.T / np.sqrt(values)[:, None] / spread])


def _known(rows: FloatArray) -> FloatArray:
    known = rows[~np.isnan(rows).any(axis=1)]
    if not len(known):
        raise _bad("a view was measured in none of the studies")
    return known


def _squared(rows: FloatArray) -> float:
    """Return the mean square of the rows that are known; NaN without one."""
    known = rows[~np.isnan(rows).any(axis=1)]
    return float((known**2).mean()) if known.size else float("nan")


def _greatest(distances: Iterable[float]) -> float:
    """Return the logarithm of the greatest distance that is known."""
    known = [d for d in distances if not np.isnan(d)]
    return float(np.log(max(known) + _TINY)) if known else float("nan")


def _scale(values: FloatArray) -> tuple[float, float]:
    middle, high = np.quantile(values, [0.5, 0.95])
    return float(middle), float(max(high, middle + _FLOOR))


def _spreading(rows: FloatArray) -> FloatArray:
    if (rows[1] < _FLOOR).any():
        raise ValueError("a spread that is too small")
    return rows


def _rising(pair: FloatArray) -> tuple[float, float]:
    if pair[1] - pair[0] < _FLOOR / 2:
        raise ValueError("a scale that does not rise")
    return float(pair[0]), float(pair[1])


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.double().cpu().numpy(), dtype=np.float64)


def _plain(values: FloatArray) -> list[list[float]]:
    return [[float(f"{x:.7g}") for x in row] for row in values]


def _bad(message: str) -> ConfigurationError:
    return ConfigurationError(
        f"what is usual cannot be told: {message}",
        remedy="fit it again on more studies of this model",
        code="VS-CFG-125",
    )
