"""Study mode: the same people on one voxel grid each, for a grader that is shown no crops.

Grids come straight from the phantom, like the crops, and lie in a folder of their own. Augmentation
and guided attention are those of the recipe `phantom_quick.yaml`; points for the guidance are the
true ones.

Shapes: B studies; I, J, K voxels; 25 targets.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from volspine.anatomy import PROTOCOLS
from volspine.data.example import Example, within
from volspine.data.transforms import LightAugment
from volspine.jobs import atomic_path, run_many
from volspine.phantom.direct import localizer_example
from volspine.phantom.spec import Cohort, Header, Noise, Size, Spec
from volspine.volume.grid import Grid
from volspine.volume.normalize import normalize

SPACING_MM, SHAPE = (3.0, 1.5, 1.5), (24, 96, 144)


def spec_of(facts: Mapping[str, Any]) -> Spec:
    """Return the spec that a stored study was made from."""
    plain = dict(facts["spec"])
    noise = plain.pop("noise")
    return Spec(
        cohort=Cohort(plain.pop("cohort")),
        noise=None if noise is None else Noise(noise),
        header=Header(plain.pop("header")),
        size=Size(plain.pop("size")),
        **plain,
    )


def grid_path(folder: Path, spec: Spec) -> Path:
    """Return the file of a study's grid."""
    return folder / f"{spec.cohort}_{spec.size}_{spec.seed}_{spec.index:05d}.npz"


def render_grids(specs: Sequence[Spec], folder: Path, *, workers: int) -> list[Path]:
    """Return the files of studies; what is not there is rendered."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [spec for spec in specs if not grid_path(folder, spec).exists()]
    for n, outcome in enumerate(run_many(partial(render_grid, folder), missing, workers=workers)):
        if outcome.error is not None:
            raise SystemExit(f"a study failed: {outcome.error}")
        if (n + 1) % 20 == 0 or n + 1 == len(missing):
            print(f"  rendered {n + 1} of {len(missing)} grids", flush=True)
    return [grid_path(folder, spec) for spec in specs]


def render_grid(folder: Path, spec: Spec) -> None:
    """Render one study and write its file."""
    torch.set_num_threads(1)
    made = localizer_example(spec, Grid(SPACING_MM, SHAPE), protocols=PROTOCOLS)
    images = [
        normalize(image.numpy(), mask.numpy())
        for image, mask in zip(made.images, made.masks, strict=True)
    ]
    with atomic_path(grid_path(folder, spec)) as path, path.open("wb") as stream:
        np.savez(
            stream,
            images=np.stack(images).astype(np.float16),
            masks=np.packbits(made.masks.numpy()),
            points=made.landmarks_index.numpy(),
        )


def read_grid(path: Path, grades: Tensor) -> Example:
    """Return a study as a grader of study mode reads it."""
    with np.load(path) as file:
        images = torch.from_numpy(file["images"].astype(np.float32))
        bits = np.unpackbits(file["masks"], count=images.numel()).reshape(images.shape)
        points = torch.from_numpy(file["points"])
    volume = torch.cat([images, torch.from_numpy(bits.astype(np.float32))])
    return Example(volume, grades, points, within(points, SHAPE))


@dataclass(frozen=True)
class WholeFeed:
    """Studies on grids, with their labels.

    Attributes:
        paths: One file a study.
        labels: (N, 25); -1 where missing.
        device: Where batches go.
    """

    paths: Sequence[Path]
    labels: Tensor
    device: torch.device

    def training(self, order: Tensor, seed: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Yield volumes and what is known of them, for every row of `order`, (steps, B)."""
        rng, augment = np.random.default_rng([seed, 2]), LightAugment()
        for places in order.tolist():
            examples = [augment(self._read(place), rng, SPACING_MM) for place in places]
            batch = _collated(examples, self.device)
            yield batch["volume"], batch

    def testing(self, batch: int) -> Iterator[Tensor]:
        """Yield the volumes of all studies as they are."""
        for start in range(0, len(self.paths), batch):
            places = range(start, min(start + batch, len(self.paths)))
            yield torch.stack([self._read(place).volume for place in places]).to(self.device)

    def _read(self, place: int) -> Example:
        return read_grid(self.paths[place], self.labels[place])


def _collated(examples: Sequence[Example], device: torch.device) -> dict[str, Tensor]:
    fields = zip(*examples, strict=True)
    return {
        name: torch.stack(parts).to(device)
        for name, parts in zip(Example._fields, fields, strict=True)
        if parts[0] is not None
    }
