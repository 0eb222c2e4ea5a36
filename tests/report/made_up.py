"""Grades and images made by hand, small enough to check with the eye."""

import numpy as np

from volspine.anatomy import TARGETS, Protocol
from volspine.dicom.study import Identifiers, Series, Source, Study
from volspine.geometry.stack import Stack
from volspine.grades import StudyGrades

PHANTOM = {
    "model": {
        "name": "tiny",
        "trained_on": "120 phantoms",
        "phantom_only": True,
        "held_out": {"score": 0.61, "prior": 0.8},
        "weights_sha256": "ab" * 32,
    },
    "series": [
        {"name": "s1", "protocol": "sagittal_t2", "reason": "table", "use": "yes: the only one"}
    ],
    "repairs": ["s1: one slice is missing"],
    "faults": [],
    "device": "cpu",
    "timings_s": {"read": 0.5, "grade": 1.25},
}


def make_grades(*, points=None, imputed=None, provenance=PHANTOM, name="made_up"):
    """Every target moderate, but for the right recess at L4/L5, which is severe."""
    probabilities = np.tile([0.2, 0.7, 0.1], (25, 1))
    probabilities[23] = [0.05, 0.05, 0.9]
    missing = np.zeros(25, dtype=bool) if imputed is None else imputed
    status = "partial" if missing.any() else "graded"
    return StudyGrades(
        name=name,
        probabilities=probabilities,
        imputed=missing,
        reasons=tuple("no axial T2 series" if m else "" for m in missing),
        points_mm=np.full((25, 3), np.nan) if points is None else points,
        status=status,
        reason="no axial T2 series" if missing.any() else "",
        provenance=provenance,
    )


def recesses():
    return np.array([target.condition.term.endswith("subarticular_stenosis") for target in TARGETS])


def sagittal_stack(voxels):
    """Slices to the left, 4 mm apart; columns to the back and rows down, 2 mm."""
    affine = np.array([[0, 0, 4.0, -10], [2.0, 0, 0, -20], [0, -2.0, 0, 30], [0, 0, 0, 1]])
    return Stack.from_array(voxels.astype(np.float32), affine)


def axial_stack(voxels):
    """Slices up, 4 mm apart; columns to the left and rows to the back, 2 mm."""
    affine = np.array([[2.0, 0, 0, -10], [0, 2.0, 0, -20], [0, 0, 4.0, -6], [0, 0, 0, 1]])
    return Stack.from_array(voxels.astype(np.float32), affine)


def make_study(**stacks):
    """A study of one series for each protocol given by name."""
    series = [
        Series(name, name, Protocol(name), "made up", [stack]) for name, stack in stacks.items()
    ]
    return Study(name="made_up", series=series)


MR = "1.2.840.10008.5.1.4.1.1.4"
FRAME = "1.2.826.0.1.9"


def make_dicom_study(**attributes):
    """A study of three protocols in one frame, of a patient, with an image for each slice."""
    rng = np.random.default_rng(0)
    study = make_study(
        axial_t2=axial_stack(rng.random((11, 21, 4))),
        sagittal_t1=sagittal_stack(rng.random((20, 24, 6))),
        sagittal_t2=sagittal_stack(rng.random((20, 24, 6))),
    )
    for n, series in enumerate(study.series, start=1):
        series.uid, series.frame_of_reference = f"1.2.3.{n}", FRAME
        slices = series.stacks[0].shape[2]
        series.instances = [[Source(f"{k}.dcm", k, f"1.2.3.{n}.{k}", MR) for k in range(slices)]]
    known = {"PatientName": "Doe^Jane", "PatientID": "P1", "StudyDate": "20240101"}
    study.identifiers = Identifiers("1.2.3", {**known, **attributes})
    return study
