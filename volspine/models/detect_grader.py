"""DetectGrader: find the targets of one condition, cut a box around each, and classify the boxes.

    volume -detector-> a point for each target -boxes-> parts of the volume, right sides mirrored
           -trunk-> maps -cells-> tokens -head, link-> grades

The detector's classes are places alone, a level and a side (5 of the canal, 10 of the foramina or
the recesses); how severe a finding is, is the classifier's to say. Boxes have sizes in millimetres.
A right side is seen mirrored, so left and right have one classifier.

A grader may be asked for one condition. Of the other targets nothing is learned: their severity is
0, where the link predicts the frequencies that it started from; their maps are even and their
points are not numbers.

In training boxes are cut around the marks where these are known, moved at random, so that the
classifier need not wait for the detector; elsewhere, and always in use, around what was found. No
gradient passes from a grade to a place.

Shapes:
    B  studies    C  channels    I J K  voxels, RAS+    T  the 25 targets    N  those asked for
    E  length of a token
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from volspine.anatomy import PROTOCOLS, TARGETS, Finding, Side
from volspine.models.backbones import Backbone
from volspine.models.detect_boxes import box_shape, box_steps, cut_boxes
from volspine.models.detect_heat import Detector, Found
from volspine.models.detect_loss import ASKED
from volspine.models.level_cells import CELL_POOLINGS, CellPooling
from volspine.models.parts import (
    HEADS,
    LINKS,
    Graded,
    Marks,
    Part,
    build_part,
    check_options,
    plain_part,
    split_part,
    unknown_name,
    without_weights,
)

__all__ = ["BOX_MM", "CONDITIONS", "DetectGrader"]

CONDITIONS: Mapping[str, tuple[Finding, ...]] = {
    **{finding.name.lower(): (finding,) for finding in Finding},
    "all": tuple(Finding),
}
"""What a grader can be asked for."""

BOX_MM: Mapping[str, tuple[float, float, float]] = {
    "canal": (30.0, 30.0, 18.0),
    "foramen": (18.0, 27.0, 24.0),
    "recess": (24.0, 24.0, 18.0),
}
"""Sizes of boxes to the right, to the front and up: what is graded, and some of what is around."""

_TRUNK = "vgg19_bn"
_STRIDE = 4


class DetectGrader(nn.Module):
    """Grade a study from a box around each target that was found.

    Args:
        condition: Name in `CONDITIONS`.
        detector: Options of `detect_heat.Detector`.
        box_mm: Size of a box along i, j, k for each of canal, foramen, recess; see `BOX_MM`.
        voxel_mm: Size of the voxels of a box.
        jitter_mm: Standard deviation, along each axis, by which boxes miss the marks in training.
        trunk: Name in `backbones.SUPPORTED_BACKBONES`, or a dict of `name` and options of
            `Backbone`; cut at a stride of 4 unless told.
        pooling: Name in `level_cells.CELL_POOLINGS`, or a dict with options.
        width: Length of a token.
        head: Name in `HEADS`, or a dict with options.
        link: Name in `LINKS`, or a dict with options.
        shape: Voxels of the volume along i, j, k.
        spacing_mm: Their size.
        in_channels: Channels of the volume.

    Raises:
        ConfigurationError: If a condition or part is not offered, or a size is impossible.
        WeightsError: If a weights file of the trunk is missing, damaged or of another network.
    """

    takes_marks = True
    """Whether training tells it where the targets are."""

    where: Tensor
    is_right: Tensor
    asked: Tensor

    def __init__(  # noqa: PLR0913  each is a part of the recipe
        self,
        *,
        condition: str = "all",
        detector: dict[str, Any] | None = None,
        box_mm: dict[str, list[float]] | None = None,
        voxel_mm: Sequence[float] = (3.0, 1.5, 1.5),
        jitter_mm: float = 3.0,
        trunk: Part = _TRUNK,
        pooling: Part = "attention",
        width: int = 128,
        head: Part = "shared",
        link: Part = "scaled",
        shape: Sequence[int] = (24, 96, 144),
        spacing_mm: Sequence[float] = (3.0, 1.5, 1.5),
        in_channels: int = 2 * len(PROTOCOLS),
    ) -> None:
        super().__init__()
        if condition not in CONDITIONS:
            raise unknown_name("condition", condition, CONDITIONS)
        self.findings = CONDITIONS[condition]
        self.hyperparameters: dict[str, Any] = {
            "condition": condition,
            "detector": dict(detector or {}),
            "box_mm": _boxes(box_mm or {}),
            "voxel_mm": [float(mm) for mm in voxel_mm],
            "jitter_mm": float(jitter_mm),
            "trunk": plain_part(trunk),
            "pooling": plain_part(pooling),
            "width": width,
            "head": plain_part(head),
            "link": plain_part(link),
            "shape": [int(n) for n in shape],
            "spacing_mm": [float(mm) for mm in spacing_mm],
            "in_channels": in_channels,
        }
        check_options(Detector, "detector", detector or {})
        self.trunk = _trunk(trunk, self._box_shapes(), in_channels)
        self.link = build_part(LINKS, "link", link)
        self.cells = nn.ModuleList(self._pooling(pooling, box) for box in self._box_shapes())
        self.head = build_part(HEADS, "head", head, width, self.link.num_scores)
        self._register_targets()
        self.detector = Detector(len(self.targets), in_channels, **(detector or {}))

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain data from which `grader.build_grader` makes the same network, without its weights.

        The path that trunk weights were started from is not part of it.
        """
        return {"grader": type(self).__name__, **without_weights(self.hyperparameters, "trunk")}

    def forward(self, volume: Float[Tensor, "B C I J K"], marks: Marks | None = None) -> Graded:
        """Return the grades of a batch of studies.

        Args:
            volume: Normalised images of the protocols, then their masks; see `anatomy.PROTOCOLS`.
            marks: Where boxes are cut instead, in training.
        """
        found = self.detector(volume)
        middles = self.middles(found, marks)
        tokens = self.tokens(volume, middles)
        everywhere = tokens.new_zeros(len(tokens), len(TARGETS), tokens.shape[-1])
        scores = self.head(everywhere.index_copy(1, self.where, tokens)) * self.asked[:, None]
        return Graded(
            self.link(scores),
            self.link.severity(scores),
            self._of_all(found.attention, 1 / found.attention[0, 0].numel()),
            points=self._of_all(found.points, torch.nan),
            extras={ASKED: self.asked},
        )

    def middles(self, found: Found, marks: Marks | None = None) -> Float[Tensor, "B N 3"]:
        """Return where boxes are cut: where targets were found, or about the marks."""
        middles = found.points.detach()
        if marks is None:
            return middles
        told, known = marks.points[:, self.where], marks.has_point[:, self.where]
        step = torch.tensor(self.hyperparameters["spacing_mm"]).to(told)
        jitter = torch.randn_like(told) * self.hyperparameters["jitter_mm"] / step
        return torch.where(known[..., None], told + jitter, middles)

    def tokens(
        self, volume: Float[Tensor, "B C I J K"], middles: Float[Tensor, "B N 3"]
    ) -> Float[Tensor, "B N E"]:
        """Return what the classifier sees in the boxes around some points."""
        tokens = []
        for n, (finding, cells) in enumerate(zip(self.findings, self.cells, strict=True)):
            mine = [at for at, t in enumerate(self.targets) if TARGETS[t].finding is finding]
            steps = getattr(self, f"steps_{n}")
            boxes = cut_boxes(volume, middles[:, mine], steps, self.is_right[mine])
            maps = self.trunk(boxes.flatten(0, 1))
            everything = maps.new_ones(len(maps), maps.shape[2], dtype=torch.float32)
            token = cells(maps, everything).float()
            tokens.append(token.view(*boxes.shape[:2], -1))
        return torch.cat(tokens, dim=1)

    def _of_all(self, values: Tensor, otherwise: float) -> Tensor:
        """Return values of all 25 targets from those of the targets asked for."""
        size = (len(values), len(TARGETS), *values.shape[2:])
        return values.new_full(size, otherwise).index_copy(1, self.where, values)

    def _box_shapes(self) -> list[tuple[int, int, int]]:
        options = self.hyperparameters
        sizes = [options["box_mm"][finding.name.lower()] for finding in self.findings]
        return [box_shape(size, options["voxel_mm"]) for size in sizes]

    def _pooling(self, pooling: Part, box: tuple[int, int, int]) -> CellPooling:
        cells = [-(-n // s) for n, s in zip(box, self.trunk.strides, strict=True)]
        sizes = (self.trunk.num_features, self.hyperparameters["width"], *cells)
        return cast("CellPooling", build_part(CELL_POOLINGS, "pooling", pooling, *sizes))

    def _register_targets(self) -> None:
        """Say which targets there are, on which side, and where the voxels of a box lie."""
        self.targets = [t.index for f in self.findings for t in TARGETS if t.finding is f]
        sides = [TARGETS[t].side is Side.RIGHT for t in self.targets]
        voxel, spacing = self.hyperparameters["voxel_mm"], self.hyperparameters["spacing_mm"]
        tables = {
            "where": torch.tensor(self.targets),
            "is_right": torch.tensor(sides),
            "asked": torch.tensor([t.finding in self.findings for t in TARGETS]),
            **{f"steps_{n}": box_steps(box, voxel, spacing)
               for n, box in enumerate(self._box_shapes())},
        }  # fmt: skip
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)


def _boxes(given: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return the size of a box for each finding."""
    for name in given:
        if name not in BOX_MM:
            raise unknown_name("box", name, BOX_MM)
    return {name: [float(mm) for mm in given.get(name, size)] for name, size in BOX_MM.items()}


def _trunk(trunk: Part, boxes: Sequence[Sequence[int]], in_channels: int) -> Backbone:
    name, options = split_part(trunk)
    check_options(Backbone, name, options)
    smallest = [min(sizes) for sizes in zip(*boxes, strict=True)]
    given = {"stride": _STRIDE, "shape": smallest, "in_channels": in_channels, **options}
    return Backbone(name, **given)
