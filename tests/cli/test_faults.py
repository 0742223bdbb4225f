"""An error that nobody foresaw ends in one message, an exit code of its own and a file."""

import json
from pathlib import Path

import pytest

from cmg.cli import faults
from cmg.config import named


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A command that fails as none should; the folder where that is kept."""
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))

    def fail(*_, **__):
        raise KeyError("shape\nof nothing")

    monkeypatch.setattr(named, "named", fail)
    return tmp_path / "cache" / "faults"


def test_it_is_told_with_the_command_and_kept(cmg, broken):
    said = cmg("presets", "list")
    assert said.code == 70
    (kept,) = broken.iterdir()
    first, second = said.err.splitlines()
    assert first == r"error: cmg is at fault, not you: KeyError: 'shape\nof nothing'"
    assert second.startswith(f"in `cmg presets list`. The traceback is in {kept}; send that file")
    text = kept.read_text()
    assert "Traceback (most recent call last)" in text
    assert text.splitlines()[1] == "cmg presets list"
    assert f"in {Path.cwd()}" in text
    assert [path.name for path in broken.iterdir()] == [kept.name]


def test_json_says_it_too(cmg, broken):
    said = cmg("presets", "list", "--json")
    assert said.code == 70
    (kept,) = broken.iterdir()
    told = json.loads(said.out)
    assert told == {
        "error": "KeyError",
        "message": r"KeyError: 'shape\nof nothing'",
        "traceback": str(kept),
    }


def test_where_nothing_can_be_kept_the_traceback_is_printed(cmg, broken, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(faults, "replace_file", full)
    said = cmg("presets", "list")
    assert said.code == 70
    assert "Traceback (most recent call last)" in said.err
    assert "No space left" not in said.err
