from __future__ import annotations

import pytest
import torch

from cmg.evaluation.encoding import code_usage, encode_split
from cmg.report.gather import gather
from cmg.report.samples import most_used, timelines
from cmg.runs.checkpoint import load_model
from cmg.types import Batch

from .conftest import Page, markdown_tables, read


def encoded_alone(data, clip: int) -> dict[str, list[int]]:
    """Codes of one clip by the public way, one modality at a time."""
    codes = {}
    for m in data.modalities:
        x, n = data.split.features(m, [clip])
        if int(n) == 0:
            codes[m] = []
            continue
        codes[m] = data.model.encode(Batch({m: x.float()}))[m][0].tolist()
    return codes


@pytest.mark.parametrize("which", ["labeled", "unlabeled", "evil"])
def test_timelines_are_the_model_s_codes(which, request):
    folder = request.getfixturevalue(which)
    data = gather(folder)
    html, markdown = read(folder)
    shown = timelines(data)
    assert len(shown) == 6
    found = [
        (m, [int(k) for k in codes if k != "–"])
        for title, rows in Page(html).tables.items()
        for m, *codes in rows
        if m in data.modalities and any(one.id in title for one in shown)
    ]
    for one in shown:
        assert data.split.rows[one.clip].id == one.id
        wanted = encoded_alone(data, one.clip)
        assert one.codes == wanted
        for m, codes in wanted.items():
            if codes:
                assert (m, codes) in found
    tables = markdown_tables(markdown)
    for one in shown:
        titles = [t for t in tables if t.split(" (class")[0].endswith(one.id.split()[-1])]
        table = {row[0]: row[1:] for title in titles for row in tables[title]}
        told = {m: [int(k) for k in table.get(m, ()) if k != "–"] for m in one.codes}
        assert told == one.codes


def test_examples_took_their_code(evil):
    data = gather(evil)
    cards = most_used(data)
    frequencies = [card.frequency for card in cards]
    assert frequencies == sorted(frequencies, reverse=True)
    seen = 0
    for card in cards:
        for m, places in card.examples.items():
            assert len({p.clip for p in places}) == len(places)
            assert bool(places) == (card.counts[m] > 0)
            for place in places:
                assert encoded_alone(data, place.clip)[m][place.step] == card.code
                seen += 1
    assert seen > 20


def test_classes_of_a_code_are_those_of_its_steps(evil):
    data = gather(evil)
    classes = data.store.labels["event"].classes
    labels = data.split.label("event")
    checked = 0
    for card in most_used(data):
        names = [
            classes[labels[clip, t]]
            for m in ("eeg", "depth")
            for clip in range(len(data.split))
            for t, k in enumerate(encoded_alone(data, clip)[m])
            if k == card.code
        ]
        if names:
            name, share = card.classes[0]
            assert names.count(name) / len(names) == pytest.approx(share)
            assert names.count(name) == max(names.count(n) for n in names)
            checked += 1
        assert card.basis == ("steps" if names else "")
    assert checked >= 3


def test_matches_the_evaluation_s_codebook_use(labeled):
    data = gather(labeled)
    model = load_model(labeled)
    encoded = encode_split(model, data.store.split("test"))
    assert torch.equal(code_usage(encoded, model.size).counts, data.usage.counts)
    assert data.stats.used == float(data.usage.used().sum())
