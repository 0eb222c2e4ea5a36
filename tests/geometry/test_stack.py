"""Stack: lazily decoded, and honest when a slice is lost."""

import numpy as np
import pytest

from volspine.errors import PixelError
from volspine.geometry.stack import Stack

AFFINE = np.array([[0, 0, 4.0, -8], [3, 0, 0, -20], [0, -2, 0, 30], [0, 0, 0, 1]])


def lazy(decode, slices=5):
    origins = AFFINE[:3, 3] + np.arange(slices)[:, None] * AFFINE[:3, 2]
    return Stack(AFFINE, origins, (3, 2), decode)


def test_voxels_are_decoded_once_and_only_when_used():
    calls = []

    def decode():
        calls.append(1)
        return np.zeros((3, 2, 5), np.float32), tuple(range(5)), ()

    stack = lazy(decode)
    assert stack.shape == (3, 2, 5)
    assert not calls
    assert stack.voxels is stack.voxels
    assert len(calls) == 1
    stack.release()
    _ = stack.voxels
    assert len(calls) == 2


def test_losing_slices_keeps_the_true_places_of_the_others():
    stack = lazy(lambda: (np.zeros((3, 2, 3), np.float32), (1, 2, 4), ("lost two",)))
    _ = stack.voxels
    assert stack.shape == (3, 2, 3)
    assert stack.slice_origins_mm[:, 0].tolist() == [-4, 0, 8]
    assert stack.affine_lps[:3, 3].tolist() == [-4, -20, 30]
    assert stack.repairs == ["lost two"]
    assert not stack.is_regular


def test_an_error_while_decoding_reaches_the_user_every_time():
    def decode():
        raise PixelError("nothing can be decoded")

    stack = lazy(decode)
    for _ in range(2):
        with pytest.raises(PixelError, match="nothing can be decoded"):
            _ = stack.voxels


def test_spacing_plane_and_normal_come_from_the_affine():
    stack = Stack.from_array(np.zeros((3, 2, 5), np.float32), AFFINE)
    assert stack.spacing_mm.tolist() == [3, 2, 4]
    assert stack.plane == "sagittal"
    assert stack.normal.tolist() == [1, 0, 0]
    assert stack.is_regular
    assert stack.slice_origins_mm[-1].tolist() == [8, -20, 30]
    assert repr(stack) == "<Stack sagittal (3, 2, 5) 3.00 x 2.00 x 4.00 mm>"


def test_some_slices_are_decoded_alone_and_not_kept():
    asked = []

    def some(numbers):
        asked.append(list(numbers))
        kept = tuple(k for k in numbers if k != 2)
        return np.stack([np.full((3, 2), k, np.float32) for k in kept], axis=2), kept, ()

    origins = AFFINE[:3, 3] + np.arange(5)[:, None] * AFFINE[:3, 2]
    whole = np.arange(5, dtype=np.float32) * np.ones((3, 2, 1), np.float32)
    stack = Stack(AFFINE, origins, (3, 2), lambda: (whole, tuple(range(5)), ()), decode_some=some)
    assert stack.can_decode_some
    voxels, kept = stack.slices([4, 2, 1])
    assert (kept, voxels[0, 0].tolist(), asked) == ((4, 1), [4, 1], [[4, 2, 1]])
    assert stack.shape == (3, 2, 5)
    _ = stack.voxels
    assert not stack.can_decode_some
    voxels, kept = stack.slices([4, 2, 1])
    assert (kept, voxels[0, 0].tolist(), len(asked)) == ((4, 2, 1), [4, 2, 1], 1)


def test_a_stack_that_cannot_decode_some_decodes_all():
    whole = np.arange(5, dtype=np.float32) * np.ones((3, 2, 1), np.float32)
    stack = lazy(lambda: (whole, tuple(range(5)), ()))
    assert not stack.can_decode_some
    assert stack.slices([3])[0].tolist() == [[[3.0]] * 2] * 3
