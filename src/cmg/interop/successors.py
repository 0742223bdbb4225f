"""Files of successors as models: read, checked, and refused where they contradict themselves.

What a release is, is said once, as a :class:`Successor`: how its files are told from others, the
names and sizes of its tensors, and the form of its codebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cmg.errors import CheckpointError
from cmg.interop.architecture import Architecture
from cmg.interop.folder import Release
from cmg.interop.layout import build, state_tensors
from cmg.interop.names import ENCODER, EPOCH, MAIN_OPTIMIZER, TOTAL_STEP, Rules, inverse, renamed
from cmg.interop.official import ImportedModel, OfficialCheckpoint, unpickled
from cmg.models.unified import UnifiedModel
from cmg.objectives.weighted import WeightedObjectives
from cmg.tensors import check_finite, check_plain, unwrapped

COUNTER = ".num_batches_tracked"
"""How the names of tensors of whole numbers end."""
BOOK = "model.codebook."
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Successor:
    """The files of one release.

    Attributes:
        name: For people.
        trace: How the name of a tensor of the encoder ends that no other release has.
        parts: The state dicts that a file may hold; the encoder's is needed.
        needed: Those that using a model takes.
        infer: Modalities, model and objectives from names and shapes, the size of video maps, and
            dropout.
        rules: Official prefix -> ours of a whole file but its codebook, by modalities.
        codebook: Official prefix of the codebook's tensors.
        to_ours: Buffers of our codebook, by what stands behind `BOOK`, from theirs.
        to_theirs: The inverse.
        unused: Prefixes of ours that such files have no place for.
        method: That the files were trained by.
    """

    name: str
    trace: str
    parts: tuple[str, ...]
    needed: tuple[str, ...]
    infer: Callable[[Tensors, int, float], Architecture]
    rules: Callable[[Sequence[str]], Rules]
    codebook: str
    to_ours: Callable[[Tensors, Sequence[str]], dict[str, Tensor]]
    to_theirs: Callable[[Tensors, Sequence[str]], dict[str, Tensor]]
    unused: tuple[str, ...]
    method: str

    @property
    def release(self) -> Release:
        """How its files become run folders."""
        return Release(f"{self.name} ", self.read, self.import_model, self.in_model, self.method)

    def read(self, path: Path) -> OfficialCheckpoint | None:
        """A file's tensors, its epoch and steps; optimizers' states are read by nothing.

        Returns:
            None where it is no file of this release.

        Raises:
            CheckpointError: it cannot be read, holds what such files do not, or values that are
                NaN.
        """
        content = unpickled(path)
        if not isinstance(content, Mapping) or not isinstance(content.get(ENCODER), Mapping):
            return None
        if not any(str(name).endswith(self.trace) for name in content[ENCODER]):
            return None
        try:
            known = (*self.parts, MAIN_OPTIMIZER, EPOCH, TOTAL_STEP)
            if unknown := [name for name in content if name not in known]:
                raise CheckpointError(f"its entry {unknown[0]!r} is none of {', '.join(known)}")
            tensors: dict[str, Tensor] = {}
            for part in (part for part in self.parts if part in content):
                tensors |= tensors_of(part, content[part])
            check_finite(tensors, "its tensors", "take the file of another epoch", CheckpointError)
            rest = {name: content[name] for name in (EPOCH, TOTAL_STEP) if name in content}
            if EPOCH not in rest or any(type(x) is not int or x < 0 for x in rest.values()):
                raise CheckpointError(
                    f"{EPOCH!r} and {TOTAL_STEP!r} must be whole numbers from 0 on"
                )
        except CheckpointError as error:
            told = f"{path} is a {self.name} file that cannot be used: {error}"
            raise CheckpointError(told) from error
        return OfficialCheckpoint(tensors, rest)

    def import_model(
        self,
        checkpoint: OfficialCheckpoint,
        dtype: torch.dtype = torch.float64,
        map_size: int = 7,
    ) -> ImportedModel:
        """A model with the weights and the codebook of a file.

        Args:
            checkpoint: Of :meth:`read`.
            dtype: Of the model.
            map_size: Height and width of video maps, which no tensor tells.

        Raises:
            CheckpointError: tensors that are missing, unknown, or contradict each other.
        """
        tensors = checkpoint.tensors
        architecture = self.infer(tensors, map_size, 0.1)
        width, heads = architecture.model.width, architecture.model.temporal.heads
        if width % heads:
            raise CheckpointError(
                f"'{self.codebook}embedding' is of width {width} per modality, which the {heads} "
                "attention heads of these models do not divide"
            )
        with torch.device("meta"):  # shapes first: a wrong one is named before memory is taken
            model, objectives = build(architecture)
            self.refuse_missing(architecture, tensors, self.load(tensors, model, objectives)[1])
        model, objectives = build(architecture)
        model, objectives = model.to(dtype), objectives.to(dtype)
        extras, absent = self.load(tensors, model, objectives)
        return ImportedModel(architecture, model.eval(), objectives, extras, absent)

    def load(
        self, tensors: Tensors, model: UnifiedModel, objectives: WeightedObjectives
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Copy the tensors of a file into a model and its objectives, in place.

        Args:
            tensors: By official full name.
            model: Of :attr:`infer`.
            objectives: Likewise.

        Returns:
            The extras by official full name, and our full names that `tensors` did not fill.

        Raises:
            CheckpointError: an unknown or missing tensor, or one of another shape.
        """
        names, rules = list(model.modalities), self.rules(list(model.modalities))
        targets, book = state_tensors(model, objectives), self.codebook
        theirs = {n.removeprefix(book): x for n, x in tensors.items() if n.startswith(book)}
        given = {f"{BOOK}{n}": (book, x) for n, x in self.to_ours(theirs, names).items()}
        extras: dict[str, Tensor] = {}
        for official, tensor in tensors.items():
            if official.startswith(book):
                continue
            if (ours := renamed(official, rules)) is None:
                extras[official] = tensor
            else:
                given[ours] = (official, tensor)
        for ours, (official, tensor) in given.items():
            if ours not in targets:
                told = f"{official!r} has no place in this model (it would be {ours!r})"
                raise CheckpointError(told)
            if tensor.shape != targets[ours].shape:
                raise CheckpointError(
                    f"{official!r} has shape {list(tensor.shape)}; this model has "
                    f"{list(targets[ours].shape)}"
                )
            targets[ours].copy_(tensor)
        return extras, [ours for ours in targets if ours not in given]

    def export(
        self, model: UnifiedModel, objectives: WeightedObjectives, extras: Tensors
    ) -> dict[str, Tensor]:
        """The tensors of a file by official full name; the inverse of :meth:`load`."""
        names, own = list(model.modalities), state_tensors(model, objectives)
        own = {n: x for n, x in own.items() if not n.startswith(self.unused)}
        ours = {n.removeprefix(BOOK): x for n, x in own.items() if n.startswith(BOOK)}
        back = inverse(self.rules(names))
        tensors = {self.codebook + n: x for n, x in self.to_theirs(ours, names).items()}
        for name, tensor in own.items():
            if not name.startswith(BOOK):
                official = renamed(name, back)
                assert official is not None
                tensors[official] = tensor
        tensors |= extras
        return {n: x.to("cpu", torch.float64, copy=True) for n, x in tensors.items()}

    def refuse_missing(
        self, architecture: Architecture, tensors: Tensors, absent: Sequence[str]
    ) -> None:
        """Refuse a file that lacks tensors of the parts that it has, or that are needed.

        Raises:
            CheckpointError: naming the first.
        """
        back = inverse(self.rules([m.name for m in architecture.modalities]))
        parts = {*self.needed, *(name.partition("/")[0] for name in tensors)}
        for ours in (name for name in absent if not name.startswith(self.unused)):
            official = renamed(ours, back)
            assert official is not None
            if official.partition("/")[0] in parts:
                told = f"no tensor {official!r}, which {self.name} files hold"
                raise CheckpointError(told)

    def in_model(self, modalities: list[str], official: str) -> bool:
        """Whether a tensor of a file is one of ``model.safetensors``."""
        if official.startswith(self.codebook):
            return True
        ours = renamed(official, self.rules(modalities))
        return ours is not None and ours.startswith("model.")


def tensors_of(part: str, entries: object) -> dict[str, Tensor]:
    """The tensors of a state dict by official full name.

    Raises:
        CheckpointError: something else lies in it.
    """
    if not isinstance(entries, Mapping):
        raise CheckpointError(f"{part!r} is no state dict")
    found = {}
    for name, tensor in unwrapped(entries).items():
        whole = str(name).endswith(COUNTER)
        if not isinstance(tensor, Tensor) or tensor.is_floating_point() is whole:
            kind = "whole-number" if whole else "floating-point"
            raise CheckpointError(f"{part}/{name} is no {kind} tensor")
        check_plain(f"{part}/{name}", tensor)
        found[f"{part}/{name}"] = tensor.detach()
    return found


def needed_tensors(theirs: Tensors, names: Sequence[str], prefix: str, release: str) -> None:
    """Refuse a codebook without one of its tensors.

    Raises:
        CheckpointError: naming it.
    """
    for name in names:
        if name not in theirs:
            raise CheckpointError(f"no tensor '{prefix}{name}', which {release} files hold")
