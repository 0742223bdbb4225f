"""The options of any kind of quantizer as one field, and the quantizer that they ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, SerializeAsAny

from cmg.codebook.quantizer import Quantizer, QuantizerOptions, quantizers
from cmg.options import as_tuples


def of_kind(value: Any) -> Any:
    """The options of a quantizer, as the class that their kind has registered.

    Args:
        value: Options, or a mapping; without ``kind``, as in configurations before there were
            kinds, it is ``shared``.

    Raises:
        ValueError: an unknown kind, or an option of another one.
        ValidationError: a value that does not fit.
    """
    if isinstance(value, QuantizerOptions):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a group of options such as {{kind: shared}}, got {value!r}")
    kind = str(value.get("kind", "shared"))
    own = quantizers[kind].options
    for key in (key for key in value if key not in own.known_keys()):
        others = [k for k, entry in quantizers.items() if key in entry.options.known_keys()]
        if others:
            raise ValueError(
                f"{key} is an option of kind {', '.join(others)}, and the kind is {kind}; "
                f"leave it out, or set model.codebook.kind={others[0]}"
            )
    return own.model_validate(as_tuples({"kind": kind, **value}), strict=True)


def keep_own(tree: dict[str, Any]) -> None:
    """Take out, in place, the options that other kinds have and this one has not.

    For a group whose kind is changed: what a preset says of its own kind means nothing to another.
    """
    kinds = {name: entry.options.known_keys() for name, entry in quantizers.items()}
    own = kinds.get(str(tree.get("kind", "shared")))
    for key in [k for k in tree if own is not None and k not in own]:
        if any(key in keys for keys in kinds.values()):
            del tree[key]


AnyQuantizerOptions = Annotated[SerializeAsAny[QuantizerOptions], BeforeValidator(of_kind)]
"""A field that holds the options of any kind, and is written with all of that kind's keys."""


def build_quantizer(
    modalities: Sequence[str],
    width: int,
    options: QuantizerOptions,
    generator: torch.Generator | None = None,
) -> Quantizer:
    """The quantizer that options ask for.

    Raises:
        ConfigError: no such kind, or a width that it cannot take.
    """
    return quantizers[options.kind].part(modalities, width, options, generator)
