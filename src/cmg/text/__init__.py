"""Sentences as the published pipeline reads them: ten word vectors a sentence, from a BERT.

``transformers`` is needed to embed something that is not in the cache; nothing is ever downloaded.
"""
