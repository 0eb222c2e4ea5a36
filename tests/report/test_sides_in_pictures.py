"""What lies on the patient's left is on the side of the L, in every picture.

These tests look at pixels. Each fails if a picture is mirrored, or if its letters change places.
"""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.report import one_sided
from volspine.report.html import render_report, study_series
from volspine.report.keyimages import key_images
from volspine.report.overview import levels_picture
from volspine.report.upright import LETTER_PX, letter_edges

IN_BY = 0.6 * LETTER_PX


@pytest.fixture(scope="module")
def study():
    return one_sided.study()


@pytest.fixture(scope="module")
def images(study):
    return {image.target.index: image for image in key_images(study, one_sided.grades(study))}


@pytest.fixture(scope="module")
def page(study, images):
    grades = one_sided.grades(study)
    pictures = list(images.values())
    return render_report(grades, pictures, series=study_series(study, grades, pictures))


def grey_of(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(int)


def bright(grey):
    """What is bright, away from the edges: there are letters, and at the back the plate."""
    inner = grey > 200
    height, width = grey.shape
    inner[: height // 8] = inner[-height // 8 :] = False
    inner[:, : width // 8] = inner[:, -width // 8 :] = False
    return inner


def ball(grey):
    """Row and column of the middle of the ball."""
    rows, columns = np.nonzero(bright(grey))
    assert len(rows) > 20
    return rows.mean(), columns.mean()


def letter_at(grey, place):
    """Which letter is burned in at a place: the one whose own picture is most like it."""
    x, y = place
    half = LETTER_PX // 2
    found = grey[int(y) - half : int(y) + half, int(x) - half : int(x) + half] > 225

    def likeness(letter):
        blank = Image.new("L", (2 * half, 2 * half))
        font = ImageFont.load_default(LETTER_PX)
        ImageDraw.Draw(blank).text((half, half), letter, fill=255, font=font, anchor="mm")
        drawn = np.asarray(blank) > 128
        return (drawn & found).sum() / (drawn | found).sum()

    return max("RLAPSI", key=likeness)


def burned_in(grey):
    height, width = grey.shape
    return letter_at(grey, (IN_BY, height / 2)) + letter_at(grey, (width - IN_BY, height / 2))


def test_letters_are_told_apart_by_their_pixels():
    sheet = Image.new("L", (200, 200))
    letter_edges(ImageDraw.Draw(sheet), ("L", "R", "A", "P"), (200, 200))
    assert burned_in(np.asarray(sheet)) == "LR"


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("t", [one_sided.LEFT_RECESS, one_sided.RIGHT_RECESS])
def test_a_key_image_shows_the_ball_on_the_side_of_its_l(images, t, kind):
    image = images[t]
    grey = grey_of(getattr(image, kind))[: image.size[1]]
    assert burned_in(grey) == "RL"
    scale = image.scale_px
    place = np.array(image.marks.place_mm) * scale
    row, column = ball(grey)
    if t == one_sided.LEFT_RECESS:  # The ball is at the place itself.
        assert (column, row) == pytest.approx(place, abs=3 * scale)
    else:  # The ball is 24 mm further towards the L.
        assert column - place[0] == pytest.approx(24 * scale, abs=3 * scale)


def test_what_lies_in_front_is_above_on_an_axial_key_image(images):
    grey = grey_of(images[one_sided.LEFT_RECESS].jpeg)
    height, width = grey.shape
    assert letter_at(grey, (width / 2, IN_BY)) == "A"
    assert letter_at(grey, (width / 2, height - IN_BY)) == "P"


@pytest.mark.parametrize(("t", "tag"), [(7, "L 20 mm"), (12, "R 20 mm"), (2, "midline")])
def test_the_corner_of_a_sagittal_key_image_says_its_side(study, images, t, tag):
    from volspine.report.midline import beside_canal

    shown, point = images[t].shown, one_sided.points()[t]
    stack = shown.of(study)
    # The slice is where the place is: on the left foramen's side for the left one.
    away = float(stack.slice_origins_mm[shown.k][0])
    assert away == pytest.approx(point[0], abs=2.01)
    said = beside_canal(stack, shown.k, one_sided.points()).tag
    assert said.split()[0] == tag.split()[0]
    assert burned_in(grey_of(images[t].jpeg)) == "AP"


def test_the_picture_of_all_levels_has_the_front_on_the_left(study):
    grey = grey_of(levels_picture(study, one_sided.grades(study)))
    assert burned_in(grey) == "AP"


class Slices(HTMLParser):
    """Every scrolled slice: its picture, its letters and where they stand, its tag and words."""

    def __init__(self):
        super().__init__()
        self.found, self.letter = [], None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("class") == "slice":
            size = [float(mm) for mm in given["data-size"].split()]
            named = {"words": given["data-words"], "tag": "", "at": {}, "labels": {}}
            self.found.append({"size": size, **named})
        elif not self.found:
            return
        elif tag == "img" and "jpeg" not in self.found[-1]:
            source = given["src"].removeprefix("data:image/jpeg;base64,")
            self.found[-1]["jpeg"] = base64.b64decode(source)
        elif tag == "text":
            self.letter = (given.get("data-edge"), given.get("class"), float(given["x"]))

    def handle_data(self, data):
        if self.letter is not None:
            edge, kind, x = self.letter
            if edge:
                self.found[-1]["at"][data] = x
            elif kind == "tag":
                self.found[-1]["tag"] = data
            elif kind == "label":
                self.found[-1]["labels"][data] = x
            self.letter = None


def slices_of(page, series):
    start = page.index(f'id="series-{series}"')
    parser = Slices()
    parser.feed(page[start : page.index("</figure>", start)])
    return parser.found


def test_every_scrolled_axial_slice_shows_the_ball_on_the_side_of_its_l(page):
    slices = slices_of(page, 2)
    assert len(slices) == 36
    shown = [s for s in slices if bright(grey_of(s["jpeg"])).sum() > 20]
    assert len(shown) == 3  # The ball is 12 mm high, slices are 4 mm apart.
    for each in shown:
        grey = grey_of(each["jpeg"])
        _, column = ball(grey)
        at_mm = (column + 0.5) / grey.shape[1] * each["size"][0]
        middle = each["size"][0] / 2
        assert each["at"]["R"] < middle < each["at"]["L"]
        assert at_mm > middle
        # The picture's left edge is half a column beyond x = 60 - 79 * 1.5 mm of the patient.
        assert at_mm == pytest.approx(one_sided.BALL_MM[0] + 59.25, abs=1.5)


def test_labels_of_recesses_stand_on_their_own_side(page):
    (labelled,) = [s for s in slices_of(page, 2) if "L recess severe" in s["labels"]]
    assert labelled["tag"] == "L3/L4"
    middle = labelled["size"][0] / 2
    assert (
        labelled["labels"]["R recess"] < labelled["labels"]["canal"] == pytest.approx(middle, abs=1)
    )
    assert labelled["labels"]["L recess severe"] > middle


def test_every_scrolled_sagittal_slice_says_its_side_and_shows_the_ball_on_the_left_alone(page):
    slices = slices_of(page, 1)
    assert len(slices) == 16
    # From the patient's right to the left.
    sides = [each["tag"][0] for each in slices]
    assert re.fullmatch("R+m*L+", "".join(sides))
    shown = 0
    for each in slices:
        assert each["at"]["A"] < each["size"][0] / 2 < each["at"]["P"]
        if bright(grey_of(each["jpeg"])).sum() > 5:
            shown += 1
            assert each["tag"].startswith("L")
            assert "to the patient's left of the midline" in each["words"]
    assert shown == 2  # At x = 10 and 14 mm.


def test_a_mirrored_picture_does_not_pass(images):
    """The eyes of these tests themselves: turned round, the very same picture is found out."""
    image = images[one_sided.RIGHT_RECESS]
    grey = grey_of(image.jpeg)[:, ::-1]
    assert burned_in(grey) != "RL"
    assert ball(grey)[1] < image.marks.place_mm[0] * image.scale_px
