"""A folder that replaces another does so in one step, and what killed processes left is cleared."""

import os
import subprocess
import sys
import time

import pytest

from cmg import staging, writers
from cmg.copying.workspace import ResumableStaging
from cmg.data.inmemory import write_store
from cmg.data.store import open_store
from cmg.errors import DataError
from cmg.files import replace_file
from cmg.staging import Staging, exchange
from cmg.writers import beside, clear_leftovers, is_over

PUBLISH = """
import sys
from pathlib import Path
from cmg.staging import Staging
for number in range(10 ** 6):
    one = Staging(Path(sys.argv[1]), True, "mark")
    for name in ("mark", "first", "second"):
        (one.folder / name).write_text(str(number))
    one.publish()
    print(number, flush=True)
"""


def published(target, text="", kind=Staging):
    one = kind(target, True, "mark")
    one.folder.mkdir(exist_ok=True)
    (one.folder / "mark").write_text(text)
    one.publish()
    return one


def of_a_dead_process(path):
    """The name that `path`, which this process would write, has of one that was killed."""
    *head, start, key = path.name.split("-")
    other = "0" * 6 if start != "0" * 6 else "1" * 6
    return path.with_name("-".join([*head, other, key]))


@pytest.fixture(params=[True, False], ids=["at once", "in two renames"])
def way(request, monkeypatch):
    """Both ways of putting a folder in the place of another."""
    if not request.param:
        monkeypatch.setattr(staging, "exchange", lambda one, other: False)


def test_a_folder_takes_the_place_of_another(way, tmp_path):
    target = tmp_path / "out"
    for text in ("one", "two", "three"):
        published(target, text)
        assert (target / "mark").read_text() == text
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    one = ResumableStaging(target, True, "mark")
    (one.home / "journal.json").write_text("{}")
    published(target, "four", ResumableStaging)
    assert (target / "mark").read_text() == "four"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_filled_meanwhile_is_not_replaced(way, tmp_path):
    one = Staging(tmp_path / "out", False, "mark")
    (one.folder / "mark").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mark").write_text("theirs")
    with pytest.raises(DataError, match="--overwrite"):
        one.publish()
    one.discard()
    assert (tmp_path / "out" / "mark").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_import_that_cannot_be_published_is_kept_for_another_try(tmp_path):
    one = ResumableStaging(tmp_path / "out", False, "mark")
    one.folder.mkdir()
    (one.folder / "mark").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").touch()
    with pytest.raises(DataError):
        one.publish()
    assert (one.home / "store.partial-0" / "mark").is_file()
    assert one.folder == one.home / "store.partial-0"


def test_a_reader_finds_the_old_or_the_new_whatever_is_killed(tmp_path):
    target = tmp_path / "out"
    published(target, "0")
    command = [sys.executable, "-c", PUBLISH, str(target)]
    for _ in range(3):
        (target / "first").write_text("0")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            process.stdout.readline()
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                folder = os.open(target, os.O_RDONLY)  # never missing
                os.close(folder)
        finally:
            process.kill()
            process.communicate()
        names = ("mark", "first", "second")
        assert len({(target / name).read_text() for name in names}) == 1
    published(target, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_who_was_killed_between_two_renames_has_the_old_folder_put_back(tmp_path):
    x = {"audio": [[[1.0], [2.0]]], "video": [[[1.0], [2.0]]]}
    write_store(tmp_path / "store", x, split=["train"])
    (tmp_path / "store").rename(of_a_dead_process(beside(tmp_path / "store", "replaced")))
    assert len(open_store(tmp_path / "store")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_what_is_being_written_is_left_alone_and_what_cannot_be_known_is_named(tmp_path):
    target = tmp_path / "out"
    own, dead = beside(target), of_a_dead_process(beside(target))
    host, *rest = own.name.partition("partial-")[2].split("-")
    far = target.with_name(".out.partial-" + "-".join(["f" * 6, *rest]))
    rebooted = target.with_name(".out.partial-" + "-".join([host, "f" * 6, *rest[1:]]))
    earlier = tmp_path / ".out.partial-0123abcd"
    others = [tmp_path / ".out.partial-import", tmp_path / ".out2.partial-0123abcd"]
    said = {own: False, dead: True, rebooted: True, far: None, earlier: None}
    assert {path: is_over(path.name) for path in said} == said
    for path in (*said, *others):
        path.mkdir()
    with pytest.warns(UserWarning, match="remove it if nothing writes out") as warned:
        clear_leftovers(target)
    assert {str(w.message).split()[0] for w in warned} == {str(far), str(earlier)}
    assert set(tmp_path.iterdir()) == {own, far, earlier, *others}


def test_a_file_of_a_killed_process_is_known_by_its_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cmg.files.write_synced", lambda path, data: (seen.append(path.name), path.touch())
    )
    replace_file(tmp_path / "facts.json", b"{}")
    assert is_over(seen[0]) is False
    assert writers.is_over(of_a_dead_process(tmp_path / seen[0]).name) is True


def test_paths_that_cannot_change_places_are_told(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "none")
