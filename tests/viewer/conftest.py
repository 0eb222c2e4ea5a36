"""Studies and grades whose right answer is known by hand."""

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Protocol, Side
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades

BALL_MM = np.array([14.0, -9.0, 21.0])
"""To the patient's left, front and head: every sign differs from its mirror image."""

RADIUS_MM = 11.0


def ball_at(points_mm, center_mm=BALL_MM):
    """A ball with a soft rim, so that its centre of mass does not depend on the sampling."""
    distance = np.linalg.norm(points_mm - center_mm, axis=-1)
    return (900 * np.clip((RADIUS_MM + 1.5 - distance) / 3, 0, 1)).astype(np.float32)


def stack_of(axes, spacing, shape, *, center=(0.0, 0.0, 0.0), value=ball_at):
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(axes) * np.asarray(spacing)
    affine[:3, 3] = np.asarray(center) - affine[:3, :3] @ (np.asarray(shape) - 1) / 2
    index = np.moveaxis(np.indices(shape).astype(np.float64), 0, -1)
    return Stack.from_array(value(index @ affine[:3, :3].T + affine[:3, 3]), affine)


SAGITTAL = [[0, 0, 1], [1, 0, 0], [0, -1, 0]]


def tilted(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return [[1, 0, 0], [0, c, -s], [0, s, c]]


@pytest.fixture(scope="session")
def ball_mm():
    return BALL_MM


@pytest.fixture(scope="session")
def ball_study():
    """One ball in air, in a sagittal series and in an axial one of two tilted stacks."""
    sagittal = stack_of(SAGITTAL, (1.0, 1.0, 3.0), (80, 90, 21))
    axial = [
        stack_of(tilted(t), (0.9, 0.9, 3.0), (90, 90, 14), center=(0, 0, z))
        for z, t in ((25, 9), (-22, -6))
    ]
    return Study(
        "ball",
        [
            Series("1", "sag", Protocol.SAGITTAL_T2, "made", [sagittal]),
            Series("2", "ax", Protocol.AXIAL_T2, "made", axial),
        ],
    )


@pytest.fixture(scope="session")
def grades():
    """All grades at known places: one level each 30 mm, left at +15 mm, right at -15 mm."""
    probabilities = np.tile([0.2, 0.3, 0.5], (25, 1))
    probabilities[:5] = [0.8, 0.1, 0.1]
    points = np.zeros((25, 3))
    for target in TARGETS:
        x = {None: 0.0, Side.LEFT: 15.0, Side.RIGHT: -15.0}[target.side]
        points[target.index] = [x, 5.0, 60.0 - 30.0 * list(type(target.level)).index(target.level)]
    points[24] = np.nan
    imputed = np.zeros(25, np.bool_)
    imputed[23] = True
    return StudyGrades(
        name="graded",
        probabilities=probabilities,
        imputed=imputed,
        reasons=("",) * 25,
        points_mm=points,
        status="partial",
    )
