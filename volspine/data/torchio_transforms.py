"""Augmentation with TorchIO: from one example to another of the same patient, differently seen.

The same interface as `transforms.LightAugment`: everything is drawn from one generator into a
record, then applied. The images pass through TorchIO's own transforms, masks with nearest
neighbours; points follow the very transform that moved the voxels; a mirror swaps sides in volume,
grades and points together. TorchIO is imported on first use, so that training without this
pipeline runs where it is not installed. It costs several times more than the light pipeline: the
bias field alone takes 0.5 s at 96x160x128.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.data.example import NUM_VIEWS, Example, mirrored, within
from volspine.data.transforms import Triple, draw_within, triple, without_views
from volspine.geometry.affine import swap_lps_ras
from volspine.types import FloatArray
from volspine.views import StudyCrops
from volspine.volume.image import label_map, scalar_image
from volspine.volume.normalize import CEILING
from volspine.volume.study_crops import BRIGHTEST

if TYPE_CHECKING:
    import torchio

__all__ = ["TorchioAugment", "TorchioRecord", "recolour"]

_BIAS_ORDER = 3
_NUM_BIAS = 20  # Monomials in three variables up to that order.


@dataclass(frozen=True, kw_only=True)
class TorchioRecord:
    """What one augmentation does; the parameters of TorchIO's deterministic transforms.

    Attributes:
        mirror: Whether left and right are exchanged.
        scale: Above 1 makes the patient larger.
        degrees: TorchIO's, about right, front and head.
        shift_mm: Towards right, front and head.
        bias: For each view, the coefficients of the bias field's logarithm; empty for none.
        blur_mm: Standard deviation for each view; 0 for none.
        gamma: Exponent for each view.
        noise: Standard deviation for each view.
        seed: Of the noise itself.
        dropped: Views that are taken away.
    """

    mirror: bool = False
    scale: float = 1.0
    degrees: Triple = (0.0, 0.0, 0.0)
    shift_mm: Triple = (0.0, 0.0, 0.0)
    bias: tuple[tuple[float, ...], ...] = ()
    blur_mm: Triple = (0.0, 0.0, 0.0)
    gamma: Triple = (1.0, 1.0, 1.0)
    noise: Triple = (0.0, 0.0, 0.0)
    seed: int = 0
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TorchioAugment:
    """Mirror, affine map, bias field, blur, gamma and noise, by TorchIO.

    Attributes:
        mirror: Probability.
        degrees: Largest rotation about each axis.
        scale: Largest relative change of size.
        shift_mm: Largest shift along each axis.
        gamma: Largest change of the exponent's logarithm.
        bias: Largest coefficient of the bias field's logarithm; applied to one example in two.
        blur_mm: Largest standard deviation of a blur; applied to one example in four.
        noise: Largest standard deviation of the noise, where 1 is the bright end.
        drop_view: Probability that one of several views is taken away.
    """

    mirror: float = 0.5
    degrees: Triple = (5.0, 3.0, 3.0)
    scale: float = 0.08
    shift_mm: Triple = (4.0, 8.0, 8.0)
    gamma: float = 0.2
    bias: float = 0.3
    blur_mm: float = 1.0
    noise: float = 0.05
    drop_view: float = 0.0

    def draw(self, rng: np.random.Generator) -> TorchioRecord:
        """Return what to do, drawn uniformly within the limits."""
        has_bias, has_blur = rng.random() < 0.5, rng.random() < 0.25
        bias = rng.uniform(-self.bias, self.bias, (NUM_VIEWS, _NUM_BIAS))
        return TorchioRecord(
            mirror=bool(rng.random() < self.mirror),
            scale=float(np.exp(rng.uniform(-1, 1) * np.log1p(self.scale))),
            degrees=draw_within(rng, self.degrees),
            shift_mm=draw_within(rng, self.shift_mm),
            bias=tuple(tuple(row) for row in bias.tolist()) if has_bias and self.bias else (),
            blur_mm=triple(rng.uniform(0, self.blur_mm, 3) * has_blur),
            gamma=triple(np.exp(rng.uniform(-self.gamma, self.gamma, 3))),
            noise=triple(rng.uniform(0, self.noise, 3)),
            seed=int(rng.integers(2**31)),
            dropped=(int(rng.integers(NUM_VIEWS)),) if rng.random() < self.drop_view else (),
        )

    def __call__(self, example: Example, rng: np.random.Generator, spacing_mm: Triple) -> Example:
        """Return the augmented example; the input is left as it was."""
        return apply(example, self.draw(rng), spacing_mm)


def apply(example: Example, record: TorchioRecord, spacing_mm: Triple) -> Example:
    """Return what a record makes of an example, through TorchIO.

    Args:
        example: Left as it was.
        record: What to do.
        spacing_mm: Of the grid.
    """
    import torchio

    if record.mirror:
        example = mirrored(example)
    shape = (example.volume.shape[1], example.volume.shape[2], example.volume.shape[3])
    affine_lps = _centred_affine_lps(shape, spacing_mm)
    subject = _subject(example, affine_lps)
    affine = torchio.Affine(
        scales=(record.scale,) * 3,
        degrees=record.degrees,
        translation=record.shift_mm,
        default_pad_value=0.0,
        copy=False,
    )
    points = _moved(example.points.double().numpy(), affine, subject)
    subject = torchio.Compose([affine, *_intensities(record)], copy=False)(subject)
    images = torch.stack([subject.get_image(p.value).data[0] for p in PROTOCOLS]).float()
    masks = torch.stack([subject.get_image(_mask(p)).data[0] for p in PROTOCOLS]).float()
    images, masks = without_views(images.clamp(0.0, CEILING) * masks, masks, record.dropped)
    moved = torch.tensor(points, dtype=torch.float32)
    return example._replace(
        volume=torch.cat([images, masks]),
        points=moved,
        has_point=example.has_point & within(moved, shape),
    )


def recolour(
    crops: StudyCrops, rng: np.random.Generator, *, augment: "TorchioAugment | None" = None
) -> StudyCrops:
    """Return the crops of a study with bias field, blur, gamma and noise by TorchIO.

    Places stay as they are, so no side can be swapped. The levels of a protocol vary alike.

    Args:
        crops: Of one study; left as they were.
        rng: Where chance comes from.
        augment: How much varies; its usual amounts if omitted.
    """
    import torchio

    record = (augment or TorchioAugment()).draw(rng)
    stacks = [*crops.sagittal.unbind(1)]
    stacks.insert(PROTOCOLS.index(Protocol.AXIAL_T2), crops.axial)
    steps = crops.affine_lps[0, :, :3, :3].norm(dim=1).numpy()
    image_of: Any = torchio.ScalarImage
    images = {
        protocol.value: image_of(tensor=stack.float(), affine=np.diag([*step, 1.0]))
        for protocol, stack, step in zip(PROTOCOLS, stacks, steps, strict=True)
    }
    made = torchio.Compose(_intensities(record), copy=False)(torchio.Subject(**images))
    t1, t2, axial = (made.get_image(protocol.value).data for protocol in PROTOCOLS)
    sagittal = torch.stack([t1, t2], dim=1).clamp(0.0, BRIGHTEST) * crops.sagittal_mask
    return crops._replace(
        sagittal=sagittal.half(),
        axial=(axial.clamp(0.0, BRIGHTEST) * crops.axial_mask).half(),
    )


def _centred_affine_lps(shape: tuple[int, int, int], spacing_mm: Triple) -> FloatArray:
    steps = np.asarray(spacing_mm) * np.array([-1.0, -1.0, 1.0])
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.asarray(shape) - 1) / 2
    return affine


def _subject(example: Example, affine_lps: FloatArray) -> "torchio.Subject":
    import torchio

    volume = example.volume.numpy()
    images: dict[str, Any] = {}
    for view, protocol in enumerate(PROTOCOLS):
        mask = volume[NUM_VIEWS + view] > 0.5
        images[protocol.value] = scalar_image(volume[view].copy(), affine_lps)
        images[_mask(protocol)] = label_map(mask, affine_lps)
    return torchio.Subject(**images)


def _intensities(record: TorchioRecord) -> list[Any]:
    import torchio

    names = [protocol.value for protocol in PROTOCOLS]
    chain: list[Any] = []
    if record.bias:
        fields = dict(zip(names, map(list, record.bias), strict=True))
        orders = dict.fromkeys(names, _BIAS_ORDER)
        chain.append(torchio.BiasField(fields, orders, copy=False))
    if any(record.blur_mm):
        widths = {n: (s, s, s) for n, s in zip(names, record.blur_mm, strict=True)}
        chain.append(torchio.Blur(widths, copy=False))
    chain.append(torchio.Gamma(dict(zip(names, record.gamma, strict=True)), copy=False))
    if any(record.noise):
        spread = dict(zip(names, record.noise, strict=True))
        seeds = {name: record.seed + view for view, name in enumerate(names)}
        chain.append(torchio.Noise(dict.fromkeys(names, 0.0), spread, seeds, copy=False))
    return chain


def _moved(points: FloatArray, affine: Any, subject: "torchio.Subject") -> FloatArray:
    """Return voxel indices after a TorchIO affine map, by that map's own arithmetic."""
    image = subject.get_image(PROTOCOLS[0].value)
    # TorchIO hands SimpleITK the map from output to input places; points go the other way.
    forward = affine.get_affine_transform(image).GetInverse()
    to_ras = np.asarray(image.affine, dtype=np.float64)
    lps = swap_lps_ras(points @ to_ras[:3, :3].T + to_ras[:3, 3])
    moved = swap_lps_ras(np.array([forward.TransformPoint(p) for p in lps.tolist()]))
    return np.asarray(np.linalg.solve(to_ras[:3, :3], (moved - to_ras[:3, 3]).T).T)


def _mask(protocol: Protocol) -> str:
    return f"{protocol.value}_mask"
