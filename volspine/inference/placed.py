"""Placed: the levels of a study and whatever there is to warn of about them."""

import torch

from volspine.dicom.study import Study
from volspine.inference.locate import locate
from volspine.inference.refined import refine
from volspine.inference.sides import check_sides
from volspine.landmarks import Landmarks
from volspine.models.localizer import Localizer

__all__ = ["place_levels"]


def place_levels(
    study: Study, localizer: Localizer, *, device: torch.device, shift_levels: int = 0
) -> tuple[Landmarks, tuple[str, ...]]:
    """Return where the levels are, and warnings: a doubtful numbering, contradicted sides.

    Foramina are refined on native slices if the localizer has something to refine them with.

    Args:
        study: As read.
        localizer: A trained localizer.
        device: Where it computes.
        shift_levels: Name each level this many levels lower.
    """
    found = locate(study, localizer, device=device, shift_levels=shift_levels)
    if localizer.refiner is not None:
        found = refine(found, study, refiner=localizer.refiner, device=device)
    warnings = []
    if found.doubts:
        warnings.append(f"the numbering of the levels is doubtful: {'; '.join(found.doubts)}")
    wrong = [s.reason for s in check_sides(found, study) if s.verdict == "contradicts"]
    if wrong:
        warnings.append(f"the places do not fit the axial picture: {'; '.join(wrong)}")
    return found, tuple(warnings)
