"""Pieces and hidden states of an encoder, and folders that are refused."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.hostile import Evil

from cmg.errors import ConfigError
from cmg.text.encoder import TextEncoder
from cmg.text.words import glue

from .conftest import IDS, VOCABULARY, WIDTH, save_bert

LONG = "the dog is playing the guitar , " * 6
SENTENCES = [
    "A man is playing a guitar",
    "dog",
    LONG,
    "The sound of a horse-clip on a trampoline.",
    "a tramline is deeply barking",
] * 9


def texts(sentence):
    return [piece.text for piece in sentence.pieces]


def test_at_most_23_pieces_are_read_besides_the_two_special_ones(encoder):
    exactly, over = encoder.read([" ".join(["dog"] * 23), " ".join(["dog"] * 24)])
    for read in (exactly, over):
        assert len(read.ids) == 25
        assert read.ids[0] == IDS["[CLS]"]
        assert read.ids[-1] == IDS["[SEP]"]
        assert texts(read) == ["dog"] * 23
    assert (exactly.truncated, over.truncated) == (False, True)


def test_the_limit_may_cut_a_word_in_the_middle(encoder):
    read = encoder.read([" ".join(["a"] * 21) + " trampoline"])[0]
    assert read.truncated
    assert [word.text for word in glue(read.pieces)] == ["a"] * 21 + ["trampol"]


def test_case_and_accents_do_not_count(encoder):
    small, large = encoder.read(["deja the dog", "DÉJÀ The Dog"])
    assert small == large


def test_special_pieces_spelled_in_a_sentence_are_text(encoder):
    read = encoder.read(["a [SEP] dog"])[0]
    assert texts(read) == ["a", "[", "sep", "]", "dog"]
    assert read.ids.count(IDS["[SEP]"]) == 1


def test_nothing_and_the_unknown_are_read_too(encoder):
    empty, unknown = encoder.read(["", "犬 dog"])
    assert (empty.pieces, len(empty.ids), empty.truncated) == ((), 2, False)
    assert texts(unknown) == ["[UNK]", "dog"]
    hidden = encoder.hidden([empty, unknown])
    assert [h.shape for h in hidden] == [(0, WIDTH), (2, WIDTH)]
    assert encoder.read([]) == []
    assert encoder.hidden([]) == []


def test_a_sentence_does_not_depend_on_what_else_is_in_the_batch(encoder):
    together = encoder.hidden(encoder.read(SENTENCES))
    alone = [encoder.hidden(encoder.read([sentence]))[0] for sentence in SENTENCES[:5]]
    for index, vectors in enumerate(together):
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(vectors, alone[index % 5], rtol=0, atol=1e-5)


def test_opening_leaves_the_random_state_and_the_log_of_transformers_alone(bert, capfd):
    from transformers.utils import logging

    before = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    tensors = load_file(bert / "model.safetensors")
    assert any(name.startswith("pooler.") for name in tensors)
    _ = TextEncoder.open(bert).model
    after = torch.get_rng_state(), logging.get_verbosity(), logging.is_progress_bar_enabled()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert capfd.readouterr() == ("", "")


def drop(folder, prefix):
    tensors = load_file(folder / "model.safetensors")
    left = {name: x for name, x in tensors.items() if not name.startswith(prefix)}
    save_file(left, folder / "model.safetensors", {"format": "pt"})


def test_the_head_above_the_last_layer_may_be_missing(encoder, copied):
    drop(copied, "pooler.")
    state = torch.get_rng_state()
    read = encoder.read(SENTENCES[:5])
    found = TextEncoder.open(copied).hidden(read)
    assert torch.equal(state, torch.get_rng_state())
    assert all(np.array_equal(a, b) for a, b in zip(found, encoder.hidden(read), strict=True))


def test_weights_below_it_may_not(copied):
    drop(copied, "encoder.layer.1.output")
    with pytest.raises(ConfigError, match=r"lack 4 tensors .*encoder\.layer\.1\.output"):
        _ = TextEncoder.open(copied).model


def test_pickled_weights_are_read_if_they_are_weights_only(encoder, copied):
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    read = encoder.read(SENTENCES[:2])
    found = TextEncoder.open(copied).hidden(read)
    assert np.array_equal(found[0], encoder.hidden(read)[0])


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_pickled_weights_that_run_code_are_refused_and_do_not_run(copied, tmp_path, how):
    (copied / "model.safetensors").unlink()
    value = {"embeddings.word_embeddings.weight": Evil(tmp_path / "pwned")}
    if how == "torch":
        torch.save(value, copied / "pytorch_model.bin")
    else:
        (copied / "pytorch_model.bin").write_bytes(pickle.dumps(value, protocol=2))
    with pytest.raises(ConfigError, match=r"weights only; use model\.safetensors"):
        _ = TextEncoder.open(copied).model
    assert not (tmp_path / "pwned").exists()


def test_pickled_weights_are_ignored_where_safe_ones_are(encoder, copied, tmp_path):
    (copied / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "pwned")))
    opened = TextEncoder.open(copied)
    assert opened.identity == encoder.identity
    _ = opened.model
    assert not (tmp_path / "pwned").exists()


def test_code_in_the_folder_is_not_run(copied, tmp_path):
    (copied / "own.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w').close()")
    config = (copied / "config.json").read_text()
    maps = '"auto_map": {"AutoModel": "own.Own", "AutoConfig": "own.Own"}, "model_type": "own"'
    (copied / "config.json").write_text(config.replace('"model_type": "bert"', maps))
    with pytest.raises(ConfigError, match=str(copied)):
        _ = TextEncoder.open(copied).model
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", b"abc"),
        ("model.safetensors", b""),
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-model"}'),
    ],
)
def test_a_damaged_folder_is_named_in_one_line(copied, file, content):
    (copied / file).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot read the weights") as refused:
        _ = TextEncoder.open(copied).model
    assert str(copied) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_tokenizer_of_another_encoder_is_refused(copied):
    with (copied / "vocab.txt").open("a", encoding="utf-8") as stream:
        stream.write("one\ntwo\n")
    with pytest.raises(ConfigError, match=r"knows \d+ pieces, the weights only \d+"):
        _ = TextEncoder.open(copied).model


def test_an_encoder_for_fewer_than_25_pieces_is_refused(tmp_path):
    folder = save_bert(tmp_path, VOCABULARY, max_position_embeddings=24)
    with pytest.raises(ConfigError, match="max_position_embeddings 24"):
        _ = TextEncoder.open(folder).model


def test_a_model_that_does_not_only_encode_is_refused(copied):
    from transformers import T5Config, T5Model

    sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=len(VOCABULARY), **sizes)).save_pretrained(copied)
    with pytest.raises(ConfigError, match="T5Model, which does not read sentences alone"):
        _ = TextEncoder.open(copied).model


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A small encoder of another kind: byte pieces, a white space is part of its word."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    folder = tmp_path_factory.mktemp("roberta")
    made = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(SENTENCES, 280, min_frequency=1, special_tokens=special)
    made.save_model(str(folder))
    RobertaTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        config = RobertaConfig(vocab_size=280, intermediate_size=16, **sizes)
        RobertaModel(config).save_pretrained(folder)
    return TextEncoder.open(folder)


def test_another_kind_of_encoder_tells_its_own_words(roberta):
    assert not roberta.reads_word_pieces
    read = roberta.read(["a dog-clip of xylo"])[0]
    words = glue(read.pieces)
    assert [word.text for word in words] == ["a", "dog", "-", "clip", "of", "xylo"]
    assert words[-1].last - words[-1].first > 1
    assert roberta.hidden([read])[0].shape == (len(read.pieces), 16)


def test_another_kind_of_encoder_does_not_mix_a_batch_either(roberta):
    together = roberta.hidden(roberta.read(["a dog", "the sound of a man on it"]))
    alone = roberta.hidden(roberta.read(["a dog"]))
    np.testing.assert_allclose(together[0], alone[0], rtol=0, atol=1e-5)


def test_a_tokenizer_that_knows_no_words_is_refused(copied):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordPiece(IDS, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained(copied)
    with pytest.raises(ConfigError, match="does not tell where words start"):
        TextEncoder.open(copied).read(["a dog"])


def test_a_long_text_is_read_whole_in_as_few_parts_as_the_positions_allow(encoder):
    assert encoder.longest == 32
    parts = encoder.read_whole(" ".join(["a", "dog"] * 32 + ["trampoline"]))
    assert [len(part.ids) for part in parts] == [32, 32, 9]  # 30 pieces and two special ones each
    pieces = [piece for part in parts for piece in part.pieces]
    words = [word.text for word in glue(pieces)]
    assert words == ["a", "dog"] * 32 + ["trampoline"]
    assert not any(part.truncated for part in parts)
    for part, vectors in zip(parts, encoder.hidden(parts), strict=True):
        assert len(vectors) == len(part.pieces) == len(part.ids) - 2


def test_a_word_that_goes_on_in_the_next_part_stays_one_word(encoder, roberta):
    parts = encoder.read_whole(" ".join(["a"] * 29 + ["trampoline", "a"]))
    assert [piece.text for piece in parts[1].pieces] == ["pol", "ine", "a"]
    words = glue([piece for part in parts for piece in part.pieces])
    assert [word.text for word in words[-2:]] == ["trampoline", "a"]
    long = " xylophone" * 200
    parts = roberta.read_whole(long)
    assert len(parts) > 2
    assert all(len(part.ids) <= roberta.longest for part in parts)
    assert len(glue([piece for part in parts for piece in part.pieces])) == 200


def test_a_short_text_is_read_whole_as_it_is_read_otherwise(encoder):
    assert encoder.read_whole("a dog [SEP] playing") == encoder.read(["a dog [SEP] playing"])
    assert [part.pieces for part in encoder.read_whole("")] == [()]


def test_positions_that_begin_behind_the_padding_are_not_exceeded(roberta):
    assert roberta.longest == 512 - 2  # positions 0 and 1 are never used
    parts = roberta.read_whole("a dog on it " * 200)
    assert max(len(part.ids) for part in parts) == 510
    assert all(np.isfinite(vectors).all() for vectors in roberta.hidden(parts))
