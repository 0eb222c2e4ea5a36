"""Finished pictures: they are PNGs of the asked size, and what they draw follows the input."""

import io

import numpy as np
import pytest
from PIL import Image

from volspine.anatomy import TARGETS, Protocol
from volspine.grades import StudyGrades
from volspine.viewer import picture as picture_module
from volspine.viewer.build import voxel_scene
from volspine.viewer.canvas import Canvas
from volspine.viewer.legend import draw_grades, grade_color
from volspine.viewer.palette import BACKGROUND, GRADE_COLORS, RIGHT_COLOR, UNKNOWN_COLOR, rgb
from volspine.viewer.pane_marks import mark_findings
from volspine.viewer.panes import pane
from volspine.viewer.picture import scene_png
from volspine.viewer.slices import slices_png
from volspine.volume.grid import Grid


def pixels_of(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def near(pixels, color, tolerance=12):
    """Where a colour stands."""
    return np.argwhere(np.abs(pixels - rgb(color)).max(axis=2) <= tolerance)


def recorded(monkeypatch):
    """Every text that is written, with its place."""
    texts = []
    plain = Canvas.text

    def text(self, place_px, text, **look):
        texts.append((text, place_px, look))
        plain(self, place_px, text, **look)

    monkeypatch.setattr(Canvas, "text", text)
    return texts


def test_a_canvas_is_dark_and_counts_pixels_from_the_top_left():
    canvas = Canvas((60, 40))
    canvas.picture(np.full((2, 2, 3), 255, np.uint8), (10, 20, 8, 4))
    shown = pixels_of(canvas.png())
    assert shown.shape == (40, 60, 3)
    assert shown[0, 0].tolist() == list(rgb(BACKGROUND))
    white = np.argwhere(shown.min(axis=2) > 250)
    assert white.min(axis=0).tolist() == [20, 10]
    assert white.max(axis=0).tolist() == [23, 17]


def test_a_canvas_draws_lines_and_circles_where_it_is_told():
    canvas = Canvas((80, 60))
    canvas.line([(10, 30), (40, 30)], color="#ff0000", linewidth=3)
    canvas.circle((60, 20), 6, facecolor="#00ff00", edgecolor="none")
    shown = pixels_of(canvas.png())
    assert shown[30, 25].tolist() == [255, 0, 0]
    assert shown[20, 60].tolist() == [0, 255, 0]
    assert shown[30, 60].tolist() == list(rgb(BACKGROUND))


def test_the_table_puts_the_patients_right_on_the_left(grades):
    probabilities = np.tile([1.0, 0.0, 0.0], (25, 1))
    severe = next(t.index for t in TARGETS if t.name == "right_neural_foraminal_narrowing_l1_l2")
    probabilities[severe] = [0, 0, 1]
    only = StudyGrades(
        name="one",
        probabilities=probabilities,
        imputed=np.zeros(25, np.bool_),
        reasons=("",) * 25,
        points_mm=grades.points_mm,
        status="graded",
    )
    canvas = Canvas((400, 520))
    draw_grades(canvas, (20, 20), only)
    red = near(pixels_of(canvas.png())[:330], GRADE_COLORS[2])
    assert len(red) > 150
    assert red[:, 1].max() < 130  # First column.
    assert red[:, 0].max() < 110  # First row.


def test_an_imputed_target_has_no_grades_colour(grades):
    assert grade_color(grades, TARGETS[0]) == GRADE_COLORS[0]
    assert grade_color(grades, TARGETS[5]) == GRADE_COLORS[2]
    assert grade_color(grades, TARGETS[23]) == UNKNOWN_COLOR
    assert grade_color(StudyGrades.refused("x", "not a spine"), TARGETS[0]) == UNKNOWN_COLOR


def test_the_picture_of_a_scene_has_a_compass_whose_right_stands_out(ball_study, monkeypatch):
    texts = recorded(monkeypatch)
    png = scene_png(voxel_scene(ball_study), size_px=(700, 500), renderer="software")
    assert pixels_of(png).shape == (500, 700, 3)
    places = {text: place for text, place, _ in texts if len(text) == 1}
    assert set(places) == set("RLAPSI")
    # Seen from the left and front: the front is on the left, the right side is further away.
    assert places["A"][0] < places["P"][0]
    assert places["S"][1] < places["I"][1]
    assert places["R"][0] < places["L"][0]
    looks = {text: look["color"] for text, _, look in texts if len(text) == 1}
    assert looks["R"] == RIGHT_COLOR
    assert RIGHT_COLOR not in {looks[name] for name in "LAPSI"}
    assert any("Research use only" in text for text, _, _ in texts)


def test_markers_are_drawn_where_the_camera_sees_them(ball_study, grades, monkeypatch):
    texts = recorded(monkeypatch)
    circles = []
    monkeypatch.setattr(Canvas, "circle", lambda _, at, radius, **look: circles.append((at, look)))
    scene = voxel_scene(ball_study, grades=grades)
    scene_png(scene, size_px=(900, 500), renderer="software")
    rings = [at for at, look in circles if look.get("facecolor") == "none"][: len(scene.markers)]
    camera = picture_module.frame(scene.bounds_mm, (500, 500), fill=0.82)
    for marker, ring in zip(scene.markers, rings, strict=True):
        np.testing.assert_allclose(ring, camera.project(marker.point_mm)[0], atol=1e-6)
    heights = {text: place[1] for text, place, _ in texts if "/" in text and len(text) == 5}
    assert set(heights) == {"L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"}


def test_the_slices_picture_marks_every_edge_and_the_right_side(ball_study, grades, monkeypatch):
    texts = recorded(monkeypatch)
    png = slices_png(ball_study, grades=grades, notes=("Research use only.", "A note."))
    assert pixels_of(png).shape[2] == 3
    letters = [text for text, _, _ in texts if text in set("RLAPSI")]
    # Two rows, each with sagittal (A P S I), coronal (R L S I), axial (R L A P); and the table.
    assert {letter: letters.count(letter) for letter in "RLAPSI"} == {
        "R": 5, "L": 5, "A": 4, "P": 4, "S": 4, "I": 4,
    }  # fmt: skip
    right = {look["color"] for text, _, look in texts if text == "R"}
    assert right == {RIGHT_COLOR}
    written = [text for text, _, _ in texts]
    assert "50 mm" in written
    assert "A note." in written
    assert "sagittal T2" in written


@pytest.mark.parametrize(
    ("plane", "point", "expected"),
    [
        ("sagittal", (15.0, 0, 0), 10),  # Two on the left at five levels.
        ("sagittal", (0.0, 0, 0), 5),  # The canal at five levels.
        ("sagittal", (-15.0, 0, 0), 9),  # Two on the right at five levels; one is not located.
        ("axial", (0, 0, 30.0), 5),  # One level.
        ("axial", (0, 0, 45.0), 0),  # Between two levels.
        ("coronal", (0, 40.0, 0), 0),  # Behind them all.
    ],
)
def test_findings_are_drawn_only_on_planes_near_them(grades, monkeypatch, plane, point, expected):
    circles = []
    monkeypatch.setattr(Canvas, "circle", lambda *a, **look: circles.append((a[1], look)))
    grid = Grid(spacing_mm=(1, 1, 1), shape=(100, 100, 160), center_mm=(0, 0, 0))
    everywhere = np.ones(grid.shape, np.bool_)
    shown = pane(
        everywhere.astype(np.float32), everywhere, grid, plane=plane, point_mm=np.array(point)
    )
    mark_findings(Canvas((100, 160)), shown, (0, 0, 100, 160), grades)
    assert len(circles) == expected


def test_a_left_finding_stands_on_the_right_of_a_coronal_pane(grades, monkeypatch):
    circles = []
    monkeypatch.setattr(Canvas, "circle", lambda *a, **look: circles.append((a[1], look)))
    grid = Grid(spacing_mm=(1, 1, 1), shape=(100, 100, 160), center_mm=(0, 0, 0))
    everywhere = np.ones(grid.shape, np.bool_)
    shown = pane(
        everywhere.astype(np.float32),
        everywhere,
        grid,
        plane="coronal",
        point_mm=np.array([0, 5.0, 0]),
    )
    mark_findings(Canvas((100, 160)), shown, (0, 0, 100, 160), grades)
    places = [at for at, _ in circles]
    assert places[0] == pytest.approx((50, 20))  # Canal at L1/L2: x 0, z 60.
    assert places[5] == pytest.approx((65, 20))  # Left foramen at L1/L2: x +15.
    assert places[10] == pytest.approx((35, 20))  # Right foramen at L1/L2: x -15.


def test_slices_cross_at_the_point_that_is_asked_for(ball_study, monkeypatch, ball_mm):
    texts = recorded(monkeypatch)
    slices_png(ball_study, point_mm=ball_mm)
    assert any(text == "planes through x 14, y -9, z 21 mm (LPS)" for text, _, _ in texts)


@pytest.mark.parametrize("protocol", [Protocol.SAGITTAL_T2, Protocol.AXIAL_T2])
def test_one_protocol_gives_one_row(ball_study, monkeypatch, protocol):
    texts = recorded(monkeypatch)
    slices_png(ball_study, protocol=protocol)
    assert [text for text, _, _ in texts].count("R") == 2
