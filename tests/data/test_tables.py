from pathlib import Path

import pytest

from volspine.data.tables import number_in, read_rows, whole_number_in
from volspine.errors import TableError


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_ends_and_byte_order_marks_make_no_difference(tmp_path, start, end):
    path = written(tmp_path, start + end.join([b"b,a", b" 2 ,007", b""]))
    assert read_rows(path, ("a", "b")) == [{"b": "2", "a": "007"}]


def test_blank_rows_are_no_rows(tmp_path):
    assert len(read_rows(written(tmp_path, b"a,b\n1,2\n\n,\n3,4\n"), ("a",))) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,c\n1,2\n", "column 'b' is missing"),
        (b"", "column 'a' is missing"),
        (b"a,b,a\n1,2,3\n", "stands twice"),
        (b"a,b\n1\n", "row 2 has 1 cells where the header has 2"),
        (b"a,b\n1,2,3\n", "row 2 has 3 cells"),
        (b"a,b\n\xff\xfe,2\n", "UnicodeDecodeError"),
        (b'a,b\n"1,2\n', "cannot be read"),
    ],
)
def test_a_malformed_table_is_refused_with_its_file_and_a_remedy(tmp_path, data, message):
    path = written(tmp_path, data)
    with pytest.raises(TableError, match=message) as caught:
        read_rows(path, ("a", "b"))
    assert caught.value.path == str(path)
    assert caught.value.remedy


def test_a_missing_table_says_so(tmp_path):
    with pytest.raises(TableError, match="the table is not there"):
        read_rows(tmp_path / "train.csv", ("a",))


def test_numbers_are_read_and_anything_else_is_refused():
    path = Path("t.csv")
    assert number_in({"x": "-1.5e1"}, "x", path) == -15.0
    assert whole_number_in({"n": "7.0"}, "n", path) == 7
    for text in ("", "abc", "nan", "inf", "-inf"):
        with pytest.raises(TableError, match="is not a number"):
            number_in({"x": text}, "x", path)
    with pytest.raises(TableError, match="not a whole number"):
        whole_number_in({"n": "7.5"}, "n", path)
