"""Small random networks of ``transformers`` in folders, as users have pretrained ones."""

import json

import torch

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def save(folder, model_class, config, seed=1):
    """A random network in `folder`: config.json and model.safetensors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        for parameter in model.parameters():  # published initializations are too small to tell
            if parameter.dim() > 1:
                parameter.data.normal_(0, 0.2)
        model.save_pretrained(folder)
    return folder


def say_pixels(folder, size, **more):
    """The configuration of an image processor, in the form that published models have."""
    told = {"do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN}
    told |= {"image_std": STD, "rescale_factor": 1 / 255, "size": size}
    (folder / "preprocessor_config.json").write_text(json.dumps(told | more))
    return folder


def resnet(folder):
    from transformers import ResNetConfig, ResNetModel

    sizes = {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]}
    config = ResNetConfig(layer_type="basic", **sizes)
    return say_pixels(save(folder, ResNetModel, config), {"shortest_edge": 32})


def convnext(folder):
    from transformers import ConvNextConfig, ConvNextModel

    config = ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2)
    return say_pixels(save(folder, ConvNextModel, config), 32)


TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def vit(folder):
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(image_size=(32, 48), patch_size=8, intermediate_size=24, **TINY)
    return say_pixels(save(folder, ViTModel, config), {"height": 32, "width": 48})


def dino(folder):
    from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel

    config = Dinov2WithRegistersConfig(
        image_size=42, patch_size=7, num_register_tokens=4, mlp_ratio=2, **TINY
    )
    crop = {"do_center_crop": True, "crop_size": {"height": 28, "width": 28}}
    saved = save(folder, Dinov2WithRegistersModel, config)
    return say_pixels(saved, {"shortest_edge": 42}, **crop)


def swin(folder):
    from transformers import SwinConfig, SwinModel

    config = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4
    )
    return say_pixels(save(folder, SwinModel, config), {"height": 32, "width": 32})


def clip(folder):
    """With a tokenizer of letters and a few words, as CLIP's: ``</w>`` ends a word."""
    from transformers import CLIPConfig, CLIPModel

    letters = "abcdefghijklmnopqrstuvwxyz"
    merges = [("d", "o"), ("do", "g</w>"), ("c", "a"), ("ca", "t</w>")]
    entries = [*letters, *(f"{x}</w>" for x in letters), *("".join(m) for m in merges)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    pairs = "\n".join(" ".join(m) for m in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{pairs}\n")
    told = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 30}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    ends = {
        "bos_token_id": vocabulary["<|startoftext|>"],
        "eos_token_id": vocabulary["<|endoftext|>"],
    }
    text = {"vocab_size": len(entries), "max_position_embeddings": 30, "intermediate_size": 24}
    vision = {"image_size": 32, "patch_size": 8, "intermediate_size": 24}
    config = CLIPConfig(
        text_config=TINY | text | ends, vision_config=TINY | vision, projection_dim=12
    )
    return say_pixels(save(folder, CLIPModel, config), {"shortest_edge": 32}, crop_size=32)


def wav2vec2(folder, kind="Wav2Vec2", normalize=True):
    import transformers

    sizes = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = getattr(transformers, f"{kind}Config")(intermediate_size=24, **sizes, **TINY)
    save(folder, getattr(transformers, f"{kind}Model"), config)
    front = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    front.save_pretrained(folder)
    return folder


def ast(folder):
    from transformers import ASTConfig, ASTFeatureExtractor, ASTModel

    config = ASTConfig(
        num_mel_bins=32, max_length=120, patch_size=8, frequency_stride=8, time_stride=4,
        intermediate_size=24, **TINY,
    )  # fmt: skip
    save(folder, ASTModel, config)
    ASTFeatureExtractor(num_mel_bins=32, max_length=120).save_pretrained(folder)
    return folder


def clap(folder, fusion=False):
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    audio = {
        "spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 8, "depths": [1, 1], "num_attention_heads": [2, 2],
        "window_size": 4, "hidden_size": 16, "projection_dim": 12, "enable_fusion": fusion,
    }  # fmt: skip
    text = {"vocab_size": 20, "intermediate_size": 24, "projection_dim": 12} | TINY
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=12)
    save(folder, ClapModel, config)
    ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=40, max_length_s=1, fft_window_size=256,
        frequency_max=4000, truncation="fusion" if fusion else "rand_trunc",
    ).save_pretrained(folder)  # fmt: skip
    return folder


WORDS = "a the dog cat is barking on tramp ##ol ##ine ##s .".split()


def bert(folder, positions=32):
    from transformers import BertConfig, BertModel

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"bcefghijklm"]
    sizes = {"max_position_embeddings": positions, "intermediate_size": 24}
    config = BertConfig(vocab_size=len(vocabulary), **sizes, **TINY)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return save(folder, BertModel, config)
