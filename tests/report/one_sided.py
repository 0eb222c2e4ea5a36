"""A study with one bright ball on the patient's left, its slices stored in odd orders.

The canal runs down at x = 0, five levels 30 mm apart. The ball lies at the left recess of L3/L4.
Bright plates at the back above and below, alike on both sides, keep the ground dim. Nothing else is
bright, so a picture that is mirrored anywhere shows the ball on the wrong side.
"""

import numpy as np

from tests.report.made_up import PHANTOM
from volspine.anatomy import LEVELS, TARGETS, Finding, Protocol, Side
from volspine.dicom.study import Series, Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades

BALL_MM = np.array([12.0, 0.0, 0.0])
RADIUS_MM = 6.0
LEFT_RECESS, RIGHT_RECESS = 17, 22
ASIDE_MM = {Finding.CANAL: 0.0, Finding.FORAMEN: 20.0, Finding.RECESS: 12.0}


def points():
    """The places of the 25 targets."""
    found = np.zeros((25, 3))
    for target in TARGETS:
        side = {Side.LEFT: 1, Side.RIGHT: -1, None: 0}[target.side]
        down = 60.0 - 30.0 * LEVELS.index(target.level)
        found[target.index] = (side * ASIDE_MM[target.finding], 0.0, down)
    return found


def stack_of(affine, shape):
    """The ball as a stack with this affine sees it, on dim ground that is not flat."""
    affine = np.array(affine, dtype=np.float64)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    place = index @ affine[:3, :3].T + affine[:3, 3]
    ground = 100 + 20 * np.sin(place / 7).sum(axis=-1)
    is_ball = np.linalg.norm(place - BALL_MM, axis=-1) < RADIUS_MM
    is_plate = (place[..., 1] > 36) & (np.abs(place[..., 2]) > 60)
    return Stack.from_array(np.where(is_ball | is_plate, 1000, ground).astype(np.float32), affine)


# Columns run to the right, rows to the front, slices down: as upside down as can be.
AXIAL = [[-1.5, 0, 0, 60], [0, -1.5, 0, 45], [0, 0, -4.0, 72], [0, 0, 0, 1]]
# Columns run up, rows to the front, slices to the right.
SAGITTAL = [[0, 0, -4.0, 30], [0, -1.5, 0, 45], [1.5, 0, 0, -85], [0, 0, 0, 1]]


def study(name="one_sided"):
    """Three series of one stack each."""
    stacks = {
        Protocol.SAGITTAL_T1: stack_of(SAGITTAL, (115, 60, 16)),
        Protocol.SAGITTAL_T2: stack_of(SAGITTAL, (115, 60, 16)),
        Protocol.AXIAL_T2: stack_of(AXIAL, (80, 60, 36)),
    }
    series = [
        Series(f"1.2.{n}", f"{name} {n}", protocol, "made up", [stack])
        for n, (protocol, stack) in enumerate(stacks.items())
    ]
    return Study(name=name, series=series)


def provenance(made):
    """What a result says of its series and of the squares that it looked at."""
    names = {series.protocol: series.name for series in made.series}
    crops = {
        level.value: {
            protocol.value: {"series": name, "stack": 0, "slices": {}, "side_mm": {}}
            for protocol, name in names.items()
        }
        for level in LEVELS
    }
    for target, point in zip(TARGETS, points(), strict=True):
        for protocol in target.finding.primary_views:
            (series,) = made.by_protocol(protocol)
            stack = series.stacks[0]
            away = np.abs((stack.slice_origins_mm - point) @ stack.normal)
            k = int(away.argmin())
            facts = crops[target.level.value][protocol.value]
            facts["slices"][target.condition.term] = [k - 1, k, k + 1]
            facts["side_mm"][target.condition.term] = 24.0
    told = [
        {"name": series.name, "protocol": "p", "reason": "r", "use": "yes: it is", "is_used": True}
        for series in made.series
    ]
    looks = {t.name: [0.1, 0.2, 0.6] for t in TARGETS}
    return {
        **PHANTOM,
        "series": told,
        "crops": crops,
        "looks": {"count": 2, "low": looks, "high": {t.name: [0.2, 0.3, 0.7] for t in TARGETS}},
    }


def grades(made):
    """All normal but the left recess of L3/L4, which is severe."""
    probabilities = np.tile([0.9, 0.07, 0.03], (25, 1))
    probabilities[LEFT_RECESS] = [0.1, 0.25, 0.65]
    return StudyGrades(
        name=made.name,
        probabilities=probabilities,
        imputed=np.zeros(25, dtype=bool),
        reasons=("",) * 25,
        points_mm=points(),
        status="graded",
        provenance=provenance(made),
    )
