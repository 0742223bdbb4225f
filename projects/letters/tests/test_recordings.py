"""Which sounds are letters, what of them is heard, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.errors import DataError
from projects.letters.recordings import (
    FOLDS,
    KLETTRES,
    LETTERS,
    VOICES,
    SpokenLetter,
    find_recordings,
    hear,
    word,
)
from projects.letters.tests.spoken import sing, sing_asterisk, sing_klettres

ALLISON = [voice for voice in VOICES if voice.speaker == "allison-smith"]
GERMAN = next(voice for voice in VOICES if voice.name == "klettres-de")


def test_a_speaker_is_in_one_fold_and_every_fold_has_speakers():
    folds = {
        voice.speaker: {v.fold for v in VOICES if v.speaker == voice.speaker} for voice in VOICES
    }
    assert all(len(found) == 1 for found in folds.values())
    assert {voice.fold for voice in VOICES} == set(range(FOLDS))
    assert [voice.language for voice in ALLISON] == ["en", "es"]
    assert len({voice.name for voice in VOICES}) == len(VOICES) == 20
    assert len({voice.language for voice in VOICES}) == 16  # ru, and the fifteen of klettres-data


def test_letters_are_told_from_syllables_signs_and_other_alphabets(tmp_path):
    sing_asterisk(tmp_path, ALLISON[0])
    sing_klettres(tmp_path, {"B": "de/alpha/b.wav", "Ä": "de/alpha/ae.wav", "a": "de/alpha/a.wav"})
    found = find_recordings(tmp_path, [ALLISON[0], GERMAN])
    assert [one.id for one in found] == [
        *(f"asterisk-en.{letter}" for letter in LETTERS),
        "klettres-de.a",
        "klettres-de.b",
    ]
    assert found[-1].path.parts[-3:] == ("de", "alpha", "b.wav")


def test_missing_packages_are_all_named_with_the_line_that_gets_them(tmp_path):
    sing_asterisk(tmp_path, ALLISON[0])
    with pytest.raises(DataError) as error:
        find_recordings(tmp_path)
    assert f"apt-get download asterisk-core-sounds-es-wav=1.6.1-1 {KLETTRES} " in str(error.value)
    assert "asterisk-core-sounds-en-wav" not in str(error.value)
    assert "dpkg -x" in str(error.value)
    (tmp_path / "usr/share" / ALLISON[0].folder / "letters/q.wav").unlink()
    with pytest.raises(DataError, match="no recordings of asterisk-core-sounds-en-wav"):
        find_recordings(tmp_path, ALLISON[:1])


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [("</klettres>", "", "cannot be read"), ("de/alpha", "../../../etc", "outside of it")],
)
def test_a_damaged_list_of_sounds_is_refused(tmp_path, written, instead, says):
    sing_klettres(tmp_path, {"A": "de/alpha/a.wav"})
    index = tmp_path / "usr/share/klettres/de/sounds.xml"
    index.write_text(index.read_text("utf-8").replace(written, instead), encoding="utf-8")
    with pytest.raises(DataError, match=says):
        find_recordings(tmp_path, [GERMAN])


def test_a_word_loses_silence_band_and_loudness():
    rate = 16000
    time = np.arange(rate) / rate
    wave = np.where(abs(time - 0.5) < 0.1, 0.05 * np.sin(2 * np.pi * 500 * time), 0.0)
    hiss = 0.01 * np.sin(2 * np.pi * 6000 * time)
    heard = word((wave + hiss + 0.3).astype(np.float32), rate)
    assert heard.dtype == np.float32
    assert np.abs(heard).max() == pytest.approx(0.9)
    assert len(heard) / rate == pytest.approx(0.2 + 2 * 0.02, abs=0.021)  # loudness is over 20 ms
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.fft.rfftfreq(len(heard), 1 / rate)[spectrum.argmax()] == pytest.approx(500, abs=5)
    assert spectrum[np.fft.rfftfreq(len(heard), 1 / rate) > 4500].max() < 0.01 * spectrum.max()


def test_a_noisy_recording_is_cut_where_its_noise_begins():
    rate = 16000
    rng = np.random.default_rng(0)
    noise = 0.02 * rng.normal(size=2 * rate)
    noise[rate : rate + 4800] += np.sin(2 * np.pi * 440 * np.arange(4800) / rate)
    assert len(word(noise.astype(np.float32), rate)) / rate == pytest.approx(0.34, abs=0.03)


def test_a_sound_is_kept_once_and_not_under_two_letters(tmp_path):
    def recording(letter, path):
        return SpokenLetter(f"{GERMAN.name}.{letter}-{path.stem}", GERMAN, letter, path)

    silent = sing(tmp_path / "silent.wav", 0.0)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    found = hear(
        [
            recording("a", sing(tmp_path / "one.wav", 300)),
            recording("a", sing(tmp_path / "copy.wav", 300, silence=0.3)),
            recording("i", sing(tmp_path / "i.wav", 400)),
            recording("j", sing(tmp_path / "j.wav", 400)),
            recording("b", sing(tmp_path / "other.wav", 500)),
            recording("c", silent),
            recording("d", tmp_path / "broken.wav"),
        ],
        8000,
    )
    assert [one.id for one in found.recordings] == ["klettres-de.a-one", "klettres-de.b-other"]
    assert [len(wave) / 8000 for wave in found.waves] == pytest.approx([0.24, 0.24], abs=0.03)
    told = "\n".join(found.skipped)
    assert "klettres-de.a-copy: the same sound as klettres-de.a-one" in told
    assert "under several letters: klettres-de.i-i, klettres-de.j-j" in told
    assert "klettres-de.c-silent: it is silent" in told
    assert "klettres-de.d-broken: " in told
    assert len(found.skipped) == 4
