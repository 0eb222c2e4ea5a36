"""Direct: from specs straight to training tensors, without DICOM; needs numpy and torch only.

    spec -> truth and plan -> windows of the planned series -> one grid, or crops of the levels

What is painted, acquired and interpolated is what the files of the same study would hold; only what
lies outside the tensors is never rendered. The datasets are map-style, depend on nothing but specs
and options, and pickle, so that they work in the workers of a `DataLoader`, whose default way of
collating makes batches of the examples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import Dataset, default_collate

from volspine.anatomy import LEVELS, Protocol
from volspine.phantom.crops import Crop, LevelCrops, level_crops, study_crops
from volspine.phantom.cutout import AXIAL, SAGITTAL, CropShape
from volspine.phantom.gridded import GridExample, localizer_example
from volspine.phantom.scene import AS_FILED, Scan
from volspine.phantom.spec import Spec, Stage
from volspine.volume.grid import Grid

__all__ = [
    "AXIAL",
    "SAGITTAL",
    "Crop",
    "CropShape",
    "GridExample",
    "LevelCrops",
    "PhantomCrops",
    "PhantomGrids",
    "Scan",
    "level_crops",
    "localizer_example",
    "study_crops",
]


@dataclass(frozen=True)
class PhantomGrids(Dataset[GridExample]):
    """Studies on a patient grid.

    Attributes:
        specs: Which studies.
        grid: See `localizer_example`.
        protocols: Channels wanted.
        scan: Which draw of coil and noise; change it from epoch to epoch.
    """

    specs: Sequence[Spec]
    grid: Grid = field(default_factory=Grid)
    protocols: tuple[Protocol, ...] = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2)
    scan: Scan = AS_FILED

    def __len__(self) -> int:
        return len(self.specs)

    def __getitem__(self, index: int) -> GridExample:
        spec = self.specs[index]
        return localizer_example(spec, self.grid, protocols=self.protocols, scan=self.scan)


@dataclass(frozen=True)
class PhantomCrops(Dataset[LevelCrops]):
    """Studies as crops of their five levels; every tensor has a leading axis of 5.

    Attributes:
        specs: Which studies.
        shapes: Of sagittal and axial crops.
        jitter_mm: Standard deviation of the crops' middle along x, y and z, as a localizer errs.
        aligned: See `study_crops`.
        scan: Which draw of coil, noise and jitter; change it from epoch to epoch.
    """

    specs: Sequence[Spec]
    shapes: tuple[CropShape, CropShape] = (SAGITTAL, AXIAL)
    jitter_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    aligned: bool = False
    scan: Scan = AS_FILED

    def __len__(self) -> int:
        return len(self.specs)

    def __getitem__(self, index: int) -> LevelCrops:
        spec = self.specs[index]
        rng = spec.stream(Stage.NOISE).spawn(self.scan.draw + 1)[-1].spawn(1)[0]
        offsets = rng.standard_normal((len(LEVELS), 3)) * np.array(self.jitter_mm)
        levels = study_crops(
            spec,
            offsets_mm=offsets,
            shapes=self.shapes,
            aligned=self.aligned,
            scan=self.scan,
        )
        collated: LevelCrops = default_collate(levels)
        return collated
