"""The volume in a page: its bytes by hand, and its planes in a real browser, each on its side."""

import base64
import gzip

import numpy as np
import pytest

from tests.report import chromium
from volspine.anatomy import Protocol
from volspine.viewer.build import voxel_scene
from volspine.viewer.cut import kept_voxels
from volspine.viewer.page import scene_html
from volspine.viewer.page_volume import volume_data
from volspine.viewer.voxel_layer import Volume, volume_of
from volspine.volume.grid import Grid

T2 = Protocol.SAGITTAL_T2
GRID = Grid(spacing_mm=(2.0, 2.0, 2.0), shape=(3, 4, 5), center_mm=(10.0, 20.0, 30.0))


WAIT = """new Promise(done => {
  const wait = () => document.getElementById("axial") ? done() : setTimeout(wait, 50);
  wait();
})"""


def made(body=None):
    image = np.zeros(GRID.shape, np.float32)
    image[0, 3, 4] = 1.0  # The patient's left, front and head: i grows to the right.
    mask = np.ones(GRID.shape, np.bool_)
    return Volume(T2, image, mask, mask if body is None else body, GRID)


def bytes_of(data):
    voxels = gzip.decompress(base64.b64decode(data["voxels"]))
    return np.frombuffer(voxels, np.uint8).reshape(data["shape"])


def test_a_bright_voxel_on_the_left_has_the_place_of_the_left():
    data = volume_data(made())
    assert np.argwhere(bytes_of(data) == 255).tolist() == [[0, 3, 4]]
    place = np.array(data["origin"]) + np.array(data["step"]) * [0, 3, 4]
    assert place.tolist() == [12.0, 17.0, 34.0]


def test_air_is_0_and_dark_body_is_1():
    body = np.ones(GRID.shape, np.bool_)
    body[2, 0, 0] = False
    found = bytes_of(volume_data(made(body)))
    assert found[2, 0, 0] == 0
    assert found[1, 0, 0] == 1


def test_the_cut_leaves_the_patients_right():
    kept, _ = kept_voxels(T2, GRID, None, None)
    data = volume_data(made(), kept)
    assert (data["low"], data["high"]) == ([1, 0, 0], [2, 3, 4])
    assert data["origin"][0] + data["step"][0] * data["low"][0] == 10.0


def test_the_same_study_gives_the_same_bytes():
    assert volume_data(made()) == volume_data(made())


@pytest.fixture(scope="module")
def page(ball_study, grades, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    scene = voxel_scene(ball_study, grades=grades, is_cut=False)
    series = ball_study.by_protocol(T2)[0]
    volume = volume_data(volume_of(series, spacing_mm=1.5))
    (folder / "view.html").write_text(scene_html(scene, volume=volume), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, tmp_profile(folder, patch) as opened:
        opened.open(folder / "view.html")
        # The planes come when the volume is unpacked.
        opened.ask(WAIT)
        yield opened


def tmp_profile(folder, patch):
    flags = [flag for flag in chromium.FLAGS if flag != "--disable-gpu"]
    patch.setattr(
        chromium, "FLAGS", (*flags, "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    )
    return chromium.browser(folder / "profile")


@pytest.mark.slow
def test_the_page_asks_for_nothing_and_complains_of_nothing(page):
    page.ask(
        "for (const name of ['sagittal', 'coronal', 'axial']) document.getElementById(name).click()"
    )
    slide(page, "axial plane", 5)
    slide(page, "threshold", 40)
    slide(page, "threshold", 0)
    assert page.complaints() == []
    assert [address for address in page.requests() if not address.startswith("file:")] == []
    assert len(page.requests()) == 1


@pytest.mark.slow
def test_a_plane_of_the_page_goes_through_the_ball_on_the_patients_left(page, ball_mm):
    """The bright pixels of the sagittal plane are most where the ball's middle is."""
    told = page.ask(
        "(() => { const found = []; for (let n = 0; n < size3[0]; n++) { planes[0].index = n; "
        "cut(planes[0]); found.push([placed(0, n), planes[0].layer.count]); } return found; })()"
    )
    x, count = np.array(told).T
    assert (x * count).sum() / count.sum() == pytest.approx(ball_mm[0], abs=0.8)
    assert x[0] > x[-1]  # The first plane is the patient's left.


@pytest.mark.slow
def test_the_slider_of_the_sagittal_plane_runs_from_the_right_to_the_left(page):
    ends = []
    for part in (0, 1000):
        slide(page, "sagittal plane", part)
        ends.append(page.ask("placed(0, planes[0].index)"))
    assert ends[0] < -25
    assert ends[1] > 25


@pytest.mark.slow
def test_the_threshold_of_the_page_takes_the_soft_rim_of_the_ball(page):
    slide(page, "threshold", 50)
    half = page.ask("thinned.count")
    slide(page, "threshold", 90)
    assert 0 < page.ask("thinned.count") < half
    slide(page, "threshold", 0)
    assert page.ask("thinned === null")


def slide(page, name, value):
    page.ask(
        f"(() => {{ const it = document.querySelector('input[aria-label=\"{name}\"]'); "
        f"it.value = {value}; it.dispatchEvent(new Event('input')); }})()"
    )
