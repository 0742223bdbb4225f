"""Networks of one medium under the names of another's extractors."""

import re

import pytest

from cmg.errors import ConfigError
from cmg.extract.extractor import LoadOptions
from cmg.extract.registry import CARDS, load_extractor

transformers = pytest.importorskip("transformers")

FAMILIES = {c.name[:-2]: c.takes for c in CARDS if c.name.endswith(":*") and c.extra == "text"}
READ = {
    "BertConfig": {"text"},
    "ViTConfig": {"frames"},
    "ResNetConfig": {"frames"},
    "HubertConfig": {"sound"},
    "ASTConfig": {"sound"},
    "WhisperConfig": {"sound"},
    "CLIPConfig": {"text", "frames"},
    "ClapConfig": {"text", "sound"},
}


@pytest.mark.parametrize("config", READ)
def test_a_network_is_refused_by_every_family_of_another_medium_unread(config, tmp_path):
    getattr(transformers, config)().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()  # there are no weights to read
    assert set(FAMILIES.values()) == {"text", "frames", "sound"}
    for family, takes in FAMILIES.items():
        with pytest.raises(ConfigError) as refused:
            load_extractor(f"{family}:{tmp_path}")
        message = str(refused.value)
        assert ("which reads" in message) == (takes not in READ[config]), (family, message)
        if takes not in READ[config]:
            fitting = re.findall(r"([\w-]+):MODEL", message)
            assert {FAMILIES[name] for name in fitting} == READ[config]
            assert f"not {takes}" in message
    if "text" not in READ[config]:
        for name in ("bert", "minilm"):
            with pytest.raises(ConfigError, match=r"which reads .* not text"):
                load_extractor(name, LoadOptions(weights=tmp_path))


def test_a_network_without_words_does_not_read_text(tmp_path):
    """CLAP holds a text half, and a tokenizer lies beside; hf-text is for whole text encoders."""
    from . import networks

    networks.bert(tmp_path)
    networks.clap(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    with pytest.raises(ConfigError, match="ClapModel, which does not read sentences alone"):
        load_extractor(f"hf-text:{tmp_path}")
