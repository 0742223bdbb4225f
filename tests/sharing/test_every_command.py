"""Every command that takes a run takes an export of it, or says why it does not."""

import json
import shutil

import pytest


def named(words):
    """A command by its first words."""
    return words.partition(" --")[0].replace(" ", "-") if " " in words else ""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("runs EXPORT", "finished, 1"),
        ("compare RUN EXPORT --out OUT", "2 runs; differences are to run."),
        ("probe --model EXPORT --train-on audio --test-on text --data STORE", "'kind'"),
        ("encode STORE --model EXPORT --out OUT.jsonl", "24 clips encoded"),
        (
            "retrieve clip-00015 --model EXPORT --from audio --to text --gallery STORE",
            "text by audio, among 9 clips",
        ),
        ("evaluate retrieval --model EXPORT --by mean --data STORE --out OUT", "Report: "),
        ("evaluate open-set --model EXPORT --known 2 --data STORE --out OUT", "Report: "),
        (
            "evaluate two-stage --model EXPORT --new pen --pivot audio --data STORE --out OUT "
            "--seeds 1 --epochs 1",
            "Report: ",
        ),
        ("export EXPORT OUT", "checkpoint.json"),
    ],
    ids=named,
)
def test_a_command_takes_an_export(cmg, private, tmp_path, words, wanted):
    said = cmg(*typed(words, private, tmp_path))
    assert said.code == 0, said.err
    assert wanted in said.out


NO_CLIPS = "exported without the clips that it was trained on; name a store"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("pretrain --out EXPORT --resume", "which nothing trains on from"),
        ("select EXPORT --data OFFICIAL", "is one checkpoint; give the run folder"),
        ("convert EXPORT --to-official OUT", "this model has no official form"),
        ("convert EXPORT --out OUT", "--out makes runs of the authors' files"),
        (
            "evaluate ave --model EXPORT --data OFFICIAL --out OUT",
            "has steps of shape (8,), the model reads (6,)",
        ),
        ("baselines EXPORT", NO_CLIPS),
        ("report EXPORT", NO_CLIPS),
        ("explore EXPORT --no-browser", NO_CLIPS),
        ("retrieve clip-00015 --model EXPORT --from audio --to text", NO_CLIPS),
        ("evaluate retrieval --model EXPORT --out OUT", NO_CLIPS),
        ("evaluate open-set --model EXPORT --known 2 --out OUT", NO_CLIPS),
    ],
    ids=named,
)
def test_a_command_says_why_it_does_not(cmg, private, simulated, tmp_path, words, why):
    before = sorted(private.rglob("*"))
    said = cmg(*typed(words, private, tmp_path, OFFICIAL=simulated))
    assert said.code == 2
    assert why in said.err
    assert sorted(private.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def typed(words, private, tmp_path, **more):
    """Arguments with the places that their capitals stand for."""
    known = {"EXPORT": private / "export", "RUN": private / "run", "OUT": tmp_path / "out"}
    known |= {"STORE": private / "private place", "OUT.jsonl": tmp_path / "codes.jsonl"} | more
    return [known.get(word, word) for word in words.split()]


def test_a_report_on_other_clips_leaves_aside_what_is_kept(cmg, private, tmp_path):
    export, written = tmp_path / "export", {}
    shutil.copytree(private / "export", export)
    kept = json.loads((export / "results.json").read_text())
    kept["transfer"]["audio->text"] |= {"mean": 77.75, "values": [77.75]}
    (export / "results.json").write_text(json.dumps(kept))
    for store in ("private place", "others"):
        said = cmg("report", export, "--data", private / store, "--out", tmp_path / store)
        assert said.code == 0, said.err
        written[store] = (tmp_path / store / "report.md").read_text()
    assert ["77.8" in text for text in written.values()] == [True, False]
    changed = "The store has changed since training"
    assert [changed in text for text in written.values()] == [False, True]
    assert json.loads((export / "results.json").read_text()) == kept
