"""The pipeline again, slowly and by other means: no tokenizer library, no batch, no padding."""

import unicodedata

import numpy as np
import torch


def split_words(sentence):
    """Lower case without accents; white space parts, punctuation is a word of its own."""
    plain = "".join(
        c for c in unicodedata.normalize("NFD", sentence.lower()) if unicodedata.category(c) != "Mn"
    )
    words = [""]
    for c in plain:
        if c.isspace():
            words.append("")
        elif c.isalnum():
            words[-1] += c
        else:
            words += [c, ""]
    return [word for word in words if word]


def greedy(word, vocabulary):
    """WordPiece: the longest entry that fits, again and again."""
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if start else ""
        end = next(
            (e for e in range(len(word), start, -1) if mark + word[start:e] in vocabulary), None
        )
        if end is None:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def word_vectors(sentence, vocabulary, model):
    """Every word of a sentence and its vector, as the original's running mean goes over pieces."""
    pieces = [p for word in split_words(sentence) for p in greedy(word, vocabulary)][:23]
    ids = [vocabulary[p] for p in ["[CLS]", *pieces, "[SEP]"]]
    with torch.no_grad():
        layer = model(torch.tensor([ids])).last_hidden_state[0].numpy()
    words, vectors, length = [], [], 1
    for piece, vector in zip(pieces, layer[1:-1], strict=True):
        if piece.startswith("##"):
            words[-1] += piece[2:]
            vectors[-1] = vectors[-1] + vector
            length += 1
            continue
        if length > 1:
            vectors[-1] = vectors[-1] / length
            length = 1
        words.append(piece)
        vectors.append(vector.copy())
    if length > 1:
        vectors[-1] = vectors[-1] / length
    return words, np.array(vectors)


def ten_slots(sentence, vocabulary, model, keep):
    """The kept words and the [10, H] array of a sentence."""
    words, vectors = word_vectors(sentence, vocabulary, model)
    filled = np.zeros((10, vectors.shape[1]), dtype=np.float32)
    kept = []
    for word, vector in zip(words, vectors, strict=True):
        if keep is not None and vocabulary.get(word, 0) not in keep - {0}:
            continue
        if len(kept) < 10:
            filled[len(kept)] = vector
            kept.append(word)
    return kept, filled
