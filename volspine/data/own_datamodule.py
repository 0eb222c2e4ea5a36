"""OwnDataModule: a folder of studies and a table of own labels as loaders, like a challenge root.

Batches are those of `RsnaDataModule`, with as many targets as are graded, and `partner`; see
`volspine.data.dataset`.
"""

from typing import Any

import numpy as np

from volspine.data.datamodule import RsnaDataModule
from volspine.data.own_tables import OwnTables, read_own_studies, read_targets
from volspine.data.rsna import LabelledStudy
from volspine.types import IntArray

__all__ = ["OwnDataModule"]


class OwnDataModule(RsnaDataModule):
    """Loaders over a folder of studies and a table of own labels.

    Args:
        root: Folder with a folder of images for each study, named as in the table.
        labels: Files of targets, labels and marks.
        options: `store`, `grid`, `split`, `loader`, `augment`, as of `RsnaDataModule`; with a store
            the root is not needed.

    Raises:
        ConfigurationError: If the file of targets is of no use.
    """

    def __init__(self, root: str | None = None, *, labels: OwnTables, **options: Any) -> None:
        super().__init__(root, **options)
        self.tables = labels
        self.vocabulary = read_targets(labels.targets)

    def labelled(self) -> list[LabelledStudy]:
        """Return every study of the table that has images."""
        return read_own_studies(
            self.places.roots[0],
            self.tables,
            groups=self.plan.groups,
            folders=self.places.folders(),
        )

    def known_grades(self) -> IntArray:
        """Return the grades that training may use, shape (N, T): train and validation sets."""
        rows = [study.grades for name in ("train", "val") for study in self.studies(name)]
        return np.asarray(rows, dtype=np.int64).reshape(-1, len(self.vocabulary.targets))
