"""The encoder of each modality as ONNX: features of any number of clips and steps to codes."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.models.unified import UnifiedModel, masked_codes
from cmg.optional import optional
from cmg.runs.checkpoint import load_model
from cmg.types import Batch

NEEDED = "ONNX files need onnx, onnxscript and onnxruntime: pip install 'cmg-torch[onnx]'"
OPSET = 18


class Encoder(nn.Module):
    """Features of one modality to codes, [B, T, *shape] -> int64 [B, T] or [B, T, L].

    Args:
        model: In eval mode; has codes.
        modality: What is encoded.
    """

    def __init__(self, model: UnifiedModel, modality: str) -> None:
        super().__init__()
        self.semantic, self.codebook, self.name = model.semantic[modality], model.codebook, modality

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode; with `lengths` [B], steps behind them are not read and have code -1."""
        mask = None
        if lengths is not None:
            mask = torch.arange(features.shape[1])[None] < lengths[:, None]
        found = self.codebook.nearest({self.name: self.semantic(features, mask)})
        return masked_codes(found[self.name], mask)


class Constant:
    """A function of frozen tensors that is computed once and is a constant from then on.

    Args:
        function: The point that distances are measured from: a median, which ONNX lacks.
    """

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self.function, self.found = function, list[Tensor]()

    def __call__(self, *given: Tensor) -> Tensor:
        """What it was the first time."""
        if not self.found:
            self.found.append(self.function(*given))
        return self.found[0]


def reads_lengths(model: UnifiedModel) -> bool:
    """Whether codes of a step depend on which other steps exist."""
    return model.options.temporal.kind == "transformer"


def refuse_unknown(model: UnifiedModel) -> None:
    """Refuse a model with a part that has no ONNX form here.

    Raises:
        ConfigError: naming the part.
    """
    model.codebook.need_codes("--onnx", "encoders are exported to codes")
    parts = {
        "model.second (codes of two layers)": model.second is not None,
        "model.token_encoder=lstm": len(model.tokens) > 0,
    }
    for name in (name for name, there in parts.items() if there):
        raise ConfigError(f"{name} has no ONNX form here; export without --onnx")


def onnx_files(path: Path) -> dict[str, bytes]:
    """A file per modality of the model at a path, ``audio.onnx``.

    Inputs are ``features`` [batch, steps, *shape] and, where steps are read in the context of
    their clip, ``lengths`` int64 [batch]; the output is ``codes``.

    Raises:
        ConfigError: a part of the model has no ONNX form, or a package is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        optional(package, NEEDED)
    model = load_model(path)
    refuse_unknown(model)
    return {f"{name}.onnx": onnx_bytes(model, name) for name in model.modalities}


def onnx_bytes(model: UnifiedModel, modality: str) -> bytes:
    """The encoder of one modality as a file.

    Raises:
        ConfigError: torch cannot export it.
    """
    batch, steps = torch.export.Dim("batch"), torch.export.Dim("steps")
    shape = model.modalities[modality].shape
    given: tuple[Any, ...] = (torch.zeros(3, 5, *shape, dtype=model.dtype),)
    free: dict[str, Any] = {"features": {0: batch, 1: steps}}
    names = ["features"]
    if reads_lengths(model):
        given += (torch.tensor([5, 3, 1]),)
        free |= {"lengths": {0: batch}}
        names.append("lengths")
    encoder = Encoder(model, modality).eval()
    with tempfile.TemporaryDirectory(prefix="cmg-onnx-") as folder, plain_attention():
        file = Path(folder) / "encoder.onnx"
        try:
            for part in model.codebook.modules():
                own: Any = part
                if hasattr(own, "center"):
                    own.center = Constant(type(own).center.__get__(own))
            with torch.no_grad():
                encoder(*given)
            torch.onnx.export(
                encoder,
                given,
                file,
                input_names=names,
                output_names=["codes"],
                dynamic_shapes=free,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # of torch's exporter, which has no error in common
            kind = getattr(model.options.codebook, "kind", "")
            first = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"torch {torch.__version__} cannot export the encoder of {modality} with "
                f"model.codebook.kind={kind} ({first}); export without --onnx"
            ) from error
        made = file.read_bytes()
    refuse_other_codes(model, modality, made)
    return made


def refuse_other_codes(model: UnifiedModel, modality: str, made: bytes) -> None:
    """Run a file on clips of another number and length than it was made with.

    Raises:
        ConfigError: it does not run, or its codes are not the model's.
    """
    runtime, chance = optional("onnxruntime", NEEDED), torch.Generator().manual_seed(0)
    x = torch.randn(4, 7, *model.modalities[modality].shape, generator=chance).to(model.dtype)
    lengths = torch.tensor([7, 2, 0, 1]) if reads_lengths(model) else None
    given = {"features": x.numpy()} | ({} if lengths is None else {"lengths": lengths.numpy()})
    wanted = model.encode(Batch({modality: x}, None if lengths is None else {modality: lengths}))
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        found = runtime.InferenceSession(made, options).run(None, given)[0]
    except Exception as error:  # of a library in C++, which has no error in common
        first = str(error).strip().partition("\n")[0]
        raise ConfigError(f"the ONNX file of {modality} does not run ({first})") from error
    if found.shape != wanted[modality].shape or (found != wanted[modality].numpy()).any():
        raise ConfigError(f"the ONNX file of {modality} has other codes than the model")


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in operations that ONNX has, and an exporter that keeps its advice to itself."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        torch.backends.mha.set_fastpath_enabled(fast)
