"""A benchmark from outside the package: one file, run by `cmg evaluate` like the built-in ones."""

import csv
import importlib
import json
import sys

import numpy as np
import pytest

from cmg import registry
from cmg.data import write_store
from cmg.errors import ConfigError
from cmg.models.unified import UnifiedModel
from cmg.recipes.evaluate_tasks import benchmark_names, evaluate_tasks, select
from cmg.registry import PluginError, use
from cmg.runs.selection import SELECTED
from cmg.tasks.benchmark import benchmarks, find_benchmark
from cmg.types import Batch, Kind, Modality

from .conftest import Folder, write_run

PLUGIN = '''
"""Sounds and sentences: which of two things is meant."""

from cmg.evaluation.training import HeadOptions
from cmg.tasks.benchmark import Benchmark, benchmark
from cmg.tasks.sides import side
from cmg.tasks.benchmark import Plan


@benchmark("sentences")
class Sentences(Benchmark):
    about = "Sentences: classify a thing, by sound or by words."
    title = "Sentences: classification of things"
    sets = ("sentences",)
    modalities = ("audio", "text")
    heads = HeadOptions(epochs=20, lr=0.05)

    def plan(self, data):
        train, test = (
            {m: side(data, "sentences", m, "thing", split) for m in self.between(data)}
            for split in ("train", "test")
        )
        return Plan(self, train, train, test, ("trained on train, tested on test",))
'''


@pytest.fixture
def sentences(tmp_path, monkeypatch, make_options):
    """The plugin is loaded; a collection of its data set, and a run of audio and text."""
    (tmp_path / "sentences_of_mine.py").write_text(PLUGIN)
    assert len(PLUGIN.splitlines()) <= 40
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    monkeypatch.setattr(benchmarks, "entries", dict(benchmarks.entries))
    monkeypatch.setattr(registry._State, "loaded", [])
    monkeypatch.delitem(sys.modules, "sentences_of_mine", raising=False)
    use("sentences_of_mine")
    rng = np.random.default_rng(0)
    things = [i % 2 for i in range(60)]
    audio = [rng.normal(2.0 * thing, 0.5, (4, 6)).astype(np.float32) for thing in things]
    text = [rng.normal(2.0 * thing, 0.5, (2 + i % 3, 5)) for i, thing in enumerate(things)]
    store = write_store(
        tmp_path / "store",
        {"audio": audio, "text": [x.astype(np.float32) for x in text]},
        labels={"thing": things},
        split=["train"] * 40 + ["test"] * 20,
        kinds={"text": "tokens"},
    )
    folder = Folder(tmp_path, {"sentences": store})
    monkeypatch.setattr("cmg.official.collection.open_collection", lambda *_, **__: folder)
    declared = [
        Modality(name="audio", kind=Kind.VECTORS, shape=(6,), detail_width=4),
        Modality(name="text", kind=Kind.TOKENS, shape=(5,), detail_width=4, token_hidden=3),
    ]
    model = UnifiedModel(declared, make_options).eval()
    for m, rows in (("audio", slice(0, 12)), ("text", slice(12, 24))):
        x, lengths = store.features(m, np.arange(6))
        z = model.semantics(Batch({m: x}, {m: lengths}))[m]
        model.codebook.codes[rows] = z[:, :2].flatten(0, 1)
    return folder, write_run(tmp_path / "run", model, store="x")


def test_a_benchmark_from_outside_is_evaluated_by_the_command(cmg, sentences, tmp_path):
    _, run = sentences
    out, given = tmp_path / "out", ["--data", "ROOT", "--model", run, "--seeds", 1]
    said = cmg("evaluate", "sentences", *given, "--out", out, "--features", "continuous")
    assert said.code == 0, said.err
    assert "Sentences: classification of things" in said.out
    told = json.loads((out / "results.json").read_text())["sentences"]
    assert list(told) == ["clean"]  # it has no published protocol
    rows = told["clean"]
    assert list(rows) == ["audio->text", "text->audio", "audio->audio", "text->text"]
    assert rows["text->text"]["accuracy"]["mean"] > 75.0
    file = out / "predictions" / "sentences-clean-text-to-text.csv"
    right = [row["truth"] == row["prediction"] for row in csv.DictReader(file.open())]
    assert rows["text->text"]["accuracy"]["mean"] == 100.0 * sum(right) / 20
    assert "Sentences" in (out / "report.html").read_text()
    said = cmg("evaluate", "--help")
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith("  ")]
    assert listed[listed.index("all") :][:6] == [
        "all",
        "ave",
        "avvp",
        "ave-avvp",
        "ucf-vgg",
        "sentences",
    ]


def test_select_and_studies_find_it(sentences):
    folder, run = sentences
    found = select(run, folder, seeds=1, benchmark="sentences")
    assert (found.benchmark, found.scores[0].accuracy.n) == ("sentences", 1)
    assert json.loads((run / SELECTED).read_text())["benchmark"] == "sentences"
    assert benchmark_names(["all"])[-1] == "sentences"
    with pytest.raises(ConfigError, match="sentences has no protocol 'published'; it has clean"):
        select(run, folder, "published", benchmark="sentences")


def test_a_single_modality_has_its_own_direction_alone(sentences):
    """The supervised upper bound."""
    folder, run = sentences
    results = evaluate_tasks(folder, run, ["sentences"], seeds=1, modalities=["text"])
    assert list(results.figures["sentences"]["clean"]) == ["text->text"]
    assert results.outcomes[0].remarks == ["without audio, so not all of its directions"]
    posterior = evaluate_tasks(folder, run, ["sentences"], seeds=1, by="posterior")
    figures = posterior.figures["sentences"]["clean"]
    assert figures["audio->audio"]["accuracy"].mean > 75.0


def test_what_is_not_registered_or_taken(sentences, tmp_path):
    with pytest.raises(ConfigError, match=r"unknown benchmark 'sentence' \(did you mean 'sent"):
        find_benchmark("sentence")
    (tmp_path / "taken_by_me.py").write_text(PLUGIN.replace('"sentences")', '"ave")'))
    with pytest.raises(PluginError, match=r"registers benchmark 'ave', which cmg.tasks.ave.AVE"):
        use("taken_by_me")
    assert benchmarks["ave"].plugin == ""
