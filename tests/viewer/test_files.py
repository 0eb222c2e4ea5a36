"""The page, the PLY file and the truth of a phantom."""

import json
import re

import numpy as np
import pytest

from volspine.anatomy import TARGETS, Grade
from volspine.errors import MissingExtraError, TableError
from volspine.viewer.open3d_scene import open3d
from volspine.viewer.page import picture_html, scene_html
from volspine.viewer.ply import scene_ply
from volspine.viewer.scene import Faces, Marker, Points, Scene
from volspine.viewer.truth import is_truth, read_truth

BOX = (np.zeros(3), np.array([10.0, 20.0, 30.0]))


def scene_of(**changes):
    points = Points(
        "a & b",
        np.array([[0, 0, 0], [10, 20, 30]], np.float32),
        np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        1.0,
    )
    fields = {
        "title": "study",
        "subtitle": "shown",
        "points": (points,),
        "faces": (),
        "markers": (Marker(np.array([1.0, 2.0, 3.0]), "#ff0000", "a finding", 2.0),),
        "level_points_mm": {"L4/L5": np.array([4.0, 5.0, 6.0])},
        "bounds_mm": BOX,
    }
    return Scene(**{**fields, **changes})


def data_of(page):
    return json.loads(re.search(r"const scene = (.*);\n", page)[1])


def test_the_page_needs_nothing_from_outside():
    page = scene_html(scene_of())
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?http|@import|fetch\(|XMLHttpRequest", page)
    assert not re.search(r"@[A-Z]+@", page)
    assert "Research use only" in page


def test_the_page_says_where_findings_and_levels_are():
    data = data_of(scene_html(scene_of()))
    assert data["markers"] == [
        {"point": [1.0, 2.0, 3.0], "color": "#ff0000", "label": "a finding", "radius": 2.0}
    ]
    assert data["levels"] == [["L4/L5", [4.0, 5.0, 6.0]]]
    assert data["layers"][0]["count"] == 2


def test_names_cannot_become_markup_or_script():
    evil = "</script><script>alert(1)</script>@DATA@"
    marker = Marker(np.zeros(3), "#ff0000", evil, 1.0)
    page = scene_html(scene_of(title=evil, subtitle=evil, markers=(marker,), notes=(evil,)))
    assert "<script>alert" not in page
    assert page.count("</script>") == 1
    assert data_of(page)["markers"][0]["label"] == evil
    assert "<script>" not in picture_html(evil, b"png")


def test_layers_of_one_name_are_told_apart_in_the_page():
    layers = tuple(
        Points(name, np.zeros((1, 3), np.float32), np.zeros((1, 3), np.uint8), 1.0)
        for name in ("axial T2", "sagittal T2", "axial T2")
    )
    page = scene_html(scene_of(points=layers))
    assert re.findall(r'"name": "([^"]+)"', page) == ["axial T2", "sagittal T2", "axial T2 (2)"]


def test_the_pages_table_names_every_target_and_its_grade(grades):
    page = scene_html(scene_of(grades=grades))
    assert page.count('class="dot" title=') == 25
    assert "Spinal canal stenosis L1/L2: Normal/Mild, 80 %" in page
    assert "Right subarticular stenosis L4/L5: not measured" in page
    row = re.search(r"<tr><th></th>(.*?)</tr>", page)[1]
    assert re.findall(r">([^<]+)</th>", row) == [
        "R foramen", "R recess", "canal", "L recess", "L foramen",
    ]  # fmt: skip


def test_a_page_of_a_picture_holds_the_picture():
    assert "data:image/png;base64,cG5n" in picture_html("t", b"png")


def test_a_ply_file_of_points_holds_places_and_colours():
    content = scene_ply(scene_of(markers=()))
    header, body = content.split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\ncomment LPS millimetres\n")
    assert b"element vertex 2\n" in header
    assert b"face" not in header
    kind = np.dtype([("place", "<f4", 3), ("color", "u1", 3)])
    vertices = np.frombuffer(body, kind)
    assert vertices["place"].tolist() == [[0, 0, 0], [10, 20, 30]]
    assert vertices["color"].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.slow
def test_open3d_reads_the_ply_file(tmp_path):
    try:
        o3d = open3d()
    except (ImportError, MissingExtraError) as error:
        pytest.skip(f"Open3D cannot start here: {error}")
    faces = Faces(
        "v",
        np.array([[5, 5, 5]], np.float32),
        np.array([1], np.int8),
        np.array([[10, 20, 30]], np.uint8),
        (2.0, 2.0, 2.0),
    )
    path = tmp_path / "scene.ply"
    path.write_bytes(scene_ply(scene_of(points=(), faces=(faces,), markers=())))
    mesh = o3d.io.read_triangle_mesh(str(path))
    assert np.asarray(mesh.vertices).mean(axis=0).tolist() == [5, 5, 5]
    assert len(mesh.triangles) == 2
    np.testing.assert_allclose(np.asarray(mesh.vertex_colors)[0] * 255, [10, 20, 30])


def truth():
    return {
        "grades": {target.name: target.index % 3 for target in TARGETS},
        "landmarks_mm": {target.name: [float(target.index), 0.0, 1.0] for target in TARGETS},
    }


def test_a_phantoms_truth_becomes_certain_grades_at_their_places(tmp_path):
    path = tmp_path / "7.json"
    path.write_text(json.dumps(truth()))
    grades = read_truth(path)
    assert grades.name == "7"
    assert grades.grades[4] is Grade.MODERATE
    assert grades.confidence.tolist() == [1.0] * 25
    assert grades.points_mm[24].tolist() == [24.0, 0.0, 1.0]


def test_truth_and_result_are_told_apart():
    assert is_truth(truth())
    assert not is_truth({"schema": 1, "grades": []})
    assert not is_truth([1])


@pytest.mark.parametrize("text", ["{", "[]", '{"grades": {}}', '{"grades": {"a": 9}}'])
def test_a_truth_that_lacks_something_is_refused(tmp_path, text):
    path = tmp_path / "7.json"
    path.write_text(text)
    with pytest.raises(TableError, match="cannot be read"):
        read_truth(path)
