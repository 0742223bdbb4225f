"""Prompts to ten slots: the csv, the filter, the cache, and the whole against a slow oracle."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from tests.hostile import Evil

from cmg.errors import ConfigError, DataError
from cmg.text.encoder import TextEncoder
from cmg.text.prompts import embed_prompts, read_cnt, read_prompts
from cmg.text.vectors import read_vectors, write_vectors

from .conftest import IDS, VOCABULARY, WIDTH, save_bert
from .oracle import ten_slots

PROMPTS = {
    "guitar": "A man is playing a guitar",
    "clip": "The barking dogs, on a horse-clip.",
    "long": "the man in the trap is playing the violin , a fiddle and the guitar in the sound ",
    "cut": "a " * 20 + "man trampolines",
    "odd": "犬 dog [SEP]",
}
KEPT = ("a", "man", "is", "dog", "the", "in", "of", "on")


@pytest.fixture
def prompts_csv(tmp_path):
    def write(content, encoding="utf-8"):
        path = tmp_path / "prompts.csv"
        path.write_bytes(content.encode(encoding))
        return path

    return write


def test_prompts_are_the_second_column_whatever_its_name(prompts_csv):
    path = prompts_csv('label,said,more\n"violin, fiddle","A ""fine"" sound, no?",x\ndog,Bark,\n')
    assert read_prompts(path) == {"violin, fiddle": 'A "fine" sound, no?', "dog": "Bark"}


def test_the_first_prompt_of_a_label_wins(prompts_csv):
    assert read_prompts(prompts_csv("label,prompt\na,one\nb,two\na,three\n")) == {
        "a": "one",
        "b": "two",
    }


def test_a_mark_of_the_byte_order_windows_lines_and_blank_lines_do_not_matter(prompts_csv):
    path = prompts_csv("label,prompt\r\na,one\r\n\r\nb,two", "utf-8-sig")
    assert read_prompts(path) == {"a": "one", "b": "two"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: no column 'label'"),
        ("label\tprompt\na\tone\n", "separated by commas"),
        ("name,prompt\na,one\n", "'label'"),
        ("prompt,label\none,a\n", "the second column must hold the prompts"),
        ("label,prompt\na, \n", "line 2: .*empty"),
    ],
)
def test_another_dialect_is_refused_by_line(prompts_csv, content, says):
    path = prompts_csv(content)
    with pytest.raises(DataError, match=says) as refused:
        read_prompts(path)
    assert str(path) in str(refused.value)


def test_cnt_gives_its_keys(tmp_path):
    path = tmp_path / "cnt.pkl"
    path.write_bytes(pickle.dumps({0: 0, 1037: 1, 2158: 2}, protocol=3))
    assert read_cnt(path) == frozenset({0, 1037, 2158})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([1, 2], "no dict of word ids but a list"),
        ({}, "no dict of word ids"),
        ({1037: 0, "man": 1}, "'man', 1"),
        ({1037: 0.5}, "1037, 0.5"),
        ({True: 1}, "True, 1"),
        ({-1: 1}, "-1, 1"),
    ],
)
def test_a_cnt_with_anything_else_in_it_is_refused(tmp_path, value, says):
    path = tmp_path / "cnt.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=says) as refused:
        read_cnt(path)
    assert str(path) in str(refused.value)


def test_a_cnt_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    path = tmp_path / "cnt.pkl"
    path.write_bytes(pickle.dumps({1037: 0, 2158: Evil(tmp_path / "pwned")}))
    with pytest.raises(DataError, match=r"cnt\.pkl"):
        read_cnt(path)
    assert not (tmp_path / "pwned").exists()
    with pytest.raises(DataError, match="filter 'none'"):
        read_cnt(tmp_path / "none.pkl")


@pytest.mark.parametrize("keep", [None, frozenset({0, *(IDS[word] for word in KEPT)})])
def test_vectors_and_words_equal_the_slow_oracles(encoder, keep):
    found = embed_prompts(PROMPTS, encoder, keep)
    assert list(found.vectors) == list(PROMPTS)
    for report in found.reports:
        kept, slots = ten_slots(report.prompt, IDS, encoder.model, keep)
        assert report.kept == tuple(kept)
        assert found.vectors[report.label].shape == (10, WIDTH)
        np.testing.assert_allclose(found.vectors[report.label], slots, rtol=0, atol=1e-5)


def test_the_report_says_what_became_of_every_word(encoder, cnt):
    found = embed_prompts(PROMPTS, encoder, read_cnt(cnt(*KEPT)))
    guitar, clip, long, cut, odd = found.reports
    assert guitar.words == ("a", "man", "is", "playing", "a", "guitar")
    assert guitar.kept == ("a", "man", "is", "a")
    assert guitar.dropped == ("playing", "guitar")
    assert (guitar.survivors, guitar.truncated, guitar.warning) == (4, False, None)
    # "dogs" is dog + ##s: glued it is no entry, though "dog" is a key.
    assert clip.kept == ("the", "on", "a")
    assert clip.dropped == ("barking", "dogs", ",", "horse", "-", "clip", ".")
    assert (long.survivors, len(long.kept)) == (10, 10)
    # 20 "a", "man", then two of the three pieces of "trampolines".
    assert (cut.words[-1], cut.truncated) == ("trampol", True)
    assert (cut.survivors, cut.kept) == (21, ("a",) * 10)
    assert odd.words == ("[UNK]", "dog", "[", "sep", "]")
    assert odd.kept == ("dog",)


def test_slots_without_a_word_are_zero_and_the_others_are_not(encoder, cnt):
    found = embed_prompts(PROMPTS, encoder, read_cnt(cnt(*KEPT)))
    for report in found.reports:
        norms = np.linalg.norm(found.vectors[report.label], axis=1)
        assert (norms > 0).tolist() == [slot < len(report.kept) for slot in range(10)]


def test_a_prompt_without_survivors_is_zero_and_warned_of(encoder, cnt):
    found = embed_prompts({"b": "Barking guitar!", "d": "a dog"}, encoder, read_cnt(cnt("dog")))
    assert not found.vectors["b"].any()
    assert found.vectors["d"].any()
    assert found.warnings == [
        "'b': no word of 'Barking guitar!' survives; its vectors are all zero"
    ]
    assert found.reports[0].warning == found.warnings[0]


def test_special_ids_in_the_filter_let_nothing_through(encoder):
    keep = {0, 1, 2, 3, 4, IDS["dog"]}
    found = embed_prompts({"x": "犬 [PAD] [MASK] dog [SEP]"}, encoder, keep)
    assert found.reports[0].kept == ("dog",)


def test_a_filter_of_another_vocabulary_is_refused(encoder):
    with pytest.raises(ConfigError, match="1 of the filter's 2 word ids, the first 30000,"):
        embed_prompts(PROMPTS, encoder, {IDS["a"], 30000})
    with pytest.raises(ConfigError, match=f"the first {IDS['##ine']}, name no whole word"):
        embed_prompts(PROMPTS, encoder, {IDS["a"], IDS["##ine"]})


def test_other_numbers_of_slots_are_a_cut_of_the_same_words(encoder):
    ten = embed_prompts(PROMPTS, encoder, None)
    three = embed_prompts(PROMPTS, encoder, None, slots=3)
    for label, vectors in three.vectors.items():
        assert np.array_equal(vectors, ten.vectors[label][:3])
    with pytest.raises(ConfigError, match="0 slots"):
        embed_prompts(PROMPTS, encoder, None, slots=0)
    with pytest.raises(ConfigError, match="0 prompts"):
        embed_prompts({}, encoder, None)


def test_weights_that_are_not_finite_are_refused(copied):
    tensors = load_file(copied / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"][0] = float("nan")
    save_file(tensors, copied / "model.safetensors", {"format": "pt"})
    said = "1 of the 32 values of 'embeddings.LayerNorm.bias' are NaN"
    with pytest.raises(ConfigError, match=said):
        embed_prompts(PROMPTS, TextEncoder.open(copied), None)


def test_prompts_in_the_cache_need_neither_weights_nor_tokenizer(bert, tmp_path, monkeypatch):
    first = embed_prompts(PROMPTS, TextEncoder.open(bert), None, cache_dir=tmp_path)
    assert len(list(tmp_path.glob("prompts-*.safetensors"))) == 1
    monkeypatch.setattr("cmg.text.encoder.transformers", lambda noun: pytest.fail("was read"))
    second = embed_prompts(PROMPTS, TextEncoder.open(bert), None, cache_dir=tmp_path)
    assert second.reports == first.reports
    assert second.origin == first.origin
    for label, vectors in first.vectors.items():
        assert np.array_equal(second.vectors[label], vectors)


def test_whatever_decides_the_vectors_has_an_entry_of_its_own(bert, tmp_path):
    (tmp_path / "other").mkdir()
    other = save_bert(tmp_path / "other", VOCABULARY, seed=8)
    cache = tmp_path / "cache"
    asked = [
        (bert, PROMPTS, None, 10),
        (other, PROMPTS, None, 10),
        (bert, PROMPTS | {"odd": "a dog"}, None, 10),
        (bert, PROMPTS, {IDS["a"]}, 10),
        (bert, PROMPTS, {IDS["a"], IDS["dog"]}, 10),
        (bert, PROMPTS, None, 9),
    ]
    for _ in range(2):
        for folder, *rest in asked:
            embed_prompts(rest[0], TextEncoder.open(folder), *rest[1:], cache_dir=cache)
    assert len(list(cache.iterdir())) == len(asked)


@pytest.mark.parametrize("damage", [b"", b"abc", None])
def test_a_damaged_entry_is_made_anew(encoder, tmp_path, damage):
    first = embed_prompts(PROMPTS, encoder, None, cache_dir=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\0\0\0\1" if damage is None else damage)
    with pytest.raises(DataError):
        read_vectors(path)
    again = embed_prompts(PROMPTS, encoder, None, cache_dir=tmp_path)
    assert np.array_equal(again.vectors["guitar"], first.vectors["guitar"])
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_named_with_the_remedy(encoder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="CMG_CACHE names another"):
        embed_prompts(PROMPTS, encoder, None, cache_dir=tmp_path / "file")


def test_a_file_of_vectors_comes_back_as_it_was(encoder, tmp_path):
    found = embed_prompts(PROMPTS, encoder, None)
    write_vectors(tmp_path / "v.safetensors", found)
    back = read_vectors(tmp_path / "v.safetensors")
    assert (back.reports, back.origin) == (found.reports, found.origin)
    assert all(np.array_equal(back.vectors[k], found.vectors[k]) for k in PROMPTS)
    with pytest.raises(DataError, match="holds no prompt vectors"):
        read_vectors(encoder.folder / "model.safetensors")


def real_vocabulary():
    """BERT-uncased's 30,522 entries; NOTICE says where they are from."""
    packed = (Path(__file__).parent / "bert-uncased-vocabulary.txt.gz").read_bytes()
    return gzip.decompress(packed).decode().splitlines()


def test_the_real_vocabulary_reads_filters_and_embeds_as_the_oracle_does(tmp_path, cnt):
    vocabulary = real_vocabulary()
    ids = {word: index for index, word in enumerate(vocabulary)}
    assert len(ids) == 30522
    assert (ids["a"], ids["man"], ids["dog"], ids["[UNK]"]) == (1037, 2158, 3899, 100)
    encoder = TextEncoder.open(save_bert(tmp_path, vocabulary))
    keep = read_cnt(cnt("a", "man", "is", "in", "the", "with", "dog", "standing", ids=ids))
    assert {0, 1037, 2158, 3899} <= keep
    prompts = {
        "playing guitar": "a man is playing a guitar",
        "trampoline": "Yodelling on a trampoline: the dog's howl, façade",
        "clip": "The horse-clip with an erhu",
        "long": "the man is standing in the xylophone with the dog " * 3,
    }
    found = embed_prompts(prompts, encoder, keep)
    guitar, trampoline, _, long = found.reports
    assert guitar.kept == ("a", "man", "is", "a")
    assert guitar.dropped == ("playing", "guitar")
    assert trampoline.kept == ("a", "the", "dog")
    assert long.truncated
    for report in found.reports:
        kept, slots = ten_slots(report.prompt, ids, encoder.model, keep)
        assert report.kept == tuple(kept)
        np.testing.assert_allclose(found.vectors[report.label], slots, rtol=0, atol=1e-5)
