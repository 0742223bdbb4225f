"""Reading networks of ``transformers`` from a folder: offline, and without running their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cmg.errors import ConfigError
from cmg.optional import optional
from cmg.tensors import check_finite
from cmg.text.places import INSTALL, ModelFiles


def transformers(noun: str) -> Any:
    """The package.

    Raises:
        ConfigError: it is not installed.
    """
    return optional("transformers", f"the {noun} needs transformers: {INSTALL}")


def load_network(files: ModelFiles, unused: tuple[str, ...]) -> Any:
    """The network without a head, frozen: float32, eval mode, on the CPU.

    Args:
        files: Where it is.
        unused: How the names of weights begin that a checkpoint may lack, because what is read of
            the network does not depend on them.

    Raises:
        ConfigError: unreadable, lacking weights, not finite, or pickled with more than weights.
    """
    from_folder = transformers(files.noun).AutoModel.from_pretrained
    with reading("weights", files), torch.random.fork_rng(devices=[]):
        model, loading = from_folder(
            files.folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=not files.pickled,
            weights_only=True,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    lacking = sorted(n for n in loading["missing_keys"] if not n.startswith(unused))
    if lacking:
        raise ConfigError(
            f"the weights in {files.folder} lack {len(lacking)} tensors of its config.json, "
            f"the first {lacking[0]!r}; download the {files.noun} again"
        )
    remedy = f"download the {files.noun} again"
    check_finite(model.state_dict(), f"the weights in {files.folder}", remedy, ConfigError)
    return model.eval()


@contextmanager
def reading(what: str, files: ModelFiles) -> Iterator[None]:
    """Read files quietly, and say of which network they are when that fails.

    Raises:
        ConfigError: whatever the body raised.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except Exception as error:  # transformers lets through whatever a broken file causes
        reason = (str(error) or type(error).__name__).splitlines()[0]
        remedy = (
            "pickled weights are read as weights only; use model.safetensors"
            if files.pickled and what == "weights"
            else f"download the {files.noun} again, or name another"
        )
        raise ConfigError(
            f"cannot read the {what} of the {files.noun} in {files.folder}: {reason}; {remedy}"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
