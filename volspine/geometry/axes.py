"""Axes: from direction vectors to the words of anatomy.

In DICOM's LPS frame x grows to the patient's left, y to the back (posterior) and z to the head
(superior). A slice is sagittal when its normal is nearest to x, coronal for y, axial for z.
"""

from typing import Literal

import numpy as np

from volspine.types import Float

__all__ = ["PLANES", "Plane", "direction_letter", "plane_of", "positive_normal"]

Plane = Literal["sagittal", "coronal", "axial"]

PLANES: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
"""The plane whose normal is the x, y and z axis."""

_LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


def positive_normal(directions: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "3"]:
    """Return the unit normal of a slice that points to the left, the back or the head.

    Which of the three is the axis that the normal is nearest to; the order of rows and columns in
    the file does not matter, so the same slices are always walked in the same sense.

    Example:
        >>> positive_normal(np.array([[0, 1, 0], [0, 0, -1.0]])).tolist()
        [1.0, 0.0, 0.0]
    """
    normal = np.cross(directions[0], directions[1])
    normal = normal / np.linalg.norm(normal)
    nearest = int(np.argmax(np.abs(normal)))
    return np.asarray(normal * np.sign(normal[nearest]) + 0.0, dtype=np.float64)


def plane_of(normal: Float[np.ndarray, "3"]) -> Plane:
    """Return the anatomical plane that a slice with this normal is nearest to.

    Example:
        >>> plane_of(np.array([0.0, 0.3, -0.95]))
        'axial'
    """
    return PLANES[int(np.argmax(np.abs(normal)))]


def direction_letter(direction: Float[np.ndarray, "3"]) -> str:
    """Return where a direction points: L or R, A or P, S or I, of the patient.

    Example:
        >>> direction_letter(np.array([-0.9, 0.1, 0.0]))
        'R'
    """
    nearest = int(np.argmax(np.abs(direction)))
    return _LETTERS[nearest][int(direction[nearest] > 0)]
