"""`volspine view --saliency`: whose grade, by which model, and on which side it looked."""

from types import SimpleNamespace

import numpy as np
import pytest
from torch.nn.functional import max_pool3d

from tests.inference.made_up import make_study
from tests.inference.made_up_levels import BrightnessGrader, landmarks, level_predictor
from tests.inference.test_saliency import bright_ball
from volspine.anatomy import TARGETS
from volspine.cli import main

NAME = "{}_subarticular_stenosis_l3_l4"
VERTEX = np.dtype([("mm", "<f4", (3,)), ("color", "u1", (3,))])


class SquareGrader(BrightnessGrader):
    """Looks at a square of 9 by 9 voxels, 5 mm, about the brightest one of each patch."""

    def look(self, patches):
        return tuple(max_pool3d(m, (1, 9, 9), 1, (0, 4, 4)) for m in super().look(patches))


def use(monkeypatch, study, predictor):
    """Let the command read a study and load a predictor that are made up."""
    monkeypatch.setattr("volspine.dicom.reading.read_study", lambda *_, **__: study)
    monkeypatch.setattr("volspine.inference.predictor.Predictor", lambda _: predictor)


def view(*arguments):
    return main(["view", "study", *map(str, arguments)])


def pink_mm(path):
    """Return places of the vertices of a PLY file that are tinted by heat."""
    content = path.read_bytes()
    header, body = content.split(b"end_header\n", 1)
    count = int(header.split(b"element vertex ")[1].split(b"\n")[0])
    vertices = np.frombuffer(body, VERTEX, count)
    red, green, blue = vertices["color"].astype(int).T
    return vertices["mm"][np.minimum(red, blue) - green > 60]


@pytest.mark.parametrize(("side", "out"), [("left", 1.0), ("right", -1.0)])
@pytest.mark.parametrize("mode", ["points", "voxels"])
def test_the_heat_of_a_side_is_on_that_side_of_the_patient(monkeypatch, tmp_path, mode, side, out):
    # The grader looks at the brightest voxel: a ball 4 mm outwards of the recess.
    (target,) = [t for t in TARGETS if t.name == NAME.format(side)]
    point = landmarks().points_mm[target.index] + [4.0 * out, -5.0, 0.0]
    made = level_predictor(monkeypatch, landmarks(), SquareGrader())
    use(monkeypatch, bright_ball(point), made)
    path = tmp_path / "view.ply"
    assert view("--saliency", target.name, "--mode", mode, "--save", path) == 0
    hot = pink_mm(path)
    assert len(hot) > 0
    assert (hot[:, 0] * out > 5.0).all()  # On the other side it would be at -13 mm.
    assert np.linalg.norm(hot - point, axis=1).max() < 10.0
    assert f"comment heat: {target.label}: ".encode() in path.read_bytes()


@pytest.mark.parametrize("mode", ["slices", "voxels"])
def test_a_page_shows_the_heat_and_what_the_model_learnt_from(monkeypatch, tmp_path, mode):
    use(monkeypatch, make_study(), level_predictor(monkeypatch, landmarks()))
    path = tmp_path / "view.html"
    asked = ("--saliency", NAME.format("left"), "--method", "gradcam")
    assert view(*asked, "--mode", mode, "--save", path) == 0
    if mode == "voxels":
        assert 'class="heat"' in path.read_text()
        assert "phantom" in path.read_text()


def test_an_unknown_target_is_refused_before_reading_and_the_nearest_is_named(capsys):
    assert view("--saliency", "left_subarticular_stenosis_l4l5", "--save", "x.png") == 2
    said = capsys.readouterr().err
    assert "there is no target 'left_subarticular_stenosis_l4l5'" in said
    assert "did you mean left_subarticular_stenosis_l4_l5?" in said
    assert "volspine targets" in said


def test_a_model_of_whole_studies_is_refused_with_the_remedy(monkeypatch, capsys):
    study_mode = SimpleNamespace(bundle=SimpleNamespace(mode="study"))
    use(monkeypatch, make_study(), study_mode)
    assert view("--saliency", NAME.format("left"), "--save", "x.png") == 2
    said = capsys.readouterr().err
    assert "sees whole studies" in said
    assert "--model BUNDLE" in said


def test_a_target_that_was_not_graded_is_refused_with_its_reason(monkeypatch, capsys):
    only = make_study(protocols=("sagittal_t2",))
    use(monkeypatch, only, level_predictor(monkeypatch, landmarks()))
    assert view("--saliency", NAME.format("left"), "--save", "x.png") == 2
    said = capsys.readouterr().err
    assert "Left subarticular stenosis L3/L4 was not graded: " in said
    assert "axial" in said
    assert "such as spinal_canal_stenosis_l1_l2" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--saliency", NAME.format("left"), "--grades", "x.json"], "does not go with --grades"),
        (["--model", "bundle"], "are of use with --saliency only"),
        (["--method", "gradcam"], "are of use with --saliency only"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_reading(arguments, message, capsys):
    assert view(*arguments, "--save", "x.png") == 2
    assert message in capsys.readouterr().err
