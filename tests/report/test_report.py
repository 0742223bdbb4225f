from __future__ import annotations

import json
import re
import shutil

import pytest

from cmg.data.digits import build_digits
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score
from cmg.recipes.pretrain import pretrain
from cmg.report.colors import heat
from cmg.report.document import Document, of_tables
from cmg.report.gather import gather
from cmg.report.html import page
from cmg.report.samples import timelines
from cmg.report.tables import sets_table, transfer_matrix

from .conftest import EVIL, MODALITIES, Page, config, markdown_tables, read

NAMES = [m.name for m in MODALITIES]


def score(told: dict[str, float]) -> str:
    spread = f" ± {told['std']:.1f}" if told["n"] > 1 else ""
    return f"{told['mean']:.1f}{spread}"


def matrix(scores: dict[str, dict[str, float]]) -> dict[tuple[str, str], str]:
    return {tuple(d.split("->")): score(told) for d, told in scores.items()}


def as_dict(rows: list[list[str]]) -> dict[tuple[str, str], str]:
    header, *body = [row for row in rows if not row[0].startswith("---")]
    return {(r[0], c): x for r in body for c, x in zip(header[1:], r[1:], strict=True)}


def test_numbers_are_those_of_the_results(labeled, tmp_path):
    html, markdown = read(labeled, tmp_path)
    told = json.loads((labeled / "results.json").read_text())
    wanted = matrix(told["transfer"])
    assert len(wanted) == 9
    page = Page(html)
    assert as_dict(page.tables["Classification"]) == wanted
    assert as_dict(markdown_tables(markdown)["Classification"]) == wanted
    across = [s["mean"] for d, s in told["transfer"].items() if len(set(d.split("->"))) == 2]
    for text in (page.text.replace("\xa0", " "), markdown):
        assert f"right on {sum(across) / 6:.1f} % of the held-out clips" in text
        assert f"lowest {min(across):.1f} %" in text
        assert "chance 33.3 %" in text
        assert "n = 2 trained heads" in text
    assert as_dict(page.tables["Codebook"])["used", "value"] == f"{told['codebook']['used']:g}"


def test_matrices_are_colored_from_chance_and_say_what_is_below():
    scores = {"a->a": Score.of([100.0]), "a->b": Score.of([20.0]), "b->a": Score.of([5.0])}
    table = transfer_matrix("Transfer", scores, "Label x.", chance=20.0)
    assert [cell.heat for cell in table.rows[0][1:]] == [1.0, 0.0]
    assert table.rows[1][1].heat == -0.75
    assert table.note.endswith("Chance is 20.0 %. Below chance: b → a.")
    html = page(Document("x", "", [], of_tables([table])))
    assert html.count(">below chance</small>") == 1
    assert f'style="{heat(-0.75).style}">5.0' in html
    assert [c.heat for c in transfer_matrix("", scores).rows[0][1:]] == [1.0, 0.2], "unknown"


def test_demo_shows_controls_and_every_seed(demo):
    html, markdown = read(demo)
    told = json.loads((demo / "results.json").read_text())
    page = Page(html)
    for title, scores in (
        ("Classification", told["transfer"]),
        ("Localization", told["localization"]),
        ("One scan per clip", told["extra_splits"]["test_one_scan"]),
    ):
        wanted = matrix(scores)
        for rows in (page.tables[title], markdown_tables(markdown)[title]):
            assert as_dict(rows).items() >= wanted.items()
    every = as_dict(page.tables["Every direction"])
    assert every == as_dict(markdown_tables(markdown)["Every direction"])
    titles = {
        "codes": told["transfer"],
        "continuous features": told["controls"]["continuous"],
        "untrained encoders": told["controls"]["untrained_encoders"],
        "shuffled pairs": told["controls"]["shuffled_pairs"],
        "chance": told["controls"]["chance"],
    }
    for title, scores in titles.items():
        for direction, one in scores.items():
            assert every[direction.replace("->", " → "), title] == score(one)
    assert [row[0] for row in page.tables["Controls"][1:]] == list(titles)
    assert "MM-EMA writes paired features into each other's codes" in page.text
    assert html.index('id="codes"') < html.index('id="training"')
    first = re.search(r"<figure>.*?</figure>", html.split('id="training"')[1], re.S)[0]
    assert "total loss" in first
    assert first.count("<polyline") == 2
    assert as_dict(page.tables["Provenance"])["seeds", "value"] == "0, 1"


def test_sets_are_compared_by_their_mean_across():
    def directions(across):
        return {f"{a}->{b}": Score.of([100.0 if a == b else across]) for a in "xy" for b in "xy"}

    one = CodebookStats(8, 8.0, 4.0, 0.5)
    asymmetric = directions(60.0) | {"y->x": Score.of([50.0])}
    sets = {
        "first": Results(asymmetric, {}, {"ridge": directions(57.5)}, one),
        "second": Results(directions(40.0), {}, {"infonce": directions(30.0)}, one),
    }
    found = sets_table(sets)
    assert found.columns == (
        "heads read", "first", "first: codes ahead by", "second", "second: codes ahead by",
    )  # fmt: skip
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["codes", "55.0", "–", "40.0", "–"],
        ["ridge", "57.5", "-2.5", "–", "–"],
        ["InfoNCE, equal budget", "–", "–", "30.0", "+10.0"],
    ]


def test_objectives_and_their_weights(labeled):
    html, markdown = read(labeled)
    for tables in (Page(html).tables, markdown_tables(markdown)):
        found = as_dict(tables["Objectives"])
        shown = {term: found[term, "weight"] for term, _ in found}
        assert shown == {
            "reconstruction": "off",
            "commitment": "1",
            "Cross-CPC": "1",
            "CLUB": "off",
            "CMCM": "0 (logged only)",
        }


def test_curves_tell_the_metrics(labeled):
    html, markdown = read(labeled)
    lines = [json.loads(line) for line in (labeled / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    for tables in (Page(html).tables, markdown_tables(markdown)):
        found = as_dict(tables["The curves in numbers"])
        assert float(found["total loss", "first point"]) == pytest.approx(
            lines[0]["loss/total"], rel=1e-3
        )
        for m in NAMES:
            assert float(found[f"perplexity in a batch: {m}", "last point"]) == pytest.approx(
                lines[-1][f"perplexity/{m}"], rel=1e-3
            )
        assert float(found["codes used in a batch, %", "last point"]) == pytest.approx(
            100 * lines[-1]["code_usage"], rel=1e-3
        )


def test_every_code_is_drawn_once(labeled):
    html, markdown = read(labeled)
    drawn = sorted(int(k) for k in re.findall(r'data-code="(\d+)"', html))
    assert drawn == list(range(16))
    bars = sorted(int(k) for k in re.findall(r'data-bar="(\d+)"', html))
    assert bars == list(range(16))
    data = gather(labeled)
    pooled = data.usage.counts.sum(0)
    for code, tokens in re.findall(r"<title>code (\d+): [^<]*; (\d+) tokens</title>", html):
        assert int(tokens) == int(pooled[int(code)])
    groups = as_dict(markdown_tables(markdown)["The groups in numbers"])
    assert sum(int(n) for n in groups.values()) == 16


def test_no_labels_no_tables(unlabeled):
    html, markdown = read(unlabeled)
    page = Page(html)
    for text in (page.text, markdown):
        assert "The store has no labels, so there are no transfer tables" in text
    assert "Classification" not in page.tables
    assert "Controls" not in page.tables
    assert not (unlabeled / "results.json").exists()
    assert "Codes over time" in page.text
    # Held-out clips with neither modality are left out; their neighbors keep their own codes.
    data = gather(unlabeled)
    whole = data.store.split("test")
    have = (whole.lengths("eeg") + whole.lengths("depth")) > 0
    assert not have[whole.ids.index(f"{EVIL} 21")]
    assert data.split.ids == [name for name, there in zip(whole.ids, have, strict=True) if there]


def test_evaluates_what_has_not_been_evaluated(evil):
    (evil / "results.json").unlink(missing_ok=True)
    html, _ = read(evil)
    told = Results.load(evil / "results.json")
    assert set(told.localization) == {f"{a}->{b}" for a in NAMES[:2] for b in NAMES[:2]}
    tables = Page(html).tables
    assert "Classification" not in tables
    assert len(as_dict(tables["Localization"])) == 4


def test_everything_is_escaped(evil):
    html, markdown = read(evil)
    assert "<script" not in html
    page = Page(html)
    assert EVIL in page.text
    assert {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed"} == set()
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert "<script" not in markdown
    assert "&lt;script&gt;" in markdown
    rows = [line for line in markdown.splitlines() if "alert" in line and line.startswith("|")]
    assert rows
    assert all(r"\| y" in row for row in rows)


@pytest.mark.parametrize("which", ["labeled", "unlabeled", "evil", "two_sets"])
def test_self_contained_and_accessible(which, request):
    html, _ = read(request.getfixturevalue(which))
    page = Page(html)
    assert len(html) < 4_000_000
    assert "url(" not in html
    assert "@import" not in html
    for tag, attributes in page.tags:
        for name in ("src", "href", "data", "poster", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith(("data:", "#")), (tag, target)
        if tag == "img":
            assert attributes["alt"]
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    anchors = {a["href"][1:] for t, a in page.tags if t == "a"}
    assert anchors == {a["id"] for t, a in page.tags if t == "section"}
    assert page.tags[0][1]["lang"] == "en"
    assert "prefers-color-scheme: dark" in html


def test_same_folder_same_bytes(labeled, tmp_path):
    for name in ("report.html", "report.md"):
        (labeled / name).unlink(missing_ok=True)
    assert read(labeled, tmp_path / "a") == read(labeled, tmp_path / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "report",
        "report.html",
        "report.md",
    ]
    assert not list(labeled.glob("report.*"))


def test_a_checkpoint_without_its_run(labeled, tmp_path):
    """The checkpoint tells what is needed; what only the run folder has is left out."""
    checkpoint = next((labeled / "checkpoints").iterdir())
    html, _ = read(checkpoint, tmp_path)
    page = Page(html)
    assert "Classification" in page.tables
    assert "The curves in numbers" not in page.tables
    assert "spatial_pool: sum" in page.text


def test_changed_data_are_remarked(labeled, root, tmp_path):
    shutil.copytree(labeled, tmp_path / "run")
    path = next((tmp_path / "run" / "checkpoints").iterdir()) / "checkpoint.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps(told | {"data_hash": "0" * 64}))
    html, markdown = read(tmp_path / "run")
    assert "The store has changed since training" in Page(html).text
    assert "The store has changed since training" in markdown


def test_a_store_without_held_out_clips(root, tmp_path):
    from tests.paired import paired_store

    paired_store(tmp_path / "store", MODALITIES, {"train": 20}, steps=3)
    pretrain(config(tmp_path / "store"), tmp_path / "run")
    html, _ = read(tmp_path / "run")
    text = Page(html).text
    assert "has no split 'test'" in text
    assert "On training clips" in text
    assert "Without held-out clips there are no transfer tables" in text


def test_digits_media(tmp_path):
    build_digits(tmp_path / "store", train_clips=40, test_clips=20)
    pretrain(config(tmp_path / "store", batch_size=20), tmp_path / "run")
    html, _ = read(tmp_path / "run")
    page = Page(html)
    assert len(html) < 4_000_000
    images = [a for t, a in page.tags if t == "img"]
    sounds = [a for t, a in page.tags if t == "audio"]
    assert images
    assert all(a["src"].startswith("data:image/png;base64,") for a in images)
    assert {"blank page with specks"} < {a["alt"] for a in images}
    assert len(sounds) > 6
    assert all(a["src"].startswith("data:audio/wav;base64,") for a in sounds)
    assert "CC BY 4.0" in page.text
    assert "the pairing is constructed" in page.text
    assert "<mark>" in html
    data = gather(tmp_path / "run")
    for one in timelines(data):
        sentence = data.split.rows[one.clip].meta["sentence"]
        words = re.findall(r"[a-z']+", sentence.lower())
        title = f"text of {one.id} ({one.label})"
        assert page.tables[title][0] == ["token", *words]
        assert [int(k) for k in page.tables[title][1][1:]] == one.codes["text"]
        steps = page.tables[f"{one.id} ({one.label})"]
        assert "".join(one.events).replace("background", "") != ""
        assert [row for row in steps if row[0] == "label"]
