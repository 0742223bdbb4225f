"""``cmg retrieve`` by a file of media or by words, with the extractors of the run."""

import json
import shutil

import pytest

from .test_encode_media import registered, trained  # noqa: F401 - fixtures


@pytest.fixture
def ask(cmg, trained, monkeypatch):  # noqa: F811
    """Ask the training clips; names of clips are no files here."""
    monkeypatch.chdir(trained)

    def run(query, source, target, *more):
        base = ["--model", trained / "run", "--split", "train", "--from", source, "--to", target]
        return cmg("retrieve", query, *base, *more, "--json")

    return run


@pytest.mark.parametrize(("source", "target"), [("audio", "video"), ("video", "text")])
@pytest.mark.parametrize("by", ["mean", "codes", "continuous"])
def test_a_file_finds_what_its_clip_of_the_store_finds(ask, trained, source, target, by):  # noqa: F811
    known = ask("clip4", source, target, "--by", by)
    found = ask(trained / "media" / "clip4.mp4", source, target, "--by", by)
    assert found.code == 0, found.err
    assert len(found.json["hits"]) == 9
    assert found.json["hits"] == known.json["hits"]


def test_words_find_what_the_caption_of_a_clip_finds(ask):
    known = ask("clip4", "text", "video", "--top", "3")
    found = ask("a  middle clip", "text", "video", "--top", "3", "--text")
    assert found.code == 0, found.err
    assert found.json["hits"] == known.json["hits"]
    assert ask("a low clip", "text", "video", "--text").json["hits"] != known.json["hits"]


def test_queries_that_say_nothing_of_the_modality_are_refused(ask, trained, tmp_path):  # noqa: F811
    words = ask("a low clip", "audio", "video", "--text")
    assert words.code == 2
    assert "--text gives words, 'audio' reads sound" in words.err
    folder = ask(trained / "media", "audio", "video")
    assert folder.code == 2
    assert "9 clips; a query is one" in folder.err
    (tmp_path / "said.txt").write_text("a low clip\n")
    silent = ask(tmp_path / "said.txt", "audio", "video")
    assert silent.code == 2
    assert "said: nothing of 'audio' to ask by" in silent.err
    unknown = ask("a low clip", "smell", "video", "--text")
    assert unknown.code == 2
    assert "no modality 'smell'" in unknown.err
    assert "Traceback" not in silent.err + folder.err + words.err + unknown.err


def test_a_run_that_does_not_know_its_extractors_is_told_them(cmg, trained, tmp_path):  # noqa: F811
    run = shutil.copytree(trained / "run", tmp_path / "run")
    facts = json.loads((run / "run.json").read_text())
    del facts["extractors"]
    (run / "run.json").write_text(json.dumps(facts))
    base = [trained / "media" / "clip4.mp4", "--model", run, "--split", "train"]
    base += ["--from", "audio", "--to", "video", "--json"]
    refused = cmg("retrieve", *base)
    assert refused.code == 2
    assert "--extractor" in refused.err
    found = cmg("retrieve", *base, "--extractor", "audio=ears")
    assert found.code == 0, found.err
    assert len(found.json["hits"]) == 9
