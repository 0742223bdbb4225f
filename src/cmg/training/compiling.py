"""``training.compile``: encoders and decoders through ``torch.compile``, or without where it fails.

Off unless asked for. On CPUs it was measured not to pay (docs/speed.md); on GPUs it was not
measured.
"""

from __future__ import annotations

import torch
from torch import nn

from cmg.models.unified import UnifiedModel
from cmg.types import Kind


def compile_parts(model: UnifiedModel) -> str | None:
    """Compile a model's encoders and decoders in place; weights and their names stay.

    Token LSTMs are kernels already and are left as they are. So is, on a CPU, the private path of
    maps, whose matrix forms (:mod:`cmg.convolutions`) are faster than what the compiler makes.

    Returns:
        Why nothing was compiled, where the compiler does not work; None if it does.
    """
    reason = why_not(model.device)
    if reason is None:
        import torch._dynamo  # a second, which only those pay who ask for it

        for part in compiled_parts(model):
            part.compile()
            # A function that the compiler cannot take runs as it is, and torch says so. The setting
            # is of the process, and is read whenever a part is called with something new.
            lenient = torch._dynamo.config.patch(suppress_errors=True)
            part._compiled_call_impl = lenient(part._compiled_call_impl)
    return reason


def compiled_parts(model: UnifiedModel) -> list[nn.Module]:
    """What is compiled of a model."""
    found = list(model.semantic.values())
    for private in (model.detail, model.decoder):
        for m, part in private.items():
            if model.modalities[m].kind is not Kind.MAPS or model.device.type != "cpu":
                found.append(part)
    return found


def why_not(device: torch.device) -> str | None:
    """Try the compiler on a small function, forward and backward.

    Returns:
        The first line of its error; None if it works.
    """
    x = torch.ones(4, device=device, requires_grad=True)
    try:
        torch.autograd.backward(torch.compile(lambda y: torch.relu(2.0 * y).sum())(x))
    except Exception as error:  # a missing C++ compiler, Triton or Python headers: many types
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None
