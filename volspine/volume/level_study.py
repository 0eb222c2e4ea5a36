"""A study and its landmarks -> the crops of its levels that patches are cut from.

The crops of `volume.crop`, native and centred on the canal, in the shapes of `views.CROPPED`: what
a phantom's and a store's are too. Slices much thinner than usual are averaged first; see
`thick_slices`.
"""

import torch

from volspine.anatomy import LEVELS, PROTOCOLS
from volspine.dicom.study import Study
from volspine.geometry.window import CropShape
from volspine.landmarks import Landmarks
from volspine.views import CROPPED, StudyCrops
from volspine.volume.crop import Cropper
from volspine.volume.crop_records import CropHow, CropSource
from volspine.volume.study_crops import stacked_levels
from volspine.volume.thick_slices import thickened

__all__ = ["SHAPES", "study_crops_of"]

SHAPES = (CropShape(*CROPPED["sagittal"]), CropShape(*CROPPED["axial"]))
"""Of sagittal and axial crops."""


def study_crops_of(
    study: Study, landmarks: Landmarks, *, device: str = "cpu"
) -> tuple[StudyCrops, tuple[tuple[CropSource, ...], ...]]:
    """Return the levels of a study as tensors, not batched, and where each crop comes from.

    A level that was not located, or that no series shows, is no error: its crops are zero, nothing
    of them is measured, and its source says why.

    Args:
        study: The images, native.
        landmarks: Of the same study.
        device: Where the tensors are.

    Returns:
        The crops; and for each level, for each of `PROTOCOLS`, the source of its crop, in slices
        of the study as it is: of several that were averaged the middle one.
    """
    thick = thickened(study)
    cropper = Cropper(thick.study, landmarks, how=CropHow(shapes=SHAPES, device=device))
    crops = [[cropper.crop(level, view) for view in PROTOCOLS] for level in LEVELS]
    points = torch.from_numpy(landmarks.points_mm)
    stacked = stacked_levels(
        [[(c.image, c.mask.to(c.image.device), c.affine_lps) for c in level] for level in crops],
        points,
    )
    moved = StudyCrops(*(tensor.to(device) for tensor in stacked))
    return moved, tuple(tuple(thick.native(crop.source) for crop in level) for level in crops)
