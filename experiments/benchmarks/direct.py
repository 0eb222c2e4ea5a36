"""A synthetic study as training tensors: rendered directly against written, read and sampled.

CPU seconds, since that is what a cohort costs; both ways start from the spec. Crops of the other
way are cut from the stacks of the files by SciPy at the same places.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates
from timing import Row

from volspine.anatomy import PROTOCOLS
from volspine.dicom.reading import read_study
from volspine.dicom.study import Study
from volspine.phantom.dicom import write_study
from volspine.phantom.direct import Crop, LevelCrops, localizer_example, study_crops
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.study import acquire_study
from volspine.types import VoxelArray
from volspine.volume.grid import Grid
from volspine.volume.sample import sample_study

__all__ = ["rows"]

_GRID = Grid(spacing_mm=(4.0, 2.0, 2.0), shape=(24, 96, 128))
_STUDIES = 5


def rows() -> list[Row]:
    """Compare grids of two sagittal series, and crops of five levels, on full-size studies."""
    specs = [Spec(seed=1, index=n, cohort=Cohort.CLEAN) for n in range(_STUDIES)]
    noisy = [Spec(seed=1, index=n) for n in range(_STUDIES)]
    for spec in noisy:
        _direct_crops_of(spec)
    grids = [_grid_agreement(spec) for spec in specs[:2]]
    crops = [_crop_agreement(spec) for spec in specs[:2]]
    return [
        _compare("a localizer's grid", (_direct_grid, _filed_grid), noisy, min(grids)),
        _compare("crops of five levels", (_direct_crops, _filed_crops), noisy, min(crops)),
    ]


def _compare(
    name: str,
    ways: tuple[Callable[[Spec], object], Callable[[Spec], object]],
    specs: list[Spec],
    correlation: float,
) -> Row:
    """Time both ways on each study in turns."""
    if correlation < 0.995:
        raise AssertionError(f"{name}: the two ways correlate by {correlation:.4f} only")
    ours, other = ways
    pairs = [(_cpu_seconds(ours, spec), _cpu_seconds(other, spec)) for spec in specs]
    low, ratio, high = statistics.quantiles([theirs / mine for mine, theirs in pairs], n=4)
    return Row(
        name=f"{name}, CPU time a study",
        ours="straight from the spec",
        ours_ms=1e3 * statistics.median(mine for mine, _ in pairs),
        other="DICOM written, read and sampled",
        other_ms=1e3 * statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        low=low,
        high=high,
        rounds=len(pairs),
        agreement=f"correlation without noise at least {correlation:.4f}",
    )


def _cpu_seconds(way: Callable[[Spec], object], spec: Spec) -> float:
    start = time.process_time()
    way(spec)
    return time.process_time() - start


def _filed(spec: Spec) -> Study:
    """Write a study, read it back and decode it."""
    folder = Path(tempfile.mkdtemp())
    try:
        write_study(acquire_study(spec), folder / "study")
        study = read_study(folder / "study")
        for series in study.series:
            for stack in series.stacks:
                _ = stack.voxels
    finally:
        shutil.rmtree(folder)
    return study


def _direct_grid(spec: Spec) -> VoxelArray:
    return localizer_example(spec, _GRID).images.numpy()


def _filed_grid(spec: Spec) -> VoxelArray:
    return sample_study(_filed(spec), _GRID).images[:2]


def _direct_crops(spec: Spec) -> list[LevelCrops]:
    return study_crops(spec)


def _filed_crops(spec: Spec) -> list[list[VoxelArray]]:
    study = _filed(spec)
    return [[_cut(study, n, crop) for n, crop in enumerate(_views(level))]
            for level in _direct_crops_of(spec)]  # fmt: skip


_PLACES: dict[Spec, list[LevelCrops]] = {}


def _direct_crops_of(spec: Spec) -> list[LevelCrops]:
    """Return where the crops lie; known beforehand, so that it costs the other way nothing."""
    if spec not in _PLACES:
        _PLACES[spec] = study_crops(spec)
    return _PLACES[spec]


def _views(level: LevelCrops) -> tuple[Crop, Crop, Crop]:
    return level.sagittal_t1, level.sagittal_t2, level.axial_t2


def _cut(study: Study, number: int, crop: Crop) -> VoxelArray:
    """Interpolate a crop in the stack that reaches most of it."""
    shape, affine = tuple(crop.image.shape), crop.affine_lps.numpy()
    points = np.indices(shape).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    best, most = np.zeros(shape, dtype=np.float32), -1
    for series in study.by_protocol(PROTOCOLS[number]):
        for stack in series.stacks:
            inverse = np.linalg.inv(stack.affine_lps)
            index = points @ inverse[:3, :3].T + inverse[:3, 3]
            half = np.array(stack.shape) / 2
            inside = int((np.abs(index - half + 0.5) <= half).all(axis=1).sum())
            if inside > most:
                values = map_coordinates(stack.voxels, index.T, order=1, mode="nearest")
                best, most = values.reshape(shape), inside
    return best


def _grid_agreement(spec: Spec) -> float:
    ours, theirs = localizer_example(spec, _GRID), _filed_grid(spec)
    return min(
        float(np.corrcoef(a[m], b[m])[0, 1])
        for a, b, m in zip(ours.images.numpy(), theirs, ours.masks.numpy(), strict=True)
    )


def _crop_agreement(spec: Spec) -> float:
    study = _filed(spec)
    found = []
    for level in _direct_crops_of(spec):
        for number, crop in enumerate(_views(level)):
            mask = crop.mask.numpy()
            theirs = _cut(study, number, crop)
            found.append(float(np.corrcoef(crop.image.numpy()[mask], theirs[mask])[0, 1]))
    return min(found)
