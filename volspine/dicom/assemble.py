"""Assemble: from parallel slices of one size to the regular stacks that they form.

Called with slices of one orientation. What cannot be one regular stack is taken apart; what cannot
be taken apart is refused; what is left out is said.
"""

from collections.abc import Sequence

import numpy as np

from volspine.dicom.instance import Instance
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import Limits
from volspine.dicom.overlap import drop_duplicates, separate
from volspine.dicom.pixels import StackDecoder
from volspine.errors import GeometryError, PixelError
from volspine.geometry.affine import orthonormalize, stack_affine
from volspine.geometry.axes import positive_normal
from volspine.geometry.piles import Pile, lines, measure, runs
from volspine.geometry.stack import Stack
from volspine.types import FloatArray

__all__ = ["MIN_SLICES", "StackAssembler", "check_pixel_spacing"]

MIN_SLICES = 3
"""Fewer slices do not show a volume."""

JITTER_NOTE = 0.01
"""Uneven positions above this fraction of the spacing are mentioned."""


class StackAssembler:
    """Assembles stacks; what it mends or leaves out goes to its ledger and its repairs.

    Args:
        ledger: Where what is left out is noted; strict reading raises repairs.
        limits: Caps on the size of a stack.
        repairs: List that repairs are added to.
    """

    def __init__(self, ledger: Ledger, limits: Limits, repairs: list[str]) -> None:
        self._ledger, self._limits, self._repairs = ledger, limits, repairs
        self._apart: list[list[Instance]] = []

    def assemble(self, slices: Sequence[Instance]) -> list[tuple[Stack, StackDecoder]]:
        """Return the stacks that parallel slices of one size form, each with its decoder.

        Raises:
            NoUsableSeriesError: If slices at one place cannot be told apart.
            LimitError: If a stack would be too large.
        """
        check_pixel_spacing(slices)
        directions = orthonormalize(np.mean([i.directions for i in slices], axis=0).reshape(6))
        origins = np.array([i.origin_mm for i in slices])
        found = []
        for line in lines(origins, directions):
            for members in self._distinct([slices[i] for i in line], directions):
                found += self._runs(members, directions)
        return found

    def _distinct(self, line: list[Instance], directions: FloatArray) -> list[list[Instance]]:
        depth = _depth(line, directions)
        kept = drop_duplicates(line, depth, limits=self._limits, repairs=self._repairs)
        line, depth = [line[i] for i in kept], depth[kept]
        parts = separate(line, depth, ledger=self._ledger, repairs=self._repairs)
        return [[line[i] for i in part] for part in parts]

    def _runs(
        self, line: list[Instance], directions: FloatArray
    ) -> list[tuple[Stack, StackDecoder]]:
        found = []
        for run in runs(_depth(line, directions)):
            members = [line[i] for i in run]
            if len(members) < MIN_SLICES:
                self._apart.append(members)
            else:
                found.append(self._stack(self._scaled(members), directions))
        return found

    def mention_apart(self) -> None:
        """Note the slices that lie apart from any stack; called once there is a stack.

        Raises:
            GeometryError: In strict reading, if there are any.
        """
        for members in self._apart:
            error = GeometryError(
                f"{len(members)} of the slices lie apart from any stack and are set aside",
                remedy="give the whole series",
                path=members[0].path,
                code="VS-GEO-009",
            )
            self._ledger.repair(error, self._repairs, where=members[0].name)

    def _scaled(self, members: list[Instance]) -> list[Instance]:
        """Leave out slices without the rescaling that the rest of their stack needs."""
        silent = [i for i in members if not i.says_scale]
        rest = [i for i in members if i.says_scale]
        needed = any((i.slope, i.intercept) != (1.0, 0.0) for i in rest)
        if not silent or not needed or len(rest) < MIN_SLICES:
            return members
        for instance in silent:
            error = PixelError(
                "missing slice: RescaleSlope is missing, which the rest of its stack has",
                remedy="export the series again",
                path=instance.path,
                code="VS-PIX-008",
            )
            self._ledger.repair(error, self._repairs, where=instance.name)
        return rest

    def _stack(self, members: list[Instance], directions: FloatArray) -> tuple[Stack, StackDecoder]:
        first = members[0]
        size = 4 * len(members) * first.layout.rows * first.layout.columns
        self._limits.check("stack_bytes", size, path=first.path, what="bytes of one stack")
        origins = np.array([i.origin_mm for i in members])
        pile = measure(origins, directions)
        self._mention(pile)
        affine = stack_affine(directions, first.spacing_mm, origins[0], step_mm=pile.step_mm)
        decoder = StackDecoder(members, strict=self._ledger.strict, limits=self._limits)
        plane = (first.layout.columns, first.layout.rows)
        return Stack(affine, origins, plane, decoder, decode_some=decoder.some), decoder

    def _mention(self, pile: Pile) -> None:
        if pile.missing:
            self._repair_geometry(
                f"missing_slices={pile.missing}: slices are missing inside a stack; the others "
                f"keep their true positions",
                code="VS-GEO-007",
            )
        if pile.is_uneven:
            self._repair_geometry(
                "uneven spacing between slices; each keeps its true position", code="VS-GEO-008"
            )
        elif pile.jitter > JITTER_NOTE:
            self._repairs.append(f"positions scatter by {pile.jitter:.0%} of the slice spacing")
        if pile.is_sheared:
            self._repairs.append(
                "sheared: slices are shifted in their own plane; the affine says so"
            )

    def _repair_geometry(self, finding: str, *, code: str) -> None:
        error = GeometryError(
            finding, remedy="export the series again if slices were lost", path=None, code=code
        )
        self._ledger.repair(error, self._repairs)


def check_pixel_spacing(slices: Sequence[Instance]) -> None:
    """Refuse parallel slices of one size whose pixel spacings differ.

    Raises:
        GeometryError: Naming the first slice that differs from the usual.
    """
    spacing = np.array([i.spacing_mm for i in slices])
    usual = np.median(spacing, axis=0)
    odd = np.flatnonzero(np.any(np.abs(spacing / usual - 1.0) > 1e-3, axis=1))
    if not len(odd):
        return
    first = slices[int(odd[0])]
    raise GeometryError(
        f"PixelSpacing differs between parallel slices of one size: {first.spacing_mm} mm beside "
        f"{tuple(usual.tolist())} mm",
        remedy="export the series again; neither value can be trusted",
        path=first.path,
        code="VS-GEO-005",
    )


def _depth(slices: Sequence[Instance], directions: FloatArray) -> FloatArray:
    origins = np.array([i.origin_mm for i in slices])
    return np.asarray(origins @ positive_normal(directions), dtype=np.float64)
