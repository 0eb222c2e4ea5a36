"""`volspine png`: which pictures there are, and that a mark is where and on which side it says.

What a picture should be is computed here from the files with pydicom and numpy alone.
"""

import csv
import json
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests import pages
from tests.dicom.series_factory import SAGITTAL, save_all, series
from volspine.cli import main, png_study
from volspine.errors import VolspineError

LABELS = "train_label_coordinates.csv"


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def files_in(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def instance(root, row):
    """The file of a row and, as the header says, its intensities, shape (rows, columns)."""
    number = row["instance_number"]
    ds = pydicom.dcmread(
        root / "train_images" / row["study_id"] / row["series_id"] / f"{number}.dcm"
    )
    assert ds.InstanceNumber == int(number)
    return ds, ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(
        ds.get("RescaleIntercept", 0)
    )


def place_mm(ds, x, y):
    """LPS place of a pixel: position + x columns along the row + y rows along the column."""
    along_row, along_column = np.reshape(np.array(ds.ImageOrientationPatient, float), (2, 3))
    between_rows, between_columns = map(float, ds.PixelSpacing)
    first = np.array(ds.ImagePositionPatient, float)
    return first + along_row * between_columns * x + along_column * between_rows * y


@pytest.fixture(scope="module")
def plain(phantom_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("png") / "plain"
    assert main(["png", str(phantom_root), "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture(scope="module")
def one(phantom_study, tmp_path_factory):
    """A root of one of the two studies, to be copied and spoilt."""
    root = tmp_path_factory.mktemp("one") / "root"
    tables = phantom_study.parent.parent
    shutil.copytree(phantom_study, root / "train_images" / phantom_study.name)
    for table in tables.glob("*.csv"):
        lines = table.read_text().splitlines()
        kept = [line for line in lines[1:] if line.startswith(phantom_study.name)]
        (root / table.name).write_text("\n".join([lines[0], *kept]) + "\n")
    return root


@pytest.fixture
def root(one, tmp_path):
    return shutil.copytree(one, tmp_path / "root")


@pytest.fixture
def picture(root, tmp_path):
    """Run the command on the spoilt root; return its exit code."""

    def run(*options, path=root, out=tmp_path / "out"):
        return main(["png", str(path), "--out", str(out), "--quiet", *options])

    return run


def test_every_labelled_instance_has_a_picture_and_no_other_has(phantom_root, plain):
    wanted = {
        f"{row['study_id']}_{row['series_id']}_{row['instance_number']}.png"
        for row in rows_of(phantom_root / LABELS)
    }
    assert {path.name for path in plain.glob("*.png")} == wanted
    assert {row["file"] for row in rows_of(plain / "pictures.csv")} == wanted
    assert {row["file"] for row in rows_of(plain / "labels.csv")} == wanted


def test_every_row_of_the_coordinates_is_a_row_of_the_labels(phantom_root, plain):
    def key(row):
        place = round(float(row["x"]), 3), round(float(row["y"]), 3)
        condition = row["condition"].lower().replace(" ", "_")
        level = row["level"].lower().replace("/", "_")
        ids = row["study_id"], row["series_id"], row["instance_number"]
        return (*ids, condition, level, *place)

    labels = rows_of(plain / "labels.csv")
    assert tuple(labels[0]) == png_study.LABEL_COLUMNS
    assert sorted(map(key, labels)) == sorted(map(key, rows_of(phantom_root / LABELS)))


def test_grades_sides_and_protocols_are_those_of_the_tables(phantom_root, plain):
    grades = {row["study_id"]: row for row in rows_of(phantom_root / "train.csv")}
    series_table = rows_of(phantom_root / "train_series_descriptions.csv")
    plane = {row["series_id"]: row["series_description"].split()[0] for row in series_table}
    sides = set()
    for row in rows_of(plain / "labels.csv"):
        assert row["grade"] == grades[row["study_id"]][f"{row['condition']}_{row['level']}"]
        first = row["condition"].split("_")[0]
        assert row["side"] == (first if first in ("left", "right") else "")
        assert row["protocol"].startswith(plane[row["series_id"]].lower())
        sides.add(row["side"])
    assert sides == {"left", "right", ""}


def test_a_mark_lies_at_its_landmark_and_on_its_side_of_the_patient(phantom_root, plain):
    rows, missed = rows_of(plain / "labels.csv"), []
    for row in rows:
        truth = json.loads((phantom_root / "truth" / f"{row['study_id']}.json").read_text())
        wanted = np.array(truth["landmarks_mm"][f"{row['condition']}_{row['level']}"])
        ds, _ = instance(phantom_root, row)
        found = place_mm(ds, float(row["x"]), float(row["y"]))
        middle = truth["landmarks_mm"][f"spinal_canal_stenosis_{row['level']}"][0]
        if row["side"]:
            assert (found[0] > middle) == (row["side"] == "left"), row  # x grows to the left.
        missed.append(np.linalg.norm(found - wanted))
    assert len(rows) > 40
    assert np.median(missed) < 4  # Half the distance of slices at most, in coarse images.


def test_the_left_recess_is_on_the_edge_that_is_lettered_left(plain):
    edges = {row["file"]: row["edges"] for row in rows_of(plain / "pictures.csv")}
    x = {}
    for row in rows_of(plain / "labels.csv"):
        if row["protocol"] == "axial_t2" and row["side"]:
            x.setdefault((row["file"], row["level"]), {})[row["side"]] = float(row["x"])
    both = {key: found for key, found in x.items() if len(found) == 2}
    assert len(both) >= 4
    for (file, _), found in both.items():
        left_is_on_the_right = edges[file].index("L") == 1
        assert (found["left"] > found["right"]) == left_is_on_the_right


def test_edges_are_those_that_the_header_says(phantom_root, plain):
    for row in rows_of(plain / "pictures.csv"):
        ds, _ = instance(phantom_root, row)
        letters = ""
        for cosines in np.reshape(np.array(ds.ImageOrientationPatient, float), (2, 3)):
            axis = int(np.abs(cosines).argmax())
            pair = ("RL", "AP", "IS")[axis]
            letters += pair if cosines[axis] > 0 else pair[::-1]
        assert row["edges"] == letters


def test_pixels_are_those_of_the_file_from_the_1st_to_the_99_5th_percentile(phantom_root, plain):
    for row in rows_of(plain / "pictures.csv")[::5]:
        ds, raw = instance(phantom_root, row)
        low, high = np.percentile(raw, (1, 99.5))
        wanted = np.clip((raw - low) / (high - low), 0, 1) * 255
        with Image.open(plain / row["file"]) as png:
            assert np.abs(np.asarray(png) - wanted).max() <= 1
            per_mm = np.array(png.info["dpi"]) / 25.4
        assert (int(row["rows"]), int(row["columns"])) == raw.shape
        spacing = float(row["row_spacing_mm"]), float(row["column_spacing_mm"])
        assert spacing == pytest.approx(tuple(map(float, ds.PixelSpacing)), abs=1e-5)
        assert 1 / per_mm[::-1] == pytest.approx(spacing, rel=0.01)


def test_white_is_not_inverted_by_monochrome1(tmp_path, picture):
    slices = series(4, cosines=SAGITTAL)
    for ds in slices:
        ds.PhotometricInterpretation = "MONOCHROME1"
    assert picture(path=save_all(slices, tmp_path / "study")) == 0
    (row, *_) = rows_of(tmp_path / "out" / "pictures.csv")
    raw = next(ds for ds in slices if ds.InstanceNumber == int(row["instance_number"]))
    with Image.open(tmp_path / "out" / row["file"]) as png:
        grey = np.asarray(png).astype(float)
    stored = np.frombuffer(raw.PixelData, dtype=np.uint16)
    assert np.corrcoef(grey.ravel(), stored)[0, 1] < -0.99


def test_all_takes_every_instance_and_labels_stay_those_of_marks(root, picture, tmp_path):
    assert picture("--all") == 0
    files = list(root.glob("train_images/*/*/*.dcm"))
    assert len(list((tmp_path / "out").glob("*.png"))) == len(files)
    assert len(rows_of(tmp_path / "out" / "pictures.csv")) == len(files)
    assert len(rows_of(tmp_path / "out" / "labels.csv")) == len(rows_of(root / LABELS))


def test_studies_without_labels_are_left_out_unless_all_are_wanted(root, picture, tmp_path):
    (study,) = (root / "train_images").iterdir()
    shutil.copytree(study, root / "test_images" / "77")
    assert picture() == 0
    assert not list((tmp_path / "out").glob("77_*"))
    assert picture("--all", "--overwrite") == 0
    assert list((tmp_path / "out").glob("77_*"))


def test_a_single_study_of_a_root_finds_its_labels(root, picture, tmp_path):
    (study,) = (root / "train_images").iterdir()
    assert picture(path=study) == 0
    assert len(rows_of(tmp_path / "out" / "labels.csv")) == len(rows_of(root / LABELS))


def test_a_folder_without_labels_gives_every_instance_under_names_made_here(
    root, picture, tmp_path
):
    (study,) = (root / "train_images").iterdir()
    moved = shutil.move(study, tmp_path / "DOE^JANE")
    assert picture(path=moved) == 0
    made = [path.name for path in (tmp_path / "out").glob("*.png")]
    assert len(made) == len(list(moved.rglob("*.dcm")))
    assert rows_of(tmp_path / "out" / "labels.csv") == []
    uid = pydicom.dcmread(next(moved.rglob("*.dcm"))).StudyInstanceUID
    assert not [name for name in made if "DOE" in name or str(uid) in name]


def test_annotated_pictures_say_more_and_hold_the_same_pixels(root, picture, plain, tmp_path):
    assert picture("--annotate") == 0
    assert rows_of(tmp_path / "out" / "labels.csv")
    for row in rows_of(tmp_path / "out" / "labels.csv"):
        with (
            Image.open(plain / row["file"]) as before,
            Image.open(tmp_path / "out" / row["file"]) as drawn,
        ):
            assert drawn.width > before.width
            x, y = round(float(row["x"])), round(float(row["y"]))
            assert drawn.getpixel((x, y)) == before.getpixel((x, y))


def test_what_is_written_beside_a_picture_is_what_the_tables_say(picture, tmp_path, monkeypatch):
    said = []

    def draw(pixels, spacing, *, marks, title, **_):
        said.extend((title, mark) for mark in marks)
        return b"drawn"

    monkeypatch.setattr(png_study, "annotated_png", draw)
    assert picture("--annotate") == 0
    rows = rows_of(tmp_path / "out" / "labels.csv")
    assert len(said) == len(rows)
    for (title, mark), row in zip(said, rows, strict=True):
        condition = row["condition"].replace("_", " ").capitalize()
        level = row["level"].upper().replace("_", "/")
        assert mark.lines == (condition, f"{level}: {row['grade']}")
        assert (mark.x, mark.y) == (float(row["x"]), float(row["y"]))
        assert title[0].endswith(f", instance {row['instance_number']}")
        if row["protocol"] == "sagittal_t1":
            # The slice of a left foramen lies to the left of the middle: the panel says so.
            assert f" mm {row['side']} of the series' middle" in title[1]


def test_a_folder_of_rubbish_is_one_line_and_exit_code_4(tmp_path, picture, capsys):
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "notes.txt").write_text("not an image")
    (tmp_path / "rubbish" / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    assert picture(path=tmp_path / "rubbish") == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("volspine: VS-")
    assert not (tmp_path / "out").exists()


def test_a_table_that_does_not_parse_is_wrong_usage(root, picture, capsys):
    (root / LABELS).write_text("study_id,series_id\n1,2\n")
    assert picture() == 2
    assert LABELS in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(picture, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.png").write_bytes(b"mine")
    assert picture() == 4
    assert "--overwrite" in capsys.readouterr().err
    assert files_in(tmp_path / "out") == {"mine.png": b"mine"}
    assert picture(out=tmp_path / "out" / "mine.png") == 4


def test_overwriting_replaces_what_was_made_here_and_nothing_else(picture, tmp_path):
    out = tmp_path / "out"
    assert picture("--all") == 0
    Image.new("L", (3, 3)).save(out / "mine.png")
    assert picture("--overwrite") == 0
    named = {row["file"] for row in rows_of(out / "pictures.csv")}
    assert {path.name for path in out.glob("*.png")} == named | {"mine.png"}


@pytest.mark.parametrize("how", ["--overwrite", "--resume"])
def test_a_table_of_somebody_else_is_not_replaced(how, picture, tmp_path, capsys):
    table = tmp_path / "out" / "labels.csv"
    table.parent.mkdir()
    table.write_text("file,grade\n1.png,2\n")
    assert picture(how) == 4
    assert "was not made by volspine png" in capsys.readouterr().err
    assert table.read_text() == "file,grade\n1.png,2\n"
    assert list(table.parent.iterdir()) == [table]


@pytest.mark.parametrize("after", [0, 3])
def test_an_interrupted_call_goes_on_to_the_same_files(after, picture, tmp_path, monkeypatch):
    assert picture() == 0
    written = []

    def write(path, data):
        if len(written) == after:
            raise KeyboardInterrupt
        written.append(path.name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)

    other = tmp_path / "other"
    with monkeypatch.context() as patched:
        patched.setattr(png_study, "write_bytes", write)
        assert picture(out=other) == 130
    other.mkdir(exist_ok=True)
    (other / ".x_1_2.png.abcdefgh.png").write_bytes(b"")  # What a call that was killed leaves.
    kept = {name: (other / name).stat().st_mtime_ns for name in written}
    assert picture("--resume", out=other) == 0
    assert files_in(other) == files_in(tmp_path / "out")
    assert {name: (other / name).stat().st_mtime_ns for name in written} == kept


def test_resuming_another_way_draws_anew(picture, tmp_path):
    assert picture() == 0
    plain = files_in(tmp_path / "out")
    assert picture("--resume", "--annotate") == 0
    drawn = files_in(tmp_path / "out")
    assert drawn.keys() == plain.keys()
    assert not [name for name in drawn if name.endswith(".png") and drawn[name] == plain[name]]
    (tmp_path / "out" / next(iter(drawn))).write_bytes(b"torn")
    assert picture("--resume", "--annotate") == 0
    assert files_in(tmp_path / "out") == drawn


def marked_file(root):
    row = rows_of(root / LABELS)[0]
    folder = root / "train_images" / row["study_id"] / row["series_id"]
    return folder / f"{row['instance_number']}.dcm"


@pytest.mark.parametrize("keep", [300, -40])
def test_a_broken_file_costs_its_own_picture(keep, root, picture, tmp_path, capsys):
    path = marked_file(root)
    path.write_bytes(path.read_bytes()[:keep])
    assert picture() == 3
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Traceback" not in said
    made = {row["file"] for row in rows_of(tmp_path / "out" / "labels.csv")}
    wanted = {
        f"{row['study_id']}_{row['series_id']}_{row['instance_number']}.png"
        for row in rows_of(root / LABELS)
    }
    lost = f"{path.parent.parent.name}_{path.parent.name}_{path.stem}.png"
    assert made == wanted - {lost}
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == made


def test_pixels_that_cannot_be_decoded_cost_their_own_picture(root, picture, tmp_path, capsys):
    path = marked_file(root)
    data = bytearray(path.read_bytes())
    start = data.rindex(b"\xfe\xff\x00\xe0") + 8  # The last item: the frame's RLE header.
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(bytes(data))
    assert picture() == 3
    assert "VS-PIX" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob(f"*_{path.parent.name}_{path.stem}.png"))
    assert list((tmp_path / "out").glob("*.png"))


def test_ids_of_the_tables_never_become_paths(root, picture, tmp_path, capsys):
    text = (root / LABELS).read_text().splitlines()
    study, _, rest = text[1].split(",", 2)
    evil = [f"{study},../../evil,{rest}", f"../../evil,1,{rest}", f"{study},=cmd(),{rest}"]
    (root / LABELS).write_text("\n".join([*text, *evil]) + "\n")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert picture() == 3
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.parent == tmp_path / "out" for path in new)
    assert not [path for path in new if "evil" in path.name]
    assert "2 marks lie on no slice" in capsys.readouterr().err


def test_no_cell_of_the_tables_starts_a_formula(root, picture, tmp_path):
    (study,) = (root / "train_images").iterdir()
    for table in root.glob("*.csv"):
        table.write_text(table.read_text().replace(study.name, "=1+1"))
    study.rename(study.with_name("=1+1"))
    assert picture() == 0
    for table in (tmp_path / "out").glob("*.csv"):
        cells = [cell for row in rows_of(table) for cell in row.values()]
        assert cells
        assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]


def test_of_two_studies_with_one_name_the_first_is_pictured(root, picture, tmp_path, capsys):
    (study,) = (root / "train_images").iterdir()
    assert picture() == 0
    shutil.copytree(next(study.iterdir()), root / "test_images" / study.name / "1")
    assert picture("--all", out=tmp_path / "all") == 3
    assert "same name" in capsys.readouterr().err
    assert not list((tmp_path / "all").glob("*_1_*.png"))
    assert rows_of(tmp_path / "all" / "labels.csv") == rows_of(tmp_path / "out" / "labels.csv")


def test_an_unexpected_error_is_one_line(root, picture, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("DOE^JANE")

    monkeypatch.setattr(png_study, "with_marks", fail)
    assert picture() == 4
    said = capsys.readouterr().err
    assert "internal error (RuntimeError)" in said
    assert "DOE" not in said
    with pytest.raises(VolspineError):
        png_study.picture_study(png_study.Request(path=root, out=root))


def test_the_page_runs_as_it_stands(repository, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root.rename(tmp_path / "data")
    page = repository / "docs/how-to/pictures-for-2d-work.md"
    ran = []
    for block in pages.blocks(repository, page):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), {"__name__": "page"})
        for words in pages.commands(block) if block.language == "bash" else ():
            if words[:2] != ["volspine", "phantom"]:  # The root is there, and smaller.
                assert main(words[1:]) == 0
                ran.append(words)
    assert len(ran) == 2
    assert "marks," in capsys.readouterr().out


@pytest.mark.slow
def test_more_workers_make_the_same_files(phantom_root, plain, tmp_path):
    out = tmp_path / "out"
    assert main(["png", str(phantom_root), "--out", str(out), "--workers", "2"]) == 0
    assert files_in(out) == files_in(plain)
