"""Where an encoder is looked for, and what a user is told who has none."""

import shutil
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from cmg.errors import ConfigError
from cmg.text.encoder import TextEncoder, load_text_encoder

from .conftest import VOCABULARY, save_bert


@pytest.fixture
def in_hub(bert):
    """Put the small BERT into the Hugging Face cache under a repository's name."""

    def put(name):
        repository = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc123")
        return shutil.copytree(bert, repository / "snapshots" / "abc123")

    return put


def test_the_roots_encoder_comes_before_the_environments_and_the_caches(
    bert, in_hub, tmp_path, monkeypatch
):
    cached = in_hub("google-bert/bert-base-uncased")
    given = shutil.copytree(bert, tmp_path / "given")
    own = shutil.copytree(bert, tmp_path / "root" / "text-encoder")
    assert load_text_encoder(tmp_path / "root").folder == own
    shutil.rmtree(own)
    assert load_text_encoder(tmp_path / "root").folder == cached
    monkeypatch.setenv("CMG_TEXT_ENCODER", str(given))
    assert load_text_encoder(tmp_path / "root").folder == given
    assert load_text_encoder(None).folder == given
    assert load_text_encoder(tmp_path / "root", name=str(bert)).folder == bert


@pytest.mark.parametrize("stored", ["google-bert/bert-base-uncased", "bert-base-uncased"])
@pytest.mark.parametrize("asked", ["google-bert/bert-base-uncased", "bert-base-uncased", None])
def test_the_default_is_found_in_the_cache_under_both_of_its_names(in_hub, stored, asked):
    folder = in_hub(stored)
    assert load_text_encoder(name=asked).folder == folder


def in_order(message, *parts):
    places = [message.index(part) for part in parts]
    return places == sorted(places)


def test_without_an_encoder_the_message_says_where_it_looked_and_what_to_do(tmp_path):
    with pytest.raises(ConfigError) as refused:
        load_text_encoder(tmp_path)
    assert in_order(
        str(refused.value),
        str(tmp_path / "text-encoder"),
        "$CMG_TEXT_ENCODER (not set)",
        constants.HF_HUB_CACHE,
        "Nothing is downloaded",
        "hf download google-bert/bert-base-uncased config.json",
        "vocab.txt model.safetensors",
    )


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("someone/else", "hf download someone/else"),
        ("no-such-model", "not in the Hugging Face cache"),
        ("not//a name", "not in the Hugging Face cache"),
        ("./nowhere", "no such folder"),
    ],
)
def test_a_name_that_is_nowhere_is_refused_without_a_download(name, says):
    with pytest.raises(ConfigError, match=says):
        TextEncoder.open(name)


@pytest.mark.parametrize(
    ("lost", "says"),
    [
        ("config.json", r"lacks config\.json"),
        ("vocab.txt", "lacks a tokenizer"),
        ("model.safetensors", r"lacks weights \(model\.safetensors\)"),
    ],
)
def test_a_folder_with_a_file_too_few_says_which(copied, lost, says):
    (copied / lost).unlink()
    with pytest.raises(ConfigError, match=says) as refused:
        TextEncoder.open(copied)
    assert str(copied) in str(refused.value)


def test_a_broken_first_choice_is_an_error_and_not_another_encoder(
    in_hub, copied, tmp_path, monkeypatch
):
    in_hub("bert-base-uncased")
    (copied / "vocab.txt").unlink()
    monkeypatch.setenv("CMG_TEXT_ENCODER", str(copied))
    with pytest.raises(ConfigError, match=r"\$CMG_TEXT_ENCODER=.*lacks a tokenizer"):
        load_text_encoder()
    (tmp_path / "root" / "text-encoder").mkdir(parents=True)
    with pytest.raises(ConfigError, match="root/text-encoder lacks"):
        load_text_encoder(tmp_path / "root")


def test_the_identity_is_of_contents_and_not_of_the_place(bert, copied, tmp_path):
    identity = TextEncoder.open(bert).identity
    assert TextEncoder.open(copied).identity == identity
    (copied / "README.md").write_text("not read")
    assert TextEncoder.open(copied).identity == identity
    with (copied / "vocab.txt").open("a") as stream:
        stream.write("more\n")
    assert TextEncoder.open(copied).identity != identity
    (tmp_path / "other").mkdir()
    other = save_bert(tmp_path / "other", VOCABULARY, seed=8)
    assert TextEncoder.open(other).identity != identity


def test_without_transformers_the_message_names_the_extra(bert, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"cmg-torch\[text\]"):
        _ = TextEncoder.open(bert).model
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"cmg-torch\[text\]"):
        load_text_encoder()
