"""What a grade looked at lies on tissue where it is in the patient, on the right side."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.viewer.conftest import SAGITTAL, stack_of
from volspine.anatomy import TARGETS, Protocol, Side
from volspine.dicom.study import Series, Study
from volspine.viewer.build import point_scene, voxel_scene
from volspine.viewer.canvas import Canvas
from volspine.viewer.heat import Heat
from volspine.viewer.page import scene_html
from volspine.viewer.palette import HEAT_COLOR, rgb
from volspine.viewer.picture import scene_png
from volspine.viewer.ply import scene_ply
from volspine.viewer.slices import slices_png
from volspine.volume.heat import PatchHeat, Saliency

FORAMEN = {
    side: next(t for t in TARGETS if t.name == f"{side.value}_neural_foraminal_narrowing_l3_l4")
    for side in Side
}
X_MM = {Side.LEFT: 12.0, Side.RIGHT: -12.0}
SPOT_MM = np.array([0.0, 5.5, -8.5])
"""A voxel of the body; 12 mm beside it is another one."""
LEFT_MM = np.array([12.0, 0, 0])


def beside(side):
    return LEFT_MM if side is Side.LEFT else -LEFT_MM


def sagittal_patch(x_mm, *, protocol=Protocol.SAGITTAL_T1, heat=1.0, spacing=1.0):
    """Three slices 4 mm apart, 9 by 9 pixels, about a spot; all heat in the middle 3 by 3."""
    values = np.zeros((3, 9, 9), dtype=np.float32)
    values[1, 3:6, 3:6] = heat
    affine = np.array([[4.0, 0, 0, 0], [0, 0, spacing, 0], [0, -spacing, 0, 0], [0, 0, 0, 1.0]])
    affine[:3, 3] = SPOT_MM + np.array([x_mm, 0, 0]) - affine[:3, :3] @ [1, 4, 4]
    return PatchHeat(protocol, values, affine)


def axial_patch(x_mm):
    values = np.zeros((3, 9, 9), dtype=np.float32)
    values[1, 3:6, 3:6] = 1.0
    affine = np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [4.0, 0, 0, 0], [0, 0, 0, 1.0]])
    affine[:3, 3] = SPOT_MM + np.array([x_mm, 0, 0]) - affine[:3, :3] @ [1, 4, 4]
    return PatchHeat(Protocol.AXIAL_T2, values, affine)


def heat_on(side, *patches):
    patches = patches or (sagittal_patch(X_MM[side]),)
    return Heat(Saliency(FORAMEN[side], "attention", patches), "Severe (0.80)")


def grey(points_mm):
    """A body of even grey, 60 x 60 x 70 mm, in air."""
    inside = np.all(np.abs(points_mm) < [30, 30, 35], axis=-1)
    return (500.0 * inside).astype(np.float32)


@pytest.fixture(scope="module")
def body():
    sagittal = stack_of(SAGITTAL, (1.0, 1.0, 4.0), (90, 90, 21), value=grey)
    axial = stack_of(np.eye(3), (1.0, 1.0, 4.0), (90, 90, 21), value=grey)
    return Study(
        "body",
        [
            Series("1", "t1", Protocol.SAGITTAL_T1, "made", [sagittal]),
            Series("2", "t2", Protocol.SAGITTAL_T2, "made", [sagittal]),
            Series("3", "ax", Protocol.AXIAL_T2, "made", [axial]),
        ],
    )


def pinkness(colors):
    """More than zero where the tint is: grey, brown, blue and teal have no more red than green."""
    colors = np.asarray(colors).astype(int)
    return np.minimum(colors[..., 0], colors[..., 2]) - colors[..., 1]


def hot_points(layer_points, colors):
    return layer_points[pinkness(colors) > 60]


@pytest.mark.parametrize("side", list(Side), ids=["left", "right"])
@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
def test_points_are_tinted_at_the_foramen_of_the_side_and_nowhere_else(body, side, is_cut):
    scene = point_scene(body, heat=heat_on(side), is_cut=is_cut)
    hot = np.concatenate([hot_points(one.points_mm, one.colors) for one in scene.points])
    assert len(hot) >= 6
    assert np.abs(hot - SPOT_MM - beside(side)).max() <= 2.5
    shown = {layer.name for layer in scene.points}
    tinted = {layer.name for layer in scene.points if (pinkness(layer.colors) > 60).any()}
    assert tinted == {"sagittal T1"}  # Nothing was looked at in the other series.
    assert shown == ({"sagittal T1"} if is_cut else {"sagittal T1", "sagittal T2", "axial T2"})


@pytest.mark.parametrize("side", list(Side), ids=["left", "right"])
def test_voxels_are_cut_open_at_the_foramen_of_the_side_and_tinted_there(body, side):
    scene = voxel_scene(body, heat=heat_on(side))
    (faces,) = scene.faces
    assert faces.name == "sagittal T1"
    hot = hot_points(faces.centers_mm, faces.colors)
    assert len(hot) >= 6
    assert np.abs(hot - SPOT_MM - beside(side)).max() <= 3.5
    assert scene.bounds_mm[1][0] == pytest.approx(X_MM[side], abs=2.0)  # In sight from the left.


@pytest.mark.parametrize("side", list(Side), ids=["left", "right"])
def test_slices_show_the_heat_towards_the_letter_of_its_side(body, side, monkeypatch):
    letters = []
    plain = Canvas.text

    def text(self, place_px, text, **look):
        letters.append((text, place_px))
        plain(self, place_px, text, **look)

    monkeypatch.setattr(Canvas, "text", text)
    png = slices_png(body, heat=heat_on(side), point_mm=SPOT_MM)
    with Image.open(io.BytesIO(png)) as picture:
        hot = pinkness(np.asarray(picture.convert("RGB"))[:600, :-400]) > 60
    rights = [place[0] for name, place in letters if name == "R"]
    lefts = [place[0] for name, place in letters if name == "L"]
    assert len(rights) == len(lefts) == 2  # Of the coronal and of the axial pane.
    assert not hot[:, : int(rights[0])].any()  # The sagittal pane is in the midline: no heat.
    for right, left in zip(rights, lefts, strict=True):
        columns = np.argwhere(hot[:, int(right) : int(left)])[:, 1]
        assert len(columns) > 20
        to_left = columns.mean() - (left - right) / 2
        assert (to_left > 20) if side is Side.LEFT else (to_left < -20)


@pytest.mark.parametrize("side", list(Side), ids=["left", "right"])
def test_axial_heat_is_cut_open_from_above(body, side):
    heat = heat_on(side, axial_patch(X_MM[side]))
    scene = voxel_scene(body, heat=heat)
    assert scene.bounds_mm[1][2] == pytest.approx(SPOT_MM[2], abs=1.1)
    hot = hot_points(scene.faces[0].centers_mm, scene.faces[0].colors)
    assert np.abs(hot - SPOT_MM - beside(side)).max() <= 2.5
    sheets = point_scene(body, heat=heat)
    axial = next(layer for layer in sheets.points if layer.name == "axial T2")
    assert len(np.unique(axial.points_mm[:, 2].round(3))) == 1  # The hottest slice alone.
    assert len(hot_points(axial.points_mm, axial.colors)) >= 6
    sagittal = next(layer for layer in sheets.points if layer.name != "axial T2")
    assert sagittal.points_mm[:, 0].max() <= axial.points_mm[:, 0].min()  # Does not hide it.


def test_shares_are_of_the_hottest_cubic_millimetre_by_protocol():
    # Nine voxels of 4 mm3 with heat 1 each: a density of 1/4. The other: 16 mm3, density 1/8.
    coarse = sagittal_patch(0.0, protocol=Protocol.SAGITTAL_T2, heat=2.0, spacing=2.0)
    heat = heat_on(Side.LEFT, coarse, sagittal_patch(12.0))
    assert heat.scale == pytest.approx(0.25)
    assert heat.protocols == (Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2)
    places = np.array([SPOT_MM, SPOT_MM + LEFT_MM, SPOT_MM - LEFT_MM])
    assert heat.shares(places, Protocol.SAGITTAL_T2) == pytest.approx([0.5, 0, 0])
    assert heat.shares(places, Protocol.SAGITTAL_T1) == pytest.approx([0, 1, 0])
    assert heat.shares(places, Protocol.AXIAL_T2).tolist() == [0, 0, 0]


def test_a_tint_is_four_fifths_of_its_colour_where_heat_is_greatest():
    black = np.zeros((2, 3), dtype=np.uint8)
    places = np.array([SPOT_MM + LEFT_MM, SPOT_MM])
    tinted = heat_on(Side.LEFT).tinted(black, places, Protocol.SAGITTAL_T1)
    assert tinted.tolist() == [[round(0.8 * part) for part in rgb(HEAT_COLOR)], [0, 0, 0]]
    assert not black.any()


def test_without_any_heat_nothing_is_tinted_and_the_key_says_so(body):
    heat = heat_on(Side.LEFT, sagittal_patch(12.0, heat=0.0))
    scene = voxel_scene(body, heat=heat)
    assert not (pinkness(scene.faces[0].colors) > 60).any()
    assert heat.place_mm() == pytest.approx(SPOT_MM + LEFT_MM)
    assert heat.caption[1] == "it looked at no place more"


def test_every_file_says_what_the_heat_is(body, grades, monkeypatch):
    said = []
    monkeypatch.setattr(Canvas, "text", lambda _, place, text, **look: said.append(text))
    scene = voxel_scene(body, heat=heat_on(Side.LEFT), grades=grades)
    whose = "Left neural foraminal narrowing L3/L4: Severe (0.80)"
    assert whose in scene_html(scene)
    assert f"comment heat: {whose}".encode() in scene_ply(scene)[:600]
    scene_png(scene, renderer="software", size_px=(600, 400))
    assert whose in said
    said.clear()
    slices_png(body, heat=heat_on(Side.LEFT), grades=grades)
    assert {whose, "none", "most", "sagittal T1"} <= set(said)
    assert "sagittal T2" not in said  # It was not looked at.


def test_no_ball_hides_the_heat_of_its_level(body, grades):
    names = [
        marker.label for marker in voxel_scene(body, heat=heat_on(Side.LEFT), grades=grades).markers
    ]
    assert names
    assert not any("L3/L4" in name for name in names)
    assert any("L3/L4" in marker.label for marker in voxel_scene(body, grades=grades).markers)
