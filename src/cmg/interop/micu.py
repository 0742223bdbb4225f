"""MICU's checkpoints: Uni-Code's tensors, so that nobody but the user knows whose file it is."""

from __future__ import annotations

from dataclasses import replace

import torch

from cmg.codebook.codebook import CodebookOptions
from cmg.interop.folder import Release, in_model
from cmg.interop.official import (
    ImportedModel,
    OfficialCheckpoint,
    import_official,
    read_official,
)
from cmg.models.published import AS_CODED_EMA, AS_CODED_RESET
from cmg.models.unified import UnifiedModel

DEAF_RESET = AS_CODED_RESET.model_copy(update={"spread": "constant", "unheard": ("text",)})
"""Text picks keep no code, and the noise is one number."""


def deaf_options(size: int) -> CodebookOptions:
    """The codebook as coded, with its lookups outside training."""
    return CodebookOptions(
        size=size, start="uniform", ema=AS_CODED_EMA, reset=DEAF_RESET, first_code="zeroed"
    )


def import_micu(
    checkpoint: OfficialCheckpoint, dtype: torch.dtype = torch.float64, map_size: int = 7
) -> ImportedModel:
    """A model with the weights of a file, whose code 0 is the zero vector where it is used.

    Args:
        checkpoint: Of :func:`cmg.interop.official.read_official`.
        dtype: Of the model.
        map_size: Height and width of video maps, which no tensor tells.

    Raises:
        CheckpointError: tensors that do not make a model of the release.
    """
    found = import_official(checkpoint, dtype, map_size)
    options = found.architecture.model
    book = deaf_options(found.model.size)
    architecture = replace(found.architecture, model=options.model_copy(update={"codebook": book}))
    model = UnifiedModel(architecture.modalities, architecture.model).to(dtype)
    model.load_state_dict(found.model.state_dict())
    return replace(found, architecture=architecture, model=model.eval())


MICU = Release("MICU ", read_official, import_micu, in_model, "micu-as-coded")
"""Its files; the jigsaw's classifier is in none."""
