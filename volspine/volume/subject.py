"""A study -> a TorchIO subject: each protocol on one grid, with a mask of what was measured.

For whoever works with TorchIO's transforms. Everything else in the library takes `sample_study`,
which gives the same numbers without TorchIO.
"""

from typing import TYPE_CHECKING

from volspine.anatomy import PROTOCOLS
from volspine.dicom.study import Study
from volspine.errors import NoUsableSeriesError
from volspine.volume.grid import Grid
from volspine.volume.image import label_map, scalar_image
from volspine.volume.sample import sample_study

if TYPE_CHECKING:
    import torchio

__all__ = ["voxelize"]


def voxelize(study: Study, grid: Grid | None = None) -> "torchio.Subject":
    """Return a subject with `sagittal_t1`, `sagittal_t2` and `axial_t2`, those there are.

    Each comes with a label map `<name>_mask`, 1 where the series measured. Intensities are raw;
    TorchIO's frame is RAS.

    Args:
        study: With at least one graded protocol.
        grid: Placed in the middle of what the study covers if it has no centre.

    Raises:
        GeometryError: If the grid has no centre and the study no stack.
        NoUsableSeriesError: If no graded protocol reaches into the grid.
    """
    import torchio

    sampled = sample_study(study, grid)
    images: dict[str, torchio.Image] = {}
    for index, protocol in enumerate(PROTOCOLS):
        if not sampled.present[index]:
            continue
        affine = sampled.grid.affine_lps
        images[protocol.value] = scalar_image(sampled.images[index], affine)
        images[f"{protocol.value}_mask"] = label_map(sampled.masks[index], affine)
    if not images:
        raise NoUsableSeriesError(
            "no graded series reaches into the grid",
            remedy="move the grid, or check the series with: volspine scan",
            code="VS-SER-030",
        )
    return torchio.Subject(**images)
