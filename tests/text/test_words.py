"""Gluing, means, the filter and the slots, on values made by hand."""

import numpy as np
import pytest

from cmg.text.words import (
    Piece,
    Word,
    fill_slots,
    glue,
    survives,
    word_pieces,
    word_vectors,
)

IDS = {"a": 1037, "man": 2158, "dog": 3899, "guitar": 2858}


def words_of(*names):
    return [word.text for word in glue(word_pieces(names))]


def test_a_piece_marked_as_going_on_is_glued_to_the_word_before():
    assert glue(word_pieces(["a", "tram", "##pol", "##ine", "is"])) == [
        Word("a", 0, 1),
        Word("trampoline", 1, 4),
        Word("is", 4, 5),
    ]


def test_punctuation_parts_a_word_because_only_marks_glue():
    assert words_of("horse", "-", "clip") == ["horse", "-", "clip"]


def test_a_cut_word_is_what_remains_of_it():
    assert words_of("a", "tram", "##pol") == ["a", "trampol"]


def test_the_first_piece_starts_a_word_whatever_it_says():
    assert words_of("##ine", "##s") == ["ines"]
    assert glue([]) == []


def test_pieces_without_marks_say_themselves_where_words_start():
    pieces = [Piece("gui", True), Piece("tar", False), Piece("!", True)]
    assert glue(pieces) == [Word("guitar", 0, 2), Word("!", 2, 3)]


def test_a_words_vector_is_the_mean_of_its_pieces():
    hidden = np.array([[1, 2], [3, 0], [6, 3], [0, 3]], dtype=np.float32)
    found = word_vectors([Word("a", 0, 1), Word("trampoline", 1, 4)], hidden)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2], [3, 2]]


def test_no_word_gives_no_vector_but_the_width():
    assert word_vectors([], np.zeros((0, 5), dtype=np.float32)).shape == (0, 5)


@pytest.mark.parametrize(
    ("word", "keep", "passes"),
    [
        ("man", {1037, 2158}, True),
        ("guitar", {1037, 2158}, False),  # a word of BERT that is no key
        ("trampoline", {0, 1037}, False),  # several pieces: unknown, and 0 never passes
        ("[UNK]", {0, 100}, False),  # special entries are not in the vocabulary given
        ("trampoline", None, True),
        ("[UNK]", None, True),
    ],
)
def test_the_filter_keeps_whole_words_whose_ids_are_keys(word, keep, passes):
    assert survives(word, IDS, keep) is passes


def test_id_zero_never_passes_even_if_an_ordinary_word_has_it():
    assert not survives("odd", {"odd": 0}, {0})


def test_the_first_words_fill_the_slots_and_the_rest_is_zero():
    vectors = np.arange(1, 13, dtype=np.float32)[:, None] * np.ones((1, 3), dtype=np.float32)
    assert fill_slots(vectors)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert fill_slots(vectors[:2], 4)[:, 2].tolist() == [1, 2, 0, 0]
    assert fill_slots(vectors[:0]).tolist() == np.zeros((10, 3)).tolist()
