"""Text files as users have them: one meaning, or one line that says what to do."""

from pathlib import Path

import pytest

from cmg.errors import DataError
from cmg.files import read_text


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("text", ["", "a dog", "café\r\n犬\n", "\n\r"])
def test_utf8_is_read_with_and_without_a_mark_and_its_line_ends_stay(mark, text, tmp_path):
    (tmp_path / "a.txt").write_bytes(mark + text.encode())
    assert read_text(tmp_path / "a.txt") == text


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("one\ncafé".encode("latin-1"), r"a\.txt, line 2 is not UTF-8 \(byte 7: 0xe9\); save it"),
        (b"\xef\xbb\xbf\xff", r"line 1 is not UTF-8 \(byte 3: 0xff\)"),
        ("a dog".encode("utf-16"), r"a\.txt is UTF-16, not UTF-8; save it as UTF-8"),
        (b"\xfe\xff" + "a dog".encode("utf-16-be"), "is UTF-16"),
        ("a dog".encode("utf-16-le"), r"line 1 is not UTF-8 \(byte 1: 0x00\); save it as UTF-8"),
        (b"a\n\0", r"line 2 is not UTF-8 \(byte 2: 0x00\)"),
        ("犬".encode("shift-jis"), "line 1 is not UTF-8"),
    ],
)
def test_other_encodings_are_named_with_the_line(raw, why, tmp_path):
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(DataError, match=why):
        read_text(tmp_path / "a.txt")


def test_what_is_no_file_is_named_and_what_is_too_large_is_not_read(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    for name, why in ((".", "Is a directory"), ("none", "No such file"), ("loop", "symbolic")):
        with pytest.raises(DataError, match=f"cannot be read: .*{why}"):
            read_text(tmp_path / name)
    (tmp_path / "large").write_bytes(b"x" * 101)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read"))
    with pytest.raises(DataError, match="large has"):
        read_text(tmp_path / "large", 100)
