"""The one door to Lightning: imported once it can be, and refused where it is not safe.

Lightning imports torchmetrics and with it torchvision, which needs help beside a CPU build of torch
(`volspine._compat`). Versions before 2.6.6 run any function that a checkpoint names as its
`_instantiator`, so they are refused.
"""

from importlib.metadata import version as installed_version

from volspine._compat import import_torchvision
from volspine.errors import ConfigurationError

import_torchvision()

# torchvision must be importable before the following lines.
import pytorch_lightning as pl  # noqa: E402
from pytorch_lightning.callbacks import (  # noqa: E402
    Checkpoint,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    Timer,
)
from pytorch_lightning.cli import (  # noqa: E402
    LightningArgumentParser,
    LightningCLI,
    SaveConfigCallback,
)
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger  # noqa: E402
from pytorch_lightning.plugins import CheckpointIO, TorchCheckpointIO  # noqa: E402

__all__ = [
    "OLDEST_SAFE",
    "CSVLogger",
    "Checkpoint",
    "CheckpointIO",
    "EarlyStopping",
    "LearningRateMonitor",
    "LightningArgumentParser",
    "LightningCLI",
    "ModelCheckpoint",
    "SaveConfigCallback",
    "TensorBoardLogger",
    "Timer",
    "TorchCheckpointIO",
    "pl",
    "require_safe_version",
]

OLDEST_SAFE = (2, 6, 6)
"""First version that refuses an instantiator named by a checkpoint."""


def require_safe_version(version: str | None = None) -> None:
    """Refuse a Lightning that would run what a checkpoint names.

    Args:
        version: Looked up where omitted.

    Raises:
        ConfigurationError: If it is older than `OLDEST_SAFE`.

    Example:
        >>> require_safe_version("2.10.0")
    """
    version = version or installed_version("pytorch-lightning")
    numbers = tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
    if numbers < OLDEST_SAFE:
        oldest = ".".join(map(str, OLDEST_SAFE))
        raise ConfigurationError(
            f"pytorch-lightning {version} runs code that a checkpoint names",
            remedy=f"run: pip install 'pytorch-lightning>={oldest}'",
            code="VS-CFG-073",
        )
