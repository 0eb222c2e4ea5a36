"""Heat: what a grade looked at -> how hot each place is, tissue tinted by it, and where to cut.

With h the heat of a patch and v the volume of its voxels, the share of a place is

    share(p) = sum over patches of h(p) / v  /  (largest h / v of any patch)

so that a place has the same share in every view, however coarse. A series shows only the heat of
its own protocol: what a grade looked at elsewhere it did not look at there.

Shapes:
    N  places
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from volspine.anatomy import Protocol
from volspine.types import FloatArray
from volspine.viewer.palette import HEAT_COLOR, ColorArray, rgb
from volspine.volume.heat import PatchHeat, Saliency

__all__ = ["Heat"]

_OPACITY = 0.8
"""Of the tint where the heat is greatest."""

_SAID = {
    "attention": "where it was read from (attention)",
    "gradcam": "what speaks for it (Grad-CAM)",
}


@dataclass(frozen=True, eq=False)
class Heat:
    """What one grade looked at, to be drawn.

    Attributes:
        saliency: Its heat, with places.
        grade: What the grade is, in words.
    """

    saliency: Saliency
    grade: str

    @property
    def caption(self) -> tuple[str, str]:
        """Two lines: whose grade, and what its heat means."""
        said = _SAID[self.saliency.method] if self.scale > 0 else "it looked at no place more"
        return f"{self.saliency.target.label}: {self.grade}", said

    @cached_property
    def scale(self) -> float:
        """The largest heat of a cubic millimetre; 0 if there is none."""
        return max((_peak(patch) for patch in self.saliency.patches), default=0.0)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What was looked at, the hottest first."""
        ranked = sorted(self.saliency.patches, key=_peak, reverse=True)
        return tuple(dict.fromkeys(patch.protocol for patch in ranked))

    def place_mm(self, protocol: Protocol | None = None) -> FloatArray:
        """Return the hottest place, LPS; the middle of a patch if there is no heat.

        Args:
            protocol: In which series; in all if omitted, or if it was not looked at.
        """
        every = self.saliency.patches
        patch = max(self._of(protocol) or every, key=_peak)
        if patch.total == 0:
            return patch.slice_middle_mm(len(patch.values) // 2)
        place = np.unravel_index(int(patch.values.argmax()), patch.values.shape)
        return np.asarray((patch.affine_lps @ [*place, 1.0])[:3], dtype=np.float64)

    def cut_x_mm(self, protocols: Sequence[Protocol]) -> float:
        """Return up to which x to draw sagittal series, so that the heat is in sight.

        Args:
            protocols: Of the series that are drawn.
        """
        sagittal = [p for p in self.protocols if p is not Protocol.AXIAL_T2 and p in protocols]
        if sagittal:
            return float(self.place_mm(sagittal[0])[0]) + 1.0  # With the hottest slice itself.
        return min(float(_corners_mm(patch)[:, 0].min()) for patch in self.saliency.patches)

    def shares(self, points_mm: FloatArray, protocol: Protocol) -> FloatArray:
        """Return how hot places are in the series of a protocol, (N,), 0 to 1.

        Args:
            points_mm: (N, 3) LPS.
            protocol: One that was not looked at is cold.
        """
        shares = np.zeros(len(points_mm))
        for patch in self._of(protocol):
            shares += patch.at(points_mm) / (_volume_mm3(patch) * max(self.scale, 1e-30))
        return np.clip(shares, 0.0, 1.0)

    def tinted(self, colors: ColorArray, points_mm: FloatArray, protocol: Protocol) -> ColorArray:
        """Return the colours (N, 3) of tissue with the heat over it.

        Args:
            colors: (N, 3).
            points_mm: (N, 3) LPS.
            protocol: Of the series that the tissue is seen in.
        """
        shares = self.shares(np.asarray(points_mm, dtype=np.float64), protocol)
        hot = np.flatnonzero(shares)
        tinted, opacity = colors.copy(), _OPACITY * shares[hot, None]
        tinted[hot] = np.rint(colors[hot] * (1 - opacity) + np.array(rgb(HEAT_COLOR)) * opacity)
        return tinted

    def _of(self, protocol: Protocol | None) -> list[PatchHeat]:
        return [patch for patch in self.saliency.patches if patch.protocol is protocol]


def _volume_mm3(patch: PatchHeat) -> float:
    return float(abs(np.linalg.det(patch.affine_lps[:3, :3])))


def _peak(patch: PatchHeat) -> float:
    """Return the largest heat of a cubic millimetre of a patch."""
    return float(patch.values.max()) / _volume_mm3(patch)


def _corners_mm(patch: PatchHeat) -> FloatArray:
    far = np.array(patch.values.shape, dtype=np.float64) - 1
    corners = np.array(list(np.ndindex(2, 2, 2)), dtype=np.float64) * far
    return np.asarray(corners @ patch.affine_lps[:3, :3].T + patch.affine_lps[:3, 3])
