"""The phantom is the alarm: every fault of a pipeline takes the reader below its bar."""

from dataclasses import replace

import numpy as np
import pytest

from tests.phantom import alarm
from volspine.anatomy import MIRRORED_INDEX, TARGETS, Finding, Protocol
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.phantom.spec import Size

SAGITTAL = (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2)
LATERAL = (Finding.FORAMEN, Finding.RECESS)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((Size.SMALL, 12), id="small", marks=pytest.mark.slow),
        pytest.param((Size.FULL, 10), id="full", marks=pytest.mark.slow),
    ],
)
def sample(request):
    return alarm.draw_sample(*request.param)


def test_a_sound_pipeline_stays_above_the_bars(sample):
    found = sample.sound
    for finding, bar in alarm.BARS.items():
        assert found[finding] > bar


def test_labels_on_the_wrong_side_ring(sample):
    def mutate(study, points):
        return study, points[list(MIRRORED_INDEX)]

    found = sample.score(mutate)
    for finding in LATERAL:
        assert found[finding] < alarm.BARS[finding]
    # What lies on the midline cannot tell.
    assert found[Finding.CANAL] == sample.sound[Finding.CANAL]


def test_images_mirrored_without_their_geometry_ring(sample):
    def flip(stack):
        return alarm.revoxeled(stack, np.flip(stack.voxels, alarm.left_axis(stack)))

    def mutate(study, points):
        return alarm.rebuilt(study, flip), points

    found = sample.score(mutate)
    for finding in LATERAL:
        assert found[finding] < alarm.BARS[finding]


def test_instance_numbers_taken_for_right_to_left_ring_where_they_are_not(sample):
    runs_left_to_right = [
        next(s.centres_mm[0, 0] > s.centres_mm[-1, 0] for s in m.plan.series if s.is_sagittal)
        for m in sample.made
    ]
    assert 0 < sum(runs_left_to_right) < len(sample.made)

    # Either order occurs, so each study may be numbered the way that such a reader gets wrong.
    def mutate(study, points):
        def turn(stack):
            return alarm.revoxeled(stack, stack.voxels[:, :, ::-1])

        return alarm.rebuilt(study, turn, SAGITTAL), points

    found = sample.score(mutate)
    assert found[Finding.FORAMEN] < alarm.BARS[Finding.FORAMEN]


def test_levels_counted_from_below_ring(sample):
    def mutate(study, points):
        return study, points.reshape(5, 5, 3)[:, ::-1].reshape(25, 3)

    found = sample.score(mutate)
    for finding, bar in alarm.BARS.items():
        assert found[finding] < bar


def test_one_affine_for_many_axial_stacks_rings(sample):
    many = [len(s.by_protocol(Protocol.AXIAL_T2)[0].stacks) > 1 for s in sample.studies]
    assert sum(many) > 3

    def mutate(study, points):
        series = [
            alarm.single_affine(s) if s.protocol is Protocol.AXIAL_T2 else s for s in study.series
        ]
        return Study(study.name, series), points

    found = sample.score(mutate, many)
    for finding in (Finding.CANAL, Finding.RECESS):
        assert found[finding] < alarm.BARS[finding]


def test_rows_and_columns_confused_ring(sample):
    def turn(stack):
        return alarm.revoxeled(stack, stack.voxels.transpose(1, 0, 2)[: stack.shape[0]])

    def mutate(study, points):
        square = [s for s in study.series for t in s.stacks if t.shape[0] == t.shape[1]]
        return alarm.rebuilt(study, turn, {s.protocol for s in square}), points

    square = [all(t.shape[0] == t.shape[1] for s in study.series for t in s.stacks)
              for study in sample.studies]  # fmt: skip
    assert sum(square) > 3
    found = sample.score(mutate, square)
    for finding, bar in alarm.BARS.items():
        assert found[finding] < bar


def test_row_spacing_taken_for_column_spacing_rings(sample):
    def halved(stack):
        affine = stack.affine_lps.copy()
        affine[:3, 1] *= 2.0
        return Stack.from_array(stack.voxels[:, ::2], affine, stack.slice_origins_mm)

    def swapped(stack):
        affine = stack.affine_lps.copy()
        affine[:3, :2] *= stack.spacing_mm[1::-1] / stack.spacing_mm[:2]
        return Stack.from_array(stack.voxels, affine, stack.slice_origins_mm)

    def sound(study, points):
        return alarm.rebuilt(study, halved), points

    def mutate(study, points):
        return alarm.rebuilt(sound(study, points)[0], swapped), points

    kept, lost = sample.score(sound), sample.score(mutate)
    for finding in (Finding.CANAL, Finding.FORAMEN):
        assert kept[finding] > alarm.BARS[finding] - 0.06  # half the rows are enough for most
        assert lost[finding] < alarm.BARS[finding] - 0.06


def test_sagittal_t1_and_t2_mixed_up_ring(sample):
    swap = dict(zip(SAGITTAL, SAGITTAL[::-1], strict=True))

    def mutate(study, points):
        series = [replace(s, protocol=swap.get(s.protocol, s.protocol)) for s in study.series]
        return Study(study.name, series), points

    assert sample.score(mutate)[Finding.FORAMEN] < alarm.BARS[Finding.FORAMEN]


def test_planes_mixed_up_ring(sample):
    swap = {
        Protocol.SAGITTAL_T1: Protocol.AXIAL_T2,
        Protocol.AXIAL_T2: Protocol.SAGITTAL_T2,
        Protocol.SAGITTAL_T2: Protocol.SAGITTAL_T1,
    }

    def mutate(study, points):
        series = [replace(s, protocol=swap.get(s.protocol, s.protocol)) for s in study.series]
        return Study(study.name, series), points

    found = sample.score(mutate)
    for finding, bar in alarm.BARS.items():
        assert found[finding] < bar


def test_a_shift_of_four_millimetres_to_any_side_rings(sample):
    # What a wrong origin does; smaller shifts are found on clean images, not by grades.
    sound = sample.sound
    for axis in range(3):
        shift = np.eye(3)[axis] * 4.0

        def mutate(study, points, shift=shift):
            return study, points + shift

        found = sample.score(mutate)
        assert max(sound[finding] - found[finding] for finding in Finding) > 0.1


def test_signed_pixels_read_as_unsigned_ring(sample):
    def wrapped(stack):
        stored = (stack.voxels - 1024.0).astype(np.int16)  # a scanner's intercept of 1024
        return alarm.revoxeled(stack, stored.view(np.uint16).astype(np.float32))

    def mutate(study, points):
        return alarm.rebuilt(study, wrapped), points

    assert sample.score(mutate)[Finding.FORAMEN] < alarm.BARS[Finding.FORAMEN]


def test_every_target_is_seen(sample):
    for made, study in zip(sample.made, sample.studies, strict=True):
        seen = alarm.measure_seen(study, made.landmarks_mm)
        assert np.isfinite(seen).all(), [t.name for t in TARGETS if np.isnan(seen[t.index])]
