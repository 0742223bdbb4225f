"""The speech embedding itself, where its packages are installed."""

from __future__ import annotations

import importlib.util

import pytest

from cmg.decoders.heads import ProbeOptions
from cmg.recipes.voices import VoiceResults, plain_heads, synthetic_words, word_sets
from cmg.voices.embedded import POOLING, EmbeddedWords, speech_embedding

needed = ("av", "onnxruntime", "openwakeword")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in needed),
    reason=f"needs {', '.join(needed)}",
)


@pytest.mark.slow
def test_heads_on_training_voices_read_the_held_out_ones():
    words = EmbeddedWords(speech_embedding())
    assert words.spec.shape == (96,)
    assert str(list(POOLING)) in words.notes
    held_out = synthetic_words()
    row = plain_heads(words, word_sets(words, [held_out]), ProbeOptions(lr=0.005), 1)
    results = VoiceResults([row], {held_out.source: held_out.digits.tolist()})
    assert results.accuracy(row, held_out.source).mean > 88
