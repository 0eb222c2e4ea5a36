"""Located by: a file or a folder that holds a localizer -> where the targets of any study are.

Level mode is trained around places. The challenge's tables have them, other people's studies have
not; there a localizer finds them, as it does when a study is graded.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch

from volspine.dicom.study import Study
from volspine.errors import ConfigurationError
from volspine.inference.bundle import load_bundle
from volspine.inference.checkpoint import LocalizerCheckpoint, read_localizer
from volspine.inference.placed import place_levels
from volspine.landmarks import Landmarks
from volspine.models.localizer import Localizer

__all__ = ["LocatedBy", "localizer_of"]


def localizer_of(path: str | Path) -> LocalizerCheckpoint:
    """Return a localizer, with what refines its points if it has that.

    Args:
        path: A checkpoint, or a model folder that has one; `demo` is that of the package, unless
            there is a folder of that name.

    Raises:
        ConfigurationError: If the model folder has none.
        WeightsError: If it is missing or damaged.
    """
    place = Path(path)
    is_demo = str(path) == "demo" and not place.exists()
    if not (place.is_dir() or is_demo):
        return read_localizer(place)
    bundle = load_bundle(None if is_demo else place)
    if bundle.localizer is None:
        raise ConfigurationError(
            "the bundle has no localizer",
            path=place,
            remedy="name a checkpoint of a localizer, or another bundle",
            code="VS-CFG-133",
        )
    return LocalizerCheckpoint(bundle.localizer, bundle.card.localizer)


@dataclass(frozen=True)
class LocatedBy:
    """Finds the targets of studies, on the CPU; picklable.

    Attributes:
        localizer: In evaluation mode.
        digest: Of its weights: what was found by others is told apart by it.
    """

    localizer: Localizer
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        seen = hashlib.sha256()
        for name, weights in sorted(self.localizer.state_dict().items()):
            seen.update(name.encode())
            seen.update(weights.detach().cpu().contiguous().numpy().tobytes())
        object.__setattr__(self, "digest", seen.hexdigest())

    def __call__(self, study: Study) -> Landmarks:
        """Return where the targets of a study are; what was not found says why.

        Args:
            study: As read.
        """
        return place_levels(study, self.localizer, device=torch.device("cpu"))[0]
