"""A tiny untrained model and small made-up studies, for everything that predicts."""

import numpy as np
import torch

from volspine.anatomy import TARGETS, Protocol
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.inference.card import Card
from volspine.models.grader import StudyGrader
from volspine.volume.grid import Grid

SPACING, SHAPE = (8.0, 6.0, 6.0), (16, 32, 32)
RECIPE = {
    "backbone": {"name": "efficientnet_lite0", "stride": 4},
    "pooling": "attention",
    "head": "linear",
    "link": "cumulative",
    "shape": list(SHAPE),
}


def tiny_grader(seed=0):
    torch.manual_seed(seed)
    grader = StudyGrader(**RECIPE)
    # An untrained head says the same of everything; spread it, so that a swap of sides shows.
    with torch.no_grad():
        for parameter in grader.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return grader.eval()


def tiny_card(**changes):
    frequencies = np.tile([0.7, 0.2, 0.1], (len(TARGETS), 1))
    values = {
        "name": "tiny",
        "trained_on": "nothing at all",
        "phantom_only": True,
        "frequencies": frequencies,
        "grid": Grid(spacing_mm=SPACING, shape=SHAPE),
        "held_out": {"score": 0.9, "prior": 0.8, "studies": 3},
    }
    return Card(**{**values, **changes})


def sagittal_stack(voxels):
    """Slices from the patient's right to the left, 5 mm apart, pixels of 3 mm."""
    affine = np.array([[0, 0, 5.0, -37.5], [3.0, 0, 0, -70], [0, -3.0, 0, 70], [0, 0, 0, 1]])
    return Stack.from_array(voxels, affine)


def axial_stack(voxels):
    """Slices from foot to head, 5 mm apart, pixels of 3 mm."""
    affine = np.array([[3.0, 0, 0, -70], [0, 3.0, 0, -70], [0, 0, 5.0, -37.5], [0, 0, 0, 1]])
    return Stack.from_array(voxels, affine)


def spine(stack, *, is_t2, pitch_mm=34):
    """Brightness of a plain spine: skin behind, a band of fluid, with discs in front of it."""
    index = np.stack(np.meshgrid(*map(np.arange, stack.shape), indexing="ij"), axis=-1)
    points = index @ stack.affine_lps[:3, :3].T + stack.affine_lps[:3, 3]
    y, z = points[..., 1], points[..., 2]
    value = np.full(stack.shape, 0.4)
    value[(y > -45) & (y < -9)] = 0.5
    value[(y > -45) & (y < -9) & (z % pitch_mm < pitch_mm / 4)] = 0.25
    value[np.abs(y) < 8] = 1.0 if is_t2 else 0.15
    value[y > 58] = 0.9
    value[y > 66] = 0.02
    return value


def make_study(seed=0, protocols=("sagittal_t1", "sagittal_t2", "axial_t2"), name="made_up"):
    """A plain spine in noise that grows to the patient's left, so that no two places look alike."""
    rng = np.random.default_rng(seed)
    series = []
    for protocol in protocols:
        noise = rng.gamma(16.0, 25.0, (48, 48, 16)).astype(np.float32)
        is_axial = protocol == "axial_t2"
        make = axial_stack if is_axial else sagittal_stack
        leftwards = np.linspace(0, 1, 48)[:, None, None] if is_axial else np.linspace(0, 1, 16)
        voxels = spine(make(noise), is_t2=protocol != "sagittal_t1") * noise
        voxels = (voxels * (0.2 + leftwards**2)).astype(np.float32)
        reason = "made up"
        series.append(Series(protocol, protocol, Protocol(protocol), reason, [make(voxels)]))
    return Study(name=name, series=series)
