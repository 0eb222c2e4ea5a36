"""Three series of a study on one grid: `sample_study` against TorchIO's Resample.

TorchIO resamples the three images and nothing else; ours also makes the three masks.
"""

import numpy as np
import torch
import torchio
from timing import Row, compare

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.types import FloatArray
from volspine.volume.grid import Grid
from volspine.volume.image import label_map, scalar_image
from volspine.volume.sample import sample_study

__all__ = ["rows"]

_SAGITTAL = np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]])
_SHAPES = {
    Protocol.SAGITTAL_T1: ((384, 384, 17), (0.7, 0.7, 4.0)),
    Protocol.SAGITTAL_T2: ((384, 384, 17), (0.7, 0.7, 4.0)),
    Protocol.AXIAL_T2: ((320, 320, 40), (0.6, 0.6, 4.0)),
}


def _study() -> Study:
    series = []
    for protocol in PROTOCOLS:
        shape, spacing = _SHAPES[protocol]
        axes = np.eye(3) if protocol is Protocol.AXIAL_T2 else _SAGITTAL
        stack = Stack.from_array(_smooth(shape), _centred(axes * np.array(spacing), shape))
        series.append(Series(protocol, protocol, protocol, "made here", [stack]))
    return Study("benchmark", series)


def _centred(columns: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = -columns @ (np.array(shape) - 1) / 2
    return affine


def _smooth(shape: tuple[int, int, int]) -> np.ndarray:
    i, j, k = np.ogrid[tuple(slice(n) for n in shape)]
    return (1000 + 300 * np.sin(i / 20) * np.cos(j / 25) + 10 * k).astype(np.float32)


def rows() -> list[Row]:
    """Compare one study on the default grid."""
    study, grid = _study(), Grid()
    placed = grid.centered_on(study)
    target = label_map(np.ones(placed.shape, dtype=bool), placed.affine_lps)
    images = [
        scalar_image(series.stacks[0].voxels, series.stacks[0].affine_lps)
        for series in study.series
    ]
    resample = torchio.Resample(target)

    def ours() -> np.ndarray:
        return sample_study(study, grid).images

    def theirs() -> list[torch.Tensor]:
        return [resample(image).data[0] for image in images]

    reference = np.stack([image.numpy() for image in theirs()])
    inside = sample_study(study, grid).masks
    both = inside & (reference > 0)  # ITK leaves one border half voxel out; it is 0 there.
    difference = float(np.abs(ours() - reference)[both].max())
    border = 1 - both.sum() / inside.sum()
    if difference > 1e-1 or border > 0.05:
        raise AssertionError(f"images differ by {difference} of 1300 grey levels, {border:.1%} out")
    return [
        compare(
            "three series on one 32 x 192 x 192 grid",
            ("sample_study, with masks", ours),
            ("TorchIO Resample, without", theirs),
            agreement=f"within {difference:.0e} of 1300 levels, {border:.1%} at borders apart",
        )
    ]
