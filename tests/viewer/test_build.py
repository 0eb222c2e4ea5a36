"""From studies and grades to scenes."""

import numpy as np
import pytest

from volspine.anatomy import Protocol
from volspine.dicom.study import Series, Study
from volspine.errors import NoUsableSeriesError
from volspine.geometry.stack import Stack
from volspine.viewer.build import chosen_series, point_scene, voxel_scene
from volspine.viewer.voxel_layer import MAX_VOXELS, grid_over


def box_study(protocol=Protocol.SAGITTAL_T2):
    """A body of 20 x 30 x 24 mm in air, brighter on the patient's left."""
    voxels = np.zeros((40, 40, 14), np.float32)
    affine = np.array([[0, 0, 2.0, -13], [1, 0, 0, -20], [0, -1, 0, 20], [0, 0, 0, 1]])
    voxels[5:35, 8:32, 2:12] = 500 + 20 * np.arange(10)
    return Study("box", [Series("1", "a", protocol, "", [Stack.from_array(voxels, affine)])])


def test_the_cut_leaves_the_patients_right_half():
    scene = voxel_scene(box_study())
    low, high = scene.bounds_mm
    assert low[0] == pytest.approx(-10, abs=1.1)
    assert high[0] == pytest.approx(0, abs=1.1)
    assert "left half cut away" in scene.subtitle
    whole = voxel_scene(box_study(), is_cut=False)
    assert whole.bounds_mm[1][0] == pytest.approx(10, abs=1.1)


def test_a_solid_box_has_six_sides_of_faces_and_none_inside():
    scene = voxel_scene(box_study(), is_cut=False)
    faces = scene.faces[0]
    spacing = faces.spacing_mm[0]
    area = {look: (faces.normals == look).sum() * spacing**2 for look in (1, -1, 2, -2, 3, -3)}
    assert area[1] == area[-1] == pytest.approx(30 * 24, rel=0.2)
    assert area[2] == area[-2] == pytest.approx(20 * 24, rel=0.2)
    assert area[3] == area[-3] == pytest.approx(20 * 30, rel=0.2)
    assert np.all(faces.centers_mm[faces.normals == 1][:, 0] > 8)


def test_points_are_the_body_and_not_the_air():
    scene = point_scene(box_study(), is_cut=False)
    points = scene.points[0].points_mm
    # Blurring widens the border by up to a voxel.
    assert len(points) == pytest.approx(30 * 24 * 10, rel=0.16)
    assert np.abs(points).max(axis=0) == pytest.approx([9, 15, 12], abs=1.6)


def test_a_series_in_another_frame_of_reference_is_not_drawn_beside_the_others():
    def one(protocol, frame, number):
        (series,) = box_study(protocol).series
        series.frame_of_reference, series.uid = frame, str(number)
        return series

    t1 = one(Protocol.SAGITTAL_T1, "A", 1)
    t2 = one(Protocol.SAGITTAL_T2, "A", 2)
    axial = one(Protocol.AXIAL_T2, "B", 3)
    study = Study("moved", [t1, t2, axial])
    assert chosen_series(study) == [t1, t2]
    assert point_scene(study, is_cut=False).points[-1].name == Protocol.SAGITTAL_T2.label
    assert chosen_series(study, Protocol.AXIAL_T2) == [axial]  # Asked for: in its own frame.
    again = one(Protocol.SAGITTAL_T2, "B", 4)
    study.series.append(again)
    axial.frame_of_reference = "A"
    assert chosen_series(study, Protocol.SAGITTAL_T2) == [t2]


def test_points_are_cut_where_they_would_hide_the_midline():
    assert (point_scene(box_study()).points[0].points_mm[:, 0] <= 0.01).all()
    axial = point_scene(box_study(Protocol.AXIAL_T2)).points[0].points_mm
    assert len(np.unique(axial[:, 0])) == 1  # One slice of the only stack.


def test_points_are_thinned_to_the_limit():
    assert len(point_scene(box_study(), is_cut=False, limit=100).points[0].colors) == 100
    every = len(point_scene(box_study(), is_cut=False, limit=None).points[0].colors)
    assert every == len(point_scene(box_study(), is_cut=False).points[0].colors)


def test_of_two_sagittal_protocols_the_cut_point_view_shows_t2():
    t1, t2 = box_study(Protocol.SAGITTAL_T1), box_study()
    study = Study("two", [*t1.series, *t2.series])
    assert [layer.name for layer in point_scene(study).points] == ["sagittal T2"]
    whole = point_scene(study, is_cut=False)
    assert {layer.name for layer in whole.points} == {"sagittal T1", "sagittal T2"}


def test_a_protocol_that_is_not_there_is_refused():
    with pytest.raises(NoUsableSeriesError, match="no series to show of axial_t2"):
        voxel_scene(box_study(), protocol=Protocol.AXIAL_T2)


def test_a_study_without_graded_series_shows_what_it_has():
    assert len(chosen_series(box_study(Protocol.OTHER))) == 1
    assert voxel_scene(box_study(Protocol.OTHER)).subtitle.startswith("other series")


def test_an_empty_image_gives_an_empty_scene_in_its_place():
    stack = Stack.from_array(np.zeros((10, 10, 5), np.float32), np.eye(4))
    study = Study("dark", [Series("1", "a", Protocol.SAGITTAL_T2, "", [stack])])
    scene = voxel_scene(study)
    assert len(scene.faces[0].colors) == 0
    assert scene.center_mm == pytest.approx([4.5, 4.5, 2.0], abs=1)


def test_a_large_series_gets_larger_voxels():
    voxels = np.zeros((500, 500, 40), np.float32)
    stack = Stack.from_array(voxels, np.diag([0.5, 0.5, 4.0, 1.0]))
    grid = grid_over([Series("1", "a", Protocol.SAGITTAL_T2, "", [stack])])
    assert np.prod(grid.shape) <= 1.05 * MAX_VOXELS
    assert grid.spacing_mm[0] > 0.5
