"""Sentences as the published pipeline reads them: ten word vectors a sentence, from a BERT.

``transformers`` is needed to embed something that is not in the cache; nothing is ever downloaded.
"""

from cmg.text.encoder import TextEncoder, load_text_encoder
from cmg.text.prompts import embed_prompts, read_cnt, read_prompts
from cmg.text.vectors import PromptReport, PromptVectors, read_vectors, write_vectors
from cmg.text.words import MAX_PIECES, SLOTS

__all__ = [
    "MAX_PIECES",
    "SLOTS",
    "PromptReport",
    "PromptVectors",
    "TextEncoder",
    "embed_prompts",
    "load_text_encoder",
    "read_cnt",
    "read_prompts",
    "read_vectors",
    "write_vectors",
]
