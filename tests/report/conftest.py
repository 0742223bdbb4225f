from __future__ import annotations

import dataclasses
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests.paired import paired_clips, paired_store

from cmg.config.schema import RunConfig
from cmg.data.inmemory import write_store
from cmg.evaluation.results import Results
from cmg.evaluation.scores import Score
from cmg.recipes.evaluate import evaluate_run
from cmg.recipes.pretrain import pretrain
from cmg.report.run import write_report
from cmg.types import Modality

MODALITIES = [
    Modality(name="eeg", kind="vectors", shape=(12,)),
    Modality(name="depth", kind="maps", shape=(3, 3, 6)),
    Modality(name="notes", kind="tokens", shape=(8,)),
]
EVIL = '<script>alert("1")</script> & `x` | y'


def config(store: Path | str, seed: int = 0, **data: object) -> RunConfig:
    return RunConfig.model_validate(
        {
            "data": {"store": str(store), "batch_size": 8} | data,
            "model": {
                "width": 16,
                "temporal": {"kind": "mlp", "hidden": 16},
                "spatial_pool": "sum",
                "codebook": {"size": 16, "start": "samples"},
            },
            "objectives": {"reconstruction": None, "club": None, "cmcm": {"weight": 0.0}},
            "training": {"epochs": 1, "seed": seed, "tensorboard": False},
            "probe": {"epochs": 2, "seeds": 2},
        }
    )


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="session")
def labeled(root) -> Path:
    """A run of three steps on clips with a class each, evaluated."""
    splits = {"train": 24, "test": 18}
    paired_store(root / "store", MODALITIES, splits, steps=4, classes=3, lengths=(2, 4))
    pretrain(config(root / "store"), root / "labeled")
    evaluate_run(root / "labeled")
    return root / "labeled"


def ragged(path: Path, labels: bool) -> None:
    """Clips of uneven lengths, one with notes only, and names that must be escaped."""
    drawn = paired_clips(MODALITIES, 30, 5, 3, lengths=(1, 5), missing=0.2, per="step")
    features = {
        m: [x[i, :n] if n else None for i, n in enumerate(drawn.lengths[m])]
        for m, x in drawn.features.items()
    }
    for m in ("eeg", "depth"):
        features[m][21] = None
    features["notes"][21] = np.ones((3, 8), dtype=np.float32)
    longest = [max(len(x[i]) for x in features.values() if x[i] is not None) for i in range(30)]
    write_store(
        path,
        features,
        split=["train"] * 18 + ["test"] * 12,
        kinds={"notes": "tokens"},
        ids=[f"{EVIL} {i}" for i in range(30)],
        labels={"event": [drawn.labels[i, : longest[i]].tolist() for i in range(30)]}
        if labels
        else None,
        classes={"event": [EVIL, "walk", "background"]} if labels else None,
        notes=f"Recorded by {EVIL}",
    )


@pytest.fixture(scope="session")
def unlabeled(root) -> Path:
    ragged(root / "unlabeled store", labels=False)
    chosen = config(root / "unlabeled store", modalities=["eeg", "depth"])
    pretrain(chosen, root / "unlabeled")
    return root / "unlabeled"


@pytest.fixture(scope="session")
def evil(root) -> Path:
    """A run on labels per step, not evaluated yet."""
    ragged(root / "evil store", labels=True)
    pretrain(config(root / "evil store"), root / "evil")
    return root / "evil"


@pytest.fixture(scope="session")
def demo(root, labeled) -> Path:
    """A demo folder of two seeds with all controls."""
    for seed in range(2):
        pretrain(config(root / "store", seed), root / "demo" / f"seed-{seed}")
    told = Results.load(labeled / "results.json")
    shuffled = {d: Score(12.3, 4.5, 6) for d in told.transfer}
    controls = {"shuffled_pairs": shuffled, "untrained_encoders": shuffled} | told.controls
    extra = {"test_one_scan": {d: Score(77.7, 1.5, 6) for d in told.transfer}}
    localization = {"eeg->eeg": Score(51.25, 0.5, 6), "eeg->depth": Score(47.5, 2.25, 6)}
    changed = dataclasses.replace(
        told, controls=controls, extra_splits=extra, localization=localization
    )
    changed.save(root / "demo" / "results.json")
    (root / "demo" / "demo.json").write_text(json.dumps({"format": "cmg-demo"}))
    return root / "demo"


@pytest.fixture(scope="session")
def two_sets(root, demo) -> Path:
    """A demo with a further set, which is the same one here."""
    shutil.copytree(demo, root / "two_sets")
    shutil.copytree(demo / "seed-0", root / "two_sets" / "more" / "seed-0")
    shutil.copy(demo / "results.json", root / "two_sets" / "more")
    return root / "two_sets"


def read(folder, out=None) -> tuple[str, str]:
    html, markdown = write_report(folder, out)
    assert (html.name, markdown.name) == ("report.html", "report.md")
    return html.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")


class Page(HTMLParser):
    """A page, taken apart: tables by caption, codes, loads."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._caption, self._cell, self._rows = None, None, []
        self.feed(text)
        self.close()
        assert self.open == [], f"unclosed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag == "caption":
            self._caption = ""

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self._rows[-1].append(" ".join(self._cell.split()))
            self._cell = None
        elif tag == "table":
            self.tables[self._caption.strip()] = self._rows
        elif tag == "caption":
            self._done = True

    def handle_data(self, data):
        self.words.append(data)
        if self._cell is not None:
            self._cell += data
        elif self.open and self.open[-1] == "caption":
            self._caption += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def markdown_tables(text: str) -> dict[str, list[list[str]]]:
    """Tables of a Markdown file by the heading above them; the last one of a heading wins."""
    found: dict[str, list[list[str]]] = {}
    heading, fenced = "", False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            found.setdefault(heading, []).append(cells)
    return found
