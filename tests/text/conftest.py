"""A small BERT with random weights, whose vocabulary has the structure of the real one."""

import pickle
import shutil

import pytest
import torch

from cmg.text.encoder import TextEncoder

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENTRIES = (
    "a the man is are playing play in of an sound dog barking guitar horse clip sep violin fiddle "
    "tram ##pol ##ine ##s ##ing ##ly on trap , . - [ ] ' deja"
).split()
VOCABULARY = [*SPECIAL, *ENTRIES, *"bcdefghijklmnopqrstuvwxyz"]
IDS = {word: index for index, word in enumerate(VOCABULARY)}
WIDTH = 32


def save_bert(folder, vocabulary, seed=7, **config):
    """A random BERT in `folder`: config.json, vocab.txt and model.safetensors."""
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sizes = {
            "vocab_size": len(vocabulary),
            "hidden_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 32,
            "initializer_range": 0.5,
        }
        BertModel(BertConfig(**sizes | config)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """Folder of the small BERT; not to be changed."""
    return save_bert(tmp_path_factory.mktemp("bert"), VOCABULARY)


@pytest.fixture(scope="session")
def encoder(bert):
    """The small BERT, opened."""
    return TextEncoder.open(bert)


@pytest.fixture
def copied(bert, tmp_path):
    """A copy of the small BERT's folder, to be broken."""
    return shutil.copytree(bert, tmp_path / "copied")


@pytest.fixture(autouse=True)
def alone(offline, tmp_path, monkeypatch):
    """No cache of vectors of this machine either."""
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def cnt(tmp_path):
    """Write a cnt.pkl that keeps these words of a vocabulary, as the authors' file does."""

    def write(*words, ids=IDS, unknown=True):
        keys = [0] * unknown + [ids[word] for word in words]
        path = tmp_path / "cnt.pkl"
        path.write_bytes(pickle.dumps({key: n for n, key in enumerate(keys)}, protocol=3))
        return path

    return write
