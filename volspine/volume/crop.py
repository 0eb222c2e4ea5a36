"""A study and its landmarks -> its levels as small tensors, a crop for each level and protocol.

The same tensors as `phantom.crops` makes without DICOM: a crop keeps the slices of the stack that
shows most of the level (see `cutting`), or is resampled along the disc. It is centred on the canal,
or on the foramen or the recess of one side. A right side is mirrored, so that a network reads both
sides as left ones; `affine_lps` and `points_index` then still say where everything is in the
patient, and points keep the names of the patient's own sides.

Values are raw. What is not there is not an error: the crop is zero, its mask empty, and its source
says why.

Shapes:
    D, H, W  slices, rows and columns of a crop      5 targets of a level, in `Condition`'s order
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from volspine.anatomy import LEVELS, PROTOCOLS, Condition, Finding, Level, Protocol, Side
from volspine.dicom.study import Study
from volspine.errors import VolspineError
from volspine.geometry.stack import Stack
from volspine.geometry.window import LevelFrame, Window, level_frames
from volspine.landmarks import Landmarks
from volspine.types import ArrayLike, FloatArray
from volspine.volume.crop_records import AS_ACQUIRED, CropHow, CropSource, LevelCrop
from volspine.volume.crop_sampling import sample_fast, sample_reference
from volspine.volume.cutting import (
    Cut,
    Place,
    best_cut,
    cut_native,
    cut_window,
    places_of,
    plane_shown,
)

__all__ = [
    "AS_ACQUIRED",
    "CropHow",
    "CropSource",
    "Cropper",
    "LevelCrop",
    "crop_level",
    "crop_study",
]

_NOWHERE = (0.0, 0.0, 0.0)

_BESIDE: Mapping[Finding, tuple[float, float, float]] = {
    Finding.FORAMEN: (17.0, -7.0, 10.0),
    Finding.RECESS: (8.0, -5.0, 0.0),
}
"""Where a left foramen or recess is taken to lie from the canal if its landmark is absent: mm to
the left, the back and the head of the level's frame; the mean over phantoms."""


def crop_level(
    study: Study,
    landmarks: Landmarks,
    *,
    level: Level,
    view: Protocol,
    side: Side | None = None,
    how: CropHow = AS_ACQUIRED,
) -> LevelCrop:
    """Return one level of a study in one protocol.

    Args:
        study: The images, native.
        landmarks: Of the same study.
        level: Which level.
        view: Which graded protocol.
        side: `RIGHT` mirrors the crop; None centres it on the canal whatever `how` says.
        how: Shape, alignment, sampling.
    """
    return Cropper(study, landmarks, how=how).crop(level, view, side=side)


def crop_study(
    study: Study,
    landmarks: Landmarks,
    *,
    side: Side | None = None,
    offsets_mm: FloatArray | None = None,
    how: CropHow = AS_ACQUIRED,
) -> list[dict[Protocol, LevelCrop]]:
    """Return all levels of a study, cranial to caudal, in all graded protocols.

    Args:
        study: The images, native.
        landmarks: Of the same study.
        side: As for `crop_level`.
        offsets_mm: (5, 3) from each level's place to the middle of its crops, LPS.
        how: Shape, alignment, sampling.
    """
    cropper = Cropper(study, landmarks, how=how)
    offsets = np.zeros((len(LEVELS), 3)) if offsets_mm is None else offsets_mm
    return [
        {view: cropper.crop(level, view, side=side, offset_mm=offset) for view in PROTOCOLS}
        for level, offset in zip(LEVELS, offsets, strict=True)
    ]


@dataclass
class Cropper:
    """Cuts levels out of one study; of a stack that nobody decoded, the slices that are shown.

    Args:
        study: The images, native.
        landmarks: Of the same study.
        how: Shape, alignment, sampling.
        frames: Of the levels; those of the landmarks if omitted.
    """

    study: Study
    landmarks: Landmarks
    how: CropHow = AS_ACQUIRED
    frames: tuple[LevelFrame | None, ...] | None = None
    _places: dict[Protocol, list[Place]] = field(default_factory=dict, init=False, repr=False)
    _tried: dict[int, dict[int, bool]] = field(default_factory=dict, init=False, repr=False)
    _tensors: dict[int, torch.Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.frames is None:
            self.frames = level_frames(self.landmarks)

    def crop(
        self,
        level: Level,
        view: Protocol,
        *,
        side: Side | None = None,
        offset_mm: ArrayLike = _NOWHERE,
    ) -> LevelCrop:
        """Return one level in one protocol; see `crop_level`.

        Args:
            level: Which level.
            view: Which graded protocol.
            side: `RIGHT` mirrors the crop; None centres it on the canal whatever `how` says.
            offset_mm: From the level's place to the middle of the crop, LPS.
        """
        frame = (self.frames or ())[LEVELS.index(level)]
        if frame is None:
            return self._absent(level, view, f"{level.label} was not located")
        centre = self._centre(frame, side) + np.asarray(offset_mm, dtype=np.float64)
        try:
            cut = self._cut(frame, view, centre)
        except VolspineError as error:
            reason = f"the {view.label} series cannot be decoded ({error.code})"
            return self._absent(level, view, reason)
        if cut is None:
            return self._absent(level, view, f"the study has no {view.label} series")
        return self._filled(level, cut.mirrored() if side is Side.RIGHT else cut)

    def _centre(self, frame: LevelFrame, side: Side | None) -> FloatArray:
        finding = self.how.center
        if side is None or finding is Finding.CANAL:
            return frame.origin_mm
        row = next(n for n, c in enumerate(Condition) if (c.finding, c.side) == (finding, side))
        point = self._points(frame.level)[row]
        if np.isfinite(point).all():
            return np.asarray(point, dtype=np.float64)
        left, back, head = _BESIDE[finding]
        return frame.patient(np.array([left if side is Side.LEFT else -left, back, head]))

    def _points(self, level: Level) -> FloatArray:
        return self.landmarks.points_mm[LEVELS.index(level) :: len(LEVELS)]

    def _cut(self, frame: LevelFrame, view: Protocol, centre: FloatArray) -> Cut | None:
        """Return the crop in the stack that shows most of it, decoded; None without a series."""
        places = self._places.setdefault(view, places_of(self.study, view))
        if not places:
            return None
        cut = self._best(places, frame, view, centre)
        stack, before = cut.place.stack, cut.place.stack.shape
        if stack.can_decode_some and cut.slices is not None and self.how.sampler == "fast":
            return self._with_slices(cut)
        if self._tried.pop(id(stack), None):
            del self._tensors[id(stack)]  # Somebody decoded all of it since.
        _ = stack.voxels  # Decoding may drop slices.
        return cut if stack.shape == before else self._best(places, frame, view, centre)

    def _with_slices(self, cut: Cut) -> Cut:
        """Decode the slices that a crop shows, those that no other did; leave out what fails."""
        stack = cut.place.stack
        tried = self._tried.setdefault(id(stack), {})
        wanted = [k for _, k in cut.shown if k not in tried]
        if wanted:
            voxels, kept = stack.slices(wanted)
            tensor = self._tensor(stack)
            for n, k in enumerate(kept):
                tensor[k] = torch.from_numpy(voxels[:, :, n].T).to(tensor.device)
            tried |= {k: k in kept for k in wanted}
        return replace(cut, slices=tuple(k if tried.get(k) else -1 for k in cut.slices or ()))

    def _best(
        self, places: list[Place], frame: LevelFrame, view: Protocol, centre: FloatArray
    ) -> Cut:
        plane = plane_shown(view)
        shape = self.how.shapes[0 if plane == "sagittal" else 1]
        aligned = self.how.aligned
        best = best_cut([
            cut_native(place, frame, centre, shape=shape, plane=plane, aligned=aligned)
            for place in places
        ])  # fmt: skip
        if self.how.slice_mm is None:
            return best
        return cut_window(best.place, self._window(frame, view, centre), centre)

    def _window(self, frame: LevelFrame, view: Protocol, centre: FloatArray) -> Window:
        plane = plane_shown(view)
        shape = self.how.shapes[0 if plane == "sagittal" else 1]
        x, y, z = (centre - frame.origin_mm).tolist()
        spacing = (self.how.slice_mm or _USUAL_SLICE_MM, shape.pixel_mm, shape.pixel_mm)
        return Window(frame, plane, (shape.slices, *shape.pixels), spacing, (x, y, z))

    def _filled(self, level: Level, cut: Cut) -> LevelCrop:
        mask = cut.measured()
        if self.how.sampler == "reference":
            image = torch.from_numpy(sample_reference(cut, mask))
        else:
            image = sample_fast(cut, mask, self._tensor(cut.place.stack))
        is_empty = not mask.any()
        source = CropSource(
            series=cut.place.series.name,
            stack=cut.place.number,
            slices=cut.slices or (),
            gap_mm=cut.gap_mm,
            tilt_deg=cut.tilt_deg,
            is_covered=cut.is_covered and not is_empty,
            reason=_not_reached(level, cut) if is_empty else "",
        )
        return self._placed(level, image, torch.from_numpy(mask), (cut.affine_lps, source))

    def _tensor(self, stack: Stack) -> torch.Tensor:
        """Return the voxels of a stack, (K, J, I); zeros to be filled where some are decoded."""
        if id(stack) not in self._tensors:
            if stack.can_decode_some:
                voxels = torch.zeros(stack.shape[::-1], device=self.how.device)
            else:
                voxels = torch.from_numpy(np.ascontiguousarray(stack.voxels.transpose(2, 1, 0)))
            self._tensors[id(stack)] = voxels.to(self.how.device)
        return self._tensors[id(stack)]

    def _absent(self, level: Level, view: Protocol, reason: str) -> LevelCrop:
        """Return an empty crop, lying where it would if there were a frame to lie in."""
        frame = (self.frames or ())[LEVELS.index(level)]
        upright = LevelFrame(level, np.zeros(3), np.eye(3))
        window = self._window(frame or upright, view, (frame or upright).origin_mm)
        image, mask = torch.zeros(window.shape), torch.zeros(window.shape, dtype=torch.bool)
        how = (window.affine_lps, CropSource(reason=reason))
        return self._placed(level, image.to(self.how.device), mask, how)

    def _placed(
        self,
        level: Level,
        image: torch.Tensor,
        mask: torch.Tensor,
        where: tuple[FloatArray, CropSource],
    ) -> LevelCrop:
        affine, source = where
        index = np.linalg.solve(affine[:3, :3], (self._points(level) - affine[:3, 3]).T).T
        return LevelCrop(
            image=image,
            mask=mask.to(image.device),
            affine_lps=torch.from_numpy(affine),
            points_index=torch.from_numpy(index).float(),
            source=source,
        )


_USUAL_SLICE_MM = 4.4
"""Distance of slices that an empty crop is given; the median of public lumbar studies."""


def _not_reached(level: Level, cut: Cut) -> str:
    name = cut.place.series.protocol.label
    if not cut.shown and cut.slices is not None:
        return f"no {name} slice reaches {level.label}: the nearest is {cut.gap_mm:.0f} mm away"
    return f"{level.label} lies outside the field of view of the {name} series"
