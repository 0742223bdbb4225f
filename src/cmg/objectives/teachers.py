"""Contrasts of students with the teachers of other modalities: by clusters, and with a queue.

Both are of clips: f is the unit vector of the mean over the steps of a student's features, g that
of its teacher, an average over time of the same encoder (``model.teacher``) without gradient. The
idea is of CODIS (Duan et al., CVPR 2022); what its paper leaves open is told in docs/methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import Tensor

from cmg.errors import ConfigError
from cmg.objectives.base import Objective, TermOptions, View, objectives
from cmg.objectives.contrast import clip_means, clip_pairs, refuse_single, unit
from cmg.precision import full_precision
from cmg.types import Modality, Steps


def clip_units(features: Mapping[str, Tensor], steps: Steps | None) -> dict[str, Tensor]:
    """Unit vectors [B, D] of the means over the steps that exist."""
    return {m: unit(x) for m, x in clip_means(features, steps).items()}


class AssignmentOptions(TermOptions):
    """How sharply clips are assigned to codes.

    Attributes:
        temperature: Of the students' softmax over the codes.
        teacher_temperature: Of the teachers' assignment.
        iterations: Of Sinkhorn's, which spread the teachers' clips evenly over the codes.
    """

    temperature: float = Field(0.07, gt=0.0)
    teacher_temperature: float = Field(0.05, gt=0.0)
    iterations: int = Field(3, ge=1)


DEFAULT = AssignmentOptions()


@torch.no_grad()
@full_precision
def sinkhorn(score: Tensor, iterations: int) -> Tensor:
    """Assignment of N clips to K codes, each clip's of sum 1 and each code's of about N / K.

    Args:
        score: [N, K], similarities over a temperature.
        iterations: Columns are brought to N / K and then rows to 1, so often.

    Returns:
        [N, K], no gradient.
    """
    clips, codes = score.shape
    for _ in range(iterations):
        score = score - score.logsumexp(0, keepdim=True) + math.log(clips / codes)
        score = score - score.logsumexp(1, keepdim=True)
    return score.exp()


@full_precision
def assignment_loss(
    students: Mapping[str, Tensor],
    teachers: Mapping[str, Tensor],
    codes: Mapping[str, Tensor],
    steps: Steps | None = None,
    options: AssignmentOptions = DEFAULT,
) -> Tensor | None:
    """Each student assigns clips to codes as the other modality's teacher does.

    For two modalities, with A = softmax(f C / temperature) over unit codes C and Q the teachers'
    assignment of the same clips, L = 1/2 [ CE(Q_b, A_a) + CE(Q_a, A_b) ], summed over unordered
    pairs of modalities.

    Args:
        students: z, [B, T, D] per modality.
        teachers: The same, of the teachers.
        codes: [K, D] per modality; those that are weights are trained by the students' part.
        steps: Which steps exist; None for all.
        options: Temperatures and iterations.

    Returns:
        A scalar; None if no two clips have the same two modalities.

    Raises:
        DataError: a batch of a single clip.
    """
    own, taught = clip_units(students, steps), clip_units(teachers, steps)
    rows = {m: unit(x) for m, x in codes.items()}
    scores = {m: own[m] @ rows[m].T / options.temperature for m in own}
    targets = {m: taught[m] @ rows[m].T / options.teacher_temperature for m in own}
    losses = []
    for a, b, both in clip_pairs(own, steps):
        for student, teacher in ((a, b), (b, a)):
            score, target = scores[student], targets[teacher]
            if both is not None:
                score, target = score[both], target[both]
            wanted = sinkhorn(target, options.iterations)
            losses.append(-(wanted * score.log_softmax(1)).sum(1).mean())
    return 0.5 * torch.stack(losses).sum() if losses else None


@objectives.register("assignment", AssignmentOptions)
class Assignment(Objective):
    """:func:`assignment_loss` as a term."""

    needs = frozenset({"codes", "teacher"})
    title = "assignment"
    about = "clips choose codes as the teacher of their partner does"

    def term(self, view: View, draw: None) -> Tensor | None:
        """The loss on the whole batch."""
        view.quantizer.need_one_level(f"objectives.{self.name}")
        encoded = view.encoded
        codes = {m: view.quantizer.table(m) for m in encoded.semantic}
        for m, z in encoded.semantic.items():
            if codes[m].shape[-1] != z.shape[-1]:
                raise ConfigError(
                    f"objectives.{self.name} compares features of width {z.shape[-1]} with codes, "
                    f"and those of model.codebook.kind={view.quantizer.kind} are compared in "
                    f"{codes[m].shape[-1]} dimensions; use a kind such as learned"
                )
        return assignment_loss(encoded.semantic, encoded.taught, codes, encoded.steps, self.options)


class TeacherInfoNCEOptions(TermOptions):
    """What a clip's partner must be told from.

    Attributes:
        temperature: Of the softmax.
        queue: Clips of earlier batches that are negatives too; 0 for none.
        self_weight: Weight of the same contrast with the own modality's teacher.
    """

    temperature: float = Field(0.07, gt=0.0)
    queue: int = Field(1024, ge=0)
    self_weight: float = Field(0.1, ge=0.0)


@objectives.register("teacher_info_nce", TeacherInfoNCEOptions)
class TeacherInfoNCE(Objective):
    """InfoNCE from students to teachers, whose earlier clips are negatives, too.

    For two modalities 1/2 [ NCE(f_a -> g_b) + NCE(f_b -> g_a) ], summed over unordered pairs, and
    `self_weight` times NCE(f_m -> g_m) of every modality.

    Args:
        options: Temperature, length of the queue, weights.
        modalities: Names.
        width: D.

    Attributes:
        queue: Teachers' unit vectors of clips, [M, Q, D].
        written: How many clips each modality has put there so far, int64 [M].
    """

    needs = frozenset({"teacher"})
    title = "InfoNCE with teachers"
    about = "a clip is told from others, earlier ones too, by the teacher of its partner"

    queue: Tensor
    written: Tensor

    def __init__(
        self,
        options: TeacherInfoNCEOptions | None = None,
        modalities: Sequence[str] = (),
        width: int = 1,
    ) -> None:
        super().__init__(options)
        self.modalities = list(modalities)
        shape = (len(self.modalities), self.options.queue, width)
        self.register_buffer("queue", torch.zeros(shape))
        self.register_buffer("written", torch.zeros(len(self.modalities), dtype=torch.int64))

    @classmethod
    def build(
        cls,
        options: TeacherInfoNCEOptions,
        modalities: Sequence[Modality],
        width: int,
        vectors: int,
    ) -> TeacherInfoNCE:
        """With a queue for each modality."""
        return cls(options, [m.name for m in modalities], width)

    @full_precision
    def forward(
        self,
        students: Mapping[str, Tensor],
        teachers: Mapping[str, Tensor],
        steps: Steps | None = None,
    ) -> Tensor | None:
        """The loss.

        Args:
            students: z, [B, T, D] per modality.
            teachers: The same, of the teachers.
            steps: Which steps exist; None for all.

        Returns:
            A scalar; None if no two clips have the same modality.

        Raises:
            DataError: a batch of a single clip.
        """
        steps = steps or Steps.of(students)
        refuse_single(steps)
        own, taught = clip_units(students, steps), clip_units(teachers, steps)
        losses = []
        for a, b, both in clip_pairs(own, steps):
            losses += [0.5 * self.told(own, taught, x, y, both) for x, y in ((a, b), (b, a))]
        for m in own if self.options.self_weight else ():
            clips = steps.clips(m)
            if clips is None or len(clips) > 1:
                losses.append(self.options.self_weight * self.told(own, taught, m, m, clips))
        return torch.stack(losses).sum() if losses else None

    def told(
        self,
        own: Mapping[str, Tensor],
        taught: Mapping[str, Tensor],
        student: str,
        teacher: str,
        clips: Tensor | None,
    ) -> Tensor:
        """InfoNCE of some clips (None: all) from a student to a teacher and its queue."""
        f, g = own[student], taught[teacher]
        f, g = (f, g) if clips is None else (f[clips], g[clips])
        row = self.modalities.index(teacher)
        empty = torch.arange(self.options.queue, device=f.device) >= self.written[row]
        earlier = (f @ self.queue[row].T.to(f)).masked_fill(empty, -torch.inf)
        score = torch.cat([f @ g.T, earlier], 1) / self.options.temperature
        return torch.as_tensor(-score.log_softmax(1).diagonal().mean())

    def term(self, view: View, draw: None) -> Tensor | None:
        """The loss on the whole batch."""
        encoded = view.encoded
        return self.forward(encoded.semantic, encoded.taught, encoded.steps)

    @torch.no_grad()
    def follow(self, view: View) -> None:
        """Put the teachers' clips of this step into the queue, over the oldest."""
        steps, size = view.encoded.steps, self.options.queue
        for m, g in clip_units(view.encoded.taught, steps).items() if size else ():
            clips, row = steps.clips(m), self.modalities.index(m)
            new = (g if clips is None else g[clips])[-size:]
            places = (self.written[row] + torch.arange(len(new), device=g.device)) % size
            self.queue[row, places] = new.to(self.queue)
            self.written[row] += len(new)
