"""Patches of nobody: noise of the right shapes, and what is needed to turn them round."""

import torch

from volspine.views import VIEWS, Patches


def made_patches(studies: int = 2, seed: int = 0) -> Patches:
    """Noise where every slice was measured."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(studies, len(v.targets), v.slices, v.pixels, v.pixels) for v in VIEWS]
    images = tuple(torch.randn(size, generator=generator) for size in sizes)
    return Patches(images, tuple(torch.ones(size[:3]) for size in sizes))


def without(patches: Patches, *views: int) -> Patches:
    """The same where some views were not measured."""
    kept = [v not in views for v in range(len(VIEWS))]
    return Patches(
        tuple(image * k for image, k in zip(patches.images, kept, strict=True)),
        tuple(c * k for c, k in zip(patches.covered, kept, strict=True)),
    )


def with_symmetric_canal(patches: Patches) -> Patches:
    """The same with canals that look alike in the mirror."""
    sagittal, axial, *rest = patches.images
    even = ((sagittal + sagittal.flip(2)) / 2, (axial + axial.flip(4)) / 2, *rest)
    return Patches(even, patches.covered)
