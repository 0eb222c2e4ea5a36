"""Which series is which: by name, by times, by image."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.bodypart import named_part
from volspine.dicom.contrast import fluid_difference, fluid_score
from volspine.dicom.instance import Acquisition
from volspine.dicom.protocol import recognize, recognize_images, recognize_named
from volspine.dicom.reading import read_study
from volspine.dicom.weighting import drawbacks_of, weighting_from_name, weighting_from_times
from volspine.geometry.affine import stack_affine
from volspine.geometry.stack import Stack


@pytest.mark.parametrize(
    ("name", "weighting"),
    [
        ("T1", "t1"), ("T2", "t2"), ("SAG T2 TSE", "t2"), ("t1_tse_sag_320", "t1"),
        ("Sag STIR", "t2"), ("t2_tirm_fs sag", "t2"), ("AX T2 FRFSE", "t2"), ("sagT1 FLAIR", "t1"),
        ("localizer T2", "other"), ("3-pl T2 Survey", "other"), ("SAG PD", "other"),
        ("ep2d_diff_T2", "other"), ("T2 map", "other"),
        ("series 4", None), ("", None), ("REST1 bold off", "other"), ("REST1", None),
        ("T1 and T2", None),
    ],
)  # fmt: skip
def test_the_description_tells_the_weighting_or_nothing(name, weighting):
    answer = weighting_from_name(name)
    assert (answer.weighting if answer else None) == weighting


@pytest.mark.parametrize(
    ("echo", "repetition", "inversion", "weighting"),
    [
        (102, 3500, None, "t2"),
        (60, 3000, None, "t2"),
        (11, 550, None, "t1"),
        (9, 2200, 860, "t1"),
        (45, 4000, 160, "t2"),
        (12, 4000, None, "other"),
        (40, 900, None, "other"),
        (None, 550, None, None),
        (None, None, 160, "t2"),
        (12, 4000, 165, "t2"),
        (110, 9000, 2500, "other"),
        (90, 2500, 20, "t2"),
        (11, None, None, "other"),
    ],
)
def test_times_tell_the_weighting_by_spin_echo_rules(echo, repetition, inversion, weighting):
    acquisition = Acquisition(
        echo_time=None if echo is None else float(echo),
        repetition_time=None if repetition is None else float(repetition),
        inversion_time=None if inversion is None else float(inversion),
    )
    answer = weighting_from_times(acquisition)
    assert (answer.weighting if answer else None) == weighting


@pytest.mark.parametrize(
    ("plane", "description", "protocol"),
    [
        ("sagittal", "T1", Protocol.SAGITTAL_T1),
        ("sagittal", "T2", Protocol.SAGITTAL_T2),
        ("axial", "T2", Protocol.AXIAL_T2),
        ("axial", "T1", Protocol.OTHER),
        ("coronal", "T2", Protocol.OTHER),
    ],
)
def test_the_plane_comes_from_orientation_and_the_weighting_from_the_name(
    plane, description, protocol
):
    found = recognize(plane, Acquisition(description=description))
    assert found.protocol is protocol
    assert plane in found.reason


def test_a_localizer_is_other_whatever_it_is_called():
    acquisition = Acquisition(description="T2", image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    assert recognize("sagittal", acquisition)[0] is Protocol.OTHER


def test_a_description_is_never_repeated_in_the_reason():
    found = recognize("sagittal", Acquisition(description="Canary T2", body_part="LSPINE CANARY"))
    assert "canary" not in found.reason.lower()


def test_a_silent_header_gives_no_answer():
    assert recognize("sagittal", Acquisition()) is None


def times(echo, repetition, inversion=None, **rest):
    return Acquisition(
        echo_time=float(echo),
        repetition_time=float(repetition),
        inversion_time=None if inversion is None else float(inversion),
        **rest,
    )


@pytest.mark.parametrize(
    ("acquisition", "found"),
    [
        (times(11, 550), Protocol.SAGITTAL_T1),
        (times(102, 3500), Protocol.SAGITTAL_T2),
        (times(45, 4000, 160), Protocol.SAGITTAL_T2),
        (times(30, 3000), Protocol.OTHER),
        (times(22, 600, sequence="GR"), Protocol.OTHER),
        (times(90, 5000, sequence="EP SE"), Protocol.OTHER),
        (times(102, 3500, image_type=("DERIVED", "PRIMARY", "ADC")), Protocol.OTHER),
        (times(102, 3500, image_type=("ORIGINAL", "PRIMARY", "P", "ND")), Protocol.OTHER),
        (times(102, 3500, modality="CT"), Protocol.OTHER),
        (times(102, 3500, body_part="BRAIN"), Protocol.OTHER),
        (times(102, 3500, body_part="HEAD"), Protocol.OTHER),
        (times(102, 3500, study_description="MR knee right"), Protocol.OTHER),
        (times(102, 3500, description="C-spine", body_part="SPINE"), Protocol.OTHER),
        (times(102, 3500, description="LSPINE", body_part="BRAIN"), Protocol.SAGITTAL_T2),
        (times(102, 3500, study_description="cervical and lumbar"), Protocol.SAGITTAL_T2),
        (times(102, 3500, body_part="SPINE", modality="MR"), Protocol.SAGITTAL_T2),
        (times(102, 3500, description="head first"), Protocol.SAGITTAL_T2),
    ],
)
def test_a_series_without_a_telling_name_is_known_by_its_attributes(acquisition, found):
    assert recognize("sagittal", acquisition).protocol is found


def test_confidence_orders_agreement_name_times_and_disagreement():
    agreed, named, timed, torn = (
        recognize("sagittal", acquisition).confidence
        for acquisition in (
            times(100, 3000, description="T2"),
            Acquisition(description="T2"),
            times(100, 3000),
            times(11, 500, description="T2"),
        )
    )
    assert 1 > agreed > named > timed > torn > 0.5


def test_times_are_believed_where_the_name_contradicts_them_and_that_is_said():
    found = recognize("sagittal", times(11, 500, description="T2"))
    assert found.protocol is Protocol.SAGITTAL_T1
    assert "although its description says T2" in found.reason


def test_a_name_of_another_kind_is_believed_whatever_the_times():
    assert recognize("sagittal", times(100, 3000, description="PD")).protocol is Protocol.OTHER


@pytest.mark.parametrize(
    ("acquisition", "drawbacks"),
    [
        (Acquisition(description="SAG T1 TSE"), ()),
        (Acquisition(description="T2W_TSE"), ()),
        (Acquisition(description="T1 +C"), ("after a contrast agent",)),
        (Acquisition(description="T1 post Gd"), ("after a contrast agent",)),
        (Acquisition(description="T1 without contrast"), ()),
        (Acquisition(contrast_agent="Gadovist"), ("after a contrast agent",)),
        (Acquisition(contrast_agent="NONE"), ()),
        (Acquisition(description="Sag STIR"), ("fat suppressed",)),
        (times(45, 4000, 160), ("fat suppressed",)),
        (Acquisition(options="FS\\SAT"), ("fat suppressed",)),
        (Acquisition(image_type=("DERIVED", "MPR")), ("reformatted from another series",)),
        (
            Acquisition(description="T1 FS", contrast_agent="Dotarem"),
            ("after a contrast agent", "fat suppressed"),
        ),
    ],
)  # fmt: skip
def test_drawbacks_of_a_series_are_named_the_worst_first(acquisition, drawbacks):
    assert drawbacks_of(acquisition) == drawbacks


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("MR L-SPINE W/O", "lumbar spine"), ("LWS nativ", "lumbar spine"), ("sag t2", None),
        ("SAG T2 SPINE", None), ("t2_tse_c_sp", "cervical spine"), ("3D C SPACE", None),
        ("HWS", "cervical spine"), ("MRT Kopf", "brain"), ("BRAINSTORM", "brain"),
        ("t_spine", "thoracic spine"), ("whole spine", None), ("foot first", None),
    ],
)  # fmt: skip
def test_a_part_of_the_body_is_known_by_its_usual_names(text, part):
    assert named_part(text) == part


def test_a_file_named_after_another_part_of_the_body_is_other():
    assert recognize_named("sagittal", "t2_brain.nii.gz").protocol is Protocol.OTHER
    assert recognize_named("sagittal", "t2_lumbar.nii.gz").protocol is Protocol.SAGITTAL_T2


SAGITTAL = np.array([[0, 1, 0], [0, 0, -1.0]])
AXIAL = np.array([[1, 0, 0], [0, 1, 0.0]])


def sagittal_stack(fluid, *, fat=900.0, tissue=300.0, mirrored=False):
    """A back of 200 mm: skin and fat behind, a curved band of fluid 60 mm in front of them."""
    rows, columns = 120, 110
    image = np.full((rows, columns), tissue)
    image[:, 95:] = 0.0
    image[:, 88:95] = fat
    for row in range(rows):
        centre = 62 + round(5 * np.sin(row / 30))
        image[row, centre - 4 : centre + 4] = fluid
    image += np.random.default_rng(0).normal(0, 15, image.shape)
    voxels = np.repeat(image.T[:, :, None], 7, axis=2).astype(np.float32)
    directions = SAGITTAL * (np.array([[-1], [1]]) if mirrored else 1)
    affine = stack_affine(directions, (2.0, 2.0), np.zeros(3), step_mm=np.array([4.0, 0, 0]))
    return Stack.from_array(voxels[::-1] if mirrored else voxels, affine)


def axial_stack(fluid):
    rows, columns = 100, 100
    y, x = np.mgrid[:rows, :columns]
    image = np.full((rows, columns), 300.0)
    image[90:] = 1000.0  # Fat under the skin.
    image[np.hypot(y - 55, x - 50) < 4] = fluid
    voxels = np.repeat(image.T[:, :, None], 7, axis=2).astype(np.float32)
    affine = stack_affine(AXIAL, (2.0, 2.0), np.zeros(3), step_mm=np.array([0, 0, 4.0]))
    return Stack.from_array(voxels, affine)


def named(*stacks):
    return [found.protocol for found in recognize_images([[stack] for stack in stacks])]


@pytest.mark.parametrize("mirrored", [False, True])
def test_bright_fluid_is_t2_and_dark_fluid_t1_whichever_way_columns_run(mirrored):
    assert named(sagittal_stack(1000, mirrored=mirrored)) == [Protocol.SAGITTAL_T2]
    assert named(sagittal_stack(60, mirrored=mirrored)) == [Protocol.SAGITTAL_T1]


def test_no_contrast_is_no_answer():
    assert named(sagittal_stack(300)) == [Protocol.OTHER]


def test_of_two_sagittal_series_the_brighter_fluid_is_t2_even_if_neither_is_clear():
    weak_t2, weak_t1 = sagittal_stack(480), sagittal_stack(260)
    assert named(weak_t1, weak_t2) == [Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2]


def test_a_bright_spot_in_axial_slices_is_t2_and_its_absence_nothing():
    assert named(axial_stack(1000), axial_stack(300)) == [Protocol.AXIAL_T2, Protocol.OTHER]


def noise_stack():
    rng = np.random.default_rng(3)
    voxels = rng.normal(300, 60, (110, 120, 7)).astype(np.float32)
    affine = stack_affine(SAGITTAL, (2.0, 2.0), np.zeros(3), step_mm=np.array([4.0, 0, 0]))
    return Stack.from_array(voxels, affine)


def test_noise_is_no_weighting():
    assert named(noise_stack()) == [Protocol.OTHER]


def test_the_unit_of_intensities_does_not_matter():
    stack = sagittal_stack(480)
    scaled = Stack.from_array(stack.voxels * 37, stack.affine_lps)
    assert fluid_score(scaled) == pytest.approx(fluid_score(stack), abs=1e-4)


@pytest.mark.parametrize("shift", [0, 14])
def test_which_of_two_series_has_brighter_fluid_does_not_depend_on_their_slices(shift):
    """The second series starts elsewhere and its columns run the other way."""
    t2, t1 = sagittal_stack(900), sagittal_stack(150, mirrored=True)
    t1 = Stack.from_array(t1.voxels[shift:], shifted(t1, shift))
    assert fluid_difference(t2, t1) > 0.5
    assert fluid_difference(t1, t2) < -0.5


def shifted(stack, columns):
    affine = stack.affine_lps.copy()
    # Written from the last column to the first, it starts where the unmirrored one ends.
    affine[:3, 3] += (columns - stack.shape[0] + 1) * affine[:3, 0]
    return affine


def test_series_that_share_no_place_are_not_compared():
    stack, away = sagittal_stack(900), sagittal_stack(150)
    affine = away.affine_lps.copy()
    affine[2, 3] += 2000.0
    assert fluid_difference(stack, Stack.from_array(away.voxels, affine)) == 0.0


def test_what_an_image_tells_is_surer_the_clearer_it_is_and_never_as_sure_as_a_header():
    faint, clear = (
        recognize_images([[sagittal_stack(270)], [sagittal_stack(fluid)]])[1].confidence
        for fluid in (400, 1000)
    )
    assert 0.5 <= faint < clear <= 0.8 < recognize("sagittal", times(100, 3000)).confidence


def test_the_real_t2_is_told_by_its_image_alone_and_cropped_is_never_t1(testdata):
    (series,) = read_study(testdata / "sct_t2_lumbar" / "t2_lumbar.nii.gz").series
    (stack,) = series.stacks
    assert recognize_images([[stack]])[0].protocol is Protocol.SAGITTAL_T2
    rows = stack.shape[1]
    affine = stack.affine_lps.copy()
    affine[:3, 3] += affine[:3, 1] * (rows // 5)
    middle = np.ascontiguousarray(stack.voxels[:, rows // 5 : rows - rows // 5])
    cropped = recognize_images([[Stack.from_array(middle, affine)]])[0]
    assert cropped.protocol in (Protocol.SAGITTAL_T2, Protocol.OTHER)
