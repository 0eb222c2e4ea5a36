"""Grid: a regular lattice in the patient's space, the same for every series of a study.

Index axes follow TorchIO's canonical order: i grows to the patient's right, j to the front, k to
the head. Millimetres are LPS as everywhere inside, so i and j run against x and y:

    x = x_centre - spacing_i * (i - (I - 1) / 2)
    y = y_centre - spacing_j * (j - (J - 1) / 2)
    z = z_centre + spacing_k * (k - (K - 1) / 2)

A grid without a centre is a size only; `centered_on` places it in the middle of what a study
covers, so that the grid of a mirrored study is the mirrored grid.

Shapes:
    I, J, K  voxels to the right, to the front and to the head
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from volspine.anatomy import PROTOCOLS
from volspine.dicom.study import Study
from volspine.errors import ConfigurationError, GeometryError
from volspine.geometry.affine import swap_lps_ras
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["Grid", "coverage_mm", "graded_stacks"]


@dataclass(frozen=True)
class Grid:
    """A RAS-aligned lattice; valid once constructed.

    Attributes:
        spacing_mm: Between voxel centres to the right, to the front and to the head.
        shape: (I, J, K).
        center_mm: LPS millimetres of the middle of the lattice; None until a study places it.

    Raises:
        ConfigurationError: If a spacing or a size is not positive, or the centre not finite.

    Example:
        >>> grid = Grid(spacing_mm=(4, 1, 1), shape=(3, 3, 3), center_mm=(10, 0, 0))
        >>> grid.mm_from_index(np.array([0.0, 0.0, 0.0])).tolist()  # leftmost, rearmost, lowest
        [14.0, 1.0, -1.0]
    """

    spacing_mm: tuple[float, float, float] = (4.0, 1.0, 1.0)
    shape: tuple[int, int, int] = (32, 192, 192)
    center_mm: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        spacing = np.asarray(self.spacing_mm, dtype=np.float64)
        center = np.zeros(3) if self.center_mm is None else np.asarray(self.center_mm, np.float64)
        sizes = np.asarray(self.shape)
        valid = (
            spacing.shape == sizes.shape == center.shape == (3,)
            and np.all(np.isfinite(spacing) & (spacing > 0) & (sizes > 0) & np.isfinite(center))
            and np.all(sizes == np.floor(sizes))
        )
        if not valid:
            raise ConfigurationError(
                f"a grid of spacing {self.spacing_mm}, shape {self.shape} and centre "
                f"{self.center_mm} is impossible",
                remedy="give three positive spacings in mm, three positive sizes and, if any, "
                "three finite coordinates",
                code="VS-CFG-038",
            )

    @property
    def affine_ras(self) -> FloatArray:
        """Voxel index to RAS millimetres, shape (4, 4); a positive diagonal and an origin.

        Raises:
            GeometryError: If the grid has no centre yet.
        """
        if self.center_mm is None:
            raise GeometryError(
                "the grid has no place yet",
                remedy="give center_mm, or use the grid that centered_on returns for a study",
                code="VS-GEO-030",
            )
        spacing = np.asarray(self.spacing_mm, dtype=np.float64)
        affine = np.diag([*spacing, 1.0])
        center_ras = swap_lps_ras(np.asarray(self.center_mm, dtype=np.float64))
        affine[:3, 3] = center_ras - spacing * (np.asarray(self.shape) - 1) / 2
        return affine

    @property
    def affine_lps(self) -> FloatArray:
        """Voxel index to LPS millimetres, shape (4, 4).

        Raises:
            GeometryError: If the grid has no centre yet.
        """
        return swap_lps_ras(self.affine_ras)

    def mm_from_index(self, index: FloatArray) -> FloatArray:
        """Return the LPS millimetres of (fractional) voxel indices, shape (..., 3)."""
        affine = self.affine_lps
        return np.asarray(index * np.diag(affine)[:3] + affine[:3, 3], dtype=np.float64)

    def index_from_mm(self, points_mm: FloatArray) -> FloatArray:
        """Return the (fractional) voxel indices of LPS points, shape (..., 3)."""
        affine = self.affine_lps
        return np.asarray((points_mm - affine[:3, 3]) / np.diag(affine)[:3], dtype=np.float64)

    def centered_on(self, study: Study) -> "Grid":
        """Return this grid in the middle of what the study covers; itself if it has a centre.

        The middle is that of the box around all graded protocols, or around everything where the
        study has none of them.

        Raises:
            GeometryError: If the study holds no stack at all.
        """
        if self.center_mm is not None:
            return self
        everything = [stack for series in study.series for stack in series.stacks]
        low, high = coverage_mm(graded_stacks(study) or everything)
        x, y, z = ((low + high) / 2).tolist()
        return replace(self, center_mm=(x, y, z))


def graded_stacks(study: Study) -> list[Stack]:
    """Return the stacks of all graded protocols, in the order of `PROTOCOLS`."""
    return [
        stack
        for protocol in PROTOCOLS
        for series in study.by_protocol(protocol)
        for stack in series.stacks
    ]


def coverage_mm(stacks: Iterable[Stack]) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest LPS coordinates that stacks reach, half a voxel out included.

    Raises:
        GeometryError: If there is no stack.
    """
    corners = [_corners_mm(stack) for stack in stacks]
    if not corners:
        raise GeometryError(
            "there is no stack to centre on",
            remedy="check the study with: volspine scan",
            code="VS-GEO-031",
        )
    points = np.concatenate(corners)
    return points.min(axis=0), points.max(axis=0)


def _corners_mm(stack: Stack) -> FloatArray:
    columns, rows, _ = stack.shape
    step = stack.affine_lps[:3, 2] / 2
    ends = np.stack([stack.slice_origins_mm[0] - step, stack.slice_origins_mm[-1] + step])
    i = np.array([-0.5, columns - 0.5])[:, None] * stack.affine_lps[:3, 0]
    j = np.array([-0.5, rows - 0.5])[:, None] * stack.affine_lps[:3, 1]
    corners = i[:, None, None] + j[None, :, None] + ends[None, None]
    return np.asarray(corners.reshape(-1, 3), dtype=np.float64)
