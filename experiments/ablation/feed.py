"""Feed: from a store of crops to the patches of a training step, or of the studies to test on.

In training points are moved as the localizer errs, half of the studies are shown mirrored, patches
are turned, zoomed, shifted, brightened and made noisy a little. In testing points are moved by
errors that are the same for every variant, and nothing else.

Shapes: B studies; 25 targets; 40 tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ablation.variants import Variant
from proof.jitter import errors_mm
from torch import Tensor

from volspine.anatomy import MIRRORED_INDEX
from volspine.data.crop_store import CropStore, StoredCrops
from volspine.phantom.spec import Noise
from volspine.views import TOKENS, Patches, StudyCrops
from volspine.volume.patches import Moves, cut_patches
from volspine.volume.study_crops import batched

TURN, ZOOM, SHIFT_MM = 0.12, 0.06, 0.6
"""Standard deviations, in radians, of the logarithm, and in mm."""
GAIN, OFFSET, NOISE = 0.1, 0.1, 0.08
"""Standard deviations of brightness, and the most of the noise's, in means of a crop."""


@dataclass(frozen=True)
class Feed:
    """Studies of a store, with the labels of one reader.

    Attributes:
        store: Crops.
        rows: Which studies of it.
        reader: Whose labels.
        device: Where patches are cut.
    """

    store: CropStore
    rows: Sequence[int]
    reader: Noise
    device: torch.device

    def labels(self) -> np.ndarray:
        """Return the labels of all studies, (N, 25)."""
        return np.stack([self.store[row].read_by(self.reader).numpy() for row in self.rows])

    def grades(self) -> np.ndarray:
        """Return the grades of the measured geometry, (N, 25)."""
        return np.stack([self.store[row].grades.numpy() for row in self.rows])

    def training(
        self, variant: Variant, order: Tensor, seed: int
    ) -> Iterator[tuple[Patches, dict[str, Tensor]]]:
        """Yield the patches and grades of every step.

        Args:
            variant: Says whether there is jitter and mirroring.
            order: (steps, B) places in `rows`.
            seed: Of everything that is drawn.
        """
        rng = np.random.default_rng([seed, 1])
        for places in order.tolist():
            studies = [self.store[self.rows[place]] for place in places]
            yield self._drawn(studies, variant, rng)

    def _drawn(
        self, studies: list[StoredCrops], variant: Variant, rng: np.random.Generator
    ) -> tuple[Patches, dict[str, Tensor]]:
        crops, grades = self._stacked(studies)
        errors = errors_mm(rng, len(studies)) * float(variant.jitter)
        flip = torch.from_numpy(rng.random(len(studies)) < 0.5 * variant.mirror).to(self.device)
        moves = _moves(rng, len(studies))
        patches = cut_patches(
            crops, crops.points_mm + errors.to(self.device), moves=moves, flip=flip
        )
        shown = torch.where(flip[:, None], grades[:, list(MIRRORED_INDEX)], grades)
        return recoloured(patches, rng), {"grades": shown}

    def testing(self, batch: int, seed: int) -> Iterator[Patches]:
        """Yield the patches of all studies at points that err, the same at every call."""
        for start in range(0, len(self.rows), batch):
            rows = self.rows[start : start + batch]
            crops, _ = self._stacked([self.store[row] for row in rows])
            errors = torch.cat([errors_mm(np.random.default_rng([seed, row]), 1) for row in rows])
            yield cut_patches(crops, crops.points_mm + errors.to(self.device))

    def _stacked(self, studies: list[StoredCrops]) -> tuple[StudyCrops, Tensor]:
        crops = batched([study.crops for study in studies])
        grades = torch.stack([study.read_by(self.reader) for study in studies])
        return StudyCrops(*(part.to(self.device) for part in crops)), grades.to(self.device)


def _moves(rng: np.random.Generator, studies: int) -> Moves:
    shape = (studies, len(TOKENS))
    return Moves(
        turn=torch.from_numpy(TURN * rng.standard_normal(shape)),
        zoom=torch.from_numpy(np.exp(ZOOM * rng.standard_normal(shape))),
        shift_mm=torch.from_numpy(SHIFT_MM * rng.standard_normal((*shape, 2))),
    )


def recoloured(patches: Patches, rng: np.random.Generator) -> Patches:
    """Return patches with another brightness, each, and noise where they were measured."""
    images = []
    for image, covered in zip(patches.images, patches.covered, strict=True):
        shape = (*image.shape[:2], 1, 1, 1)
        gain, offset, noise = (
            torch.from_numpy(values).to(image)
            for values in (
                1 + GAIN * rng.standard_normal(shape),
                OFFSET * rng.standard_normal(shape),
                NOISE * rng.random(shape),
            )
        )
        there = (covered > 0)[..., None, None]
        changed = image * gain + offset + noise * torch.randn_like(image)
        images.append(torch.where(there, changed, image))
    return Patches(tuple(images), patches.covered)


def batches(studies: int, steps: int, batch: int, seed: int) -> Tensor:
    """Return the studies of every step, (steps, B): all of them before one comes again."""
    generator = torch.Generator().manual_seed(seed)
    wanted = steps * batch
    rounds = [torch.randperm(studies, generator=generator) for _ in range(-(-wanted // studies))]
    return torch.cat(rounds)[:wanted].view(steps, batch)
