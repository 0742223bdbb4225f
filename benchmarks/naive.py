"""What training on several devices loses when it only averages gradients, and to which part.

`python -m benchmarks.naive [--seeds 5] [--json FILE]`

The demo set, by the command line: one process, two ranks that train exactly, and the control
``training.parallel=naive`` with 2, 4 and 8 ranks of the same batch between them. Then the parts of
the control one by one, in one process that divides its batch as ranks would: which terms contrast
a rank's clips only, and whose features move the codes and count as their use. With all parts the
emulation is the control, to rounding (``tests/benchmarks/test_naive.py``). Then 80 clips per rank,
which makes batches of 320 and a quarter of the steps, and the paper's number of codes. CLUB is off
in the demo, so what its permutation and its fit lose is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.cases import machine, machine_line
from benchmarks.figures import markdown
from cmg.config.load import load_config
from cmg.evaluation.results import CodebookStats
from cmg.evaluation.scores import Score
from cmg.objectives.base import View
from cmg.objectives.draws import Draws
from cmg.recipes.evaluate import ONE_SCAN, evaluate, evaluate_run
from cmg.recipes.pretrain import prepare
from cmg.runs.loop import Pretraining
from cmg.training.seeding import derived_seed, step_generator
from cmg.training.step import refuse_non_finite
from cmg.training.together import clips_of
from cmg.types import Batch, Encoded, Losses, Quantized, Steps

Outcome = dict[str, float]
"""Measures of one trained model, see :data:`MEASURES`."""

MEASURES = (
    "transfer, %",
    "one scan, %",
    "localization, %",
    "codes used",
    "perplexity",
    "shared, %",
)

CPC, CMCM, REST = "cross_cpc", "cmcm", "commitment"
EMA, RESET = "ema", "reset"
EVERYTHING = frozenset({CPC, CMCM, REST, EMA, RESET})
"""Parts of the control where CLUB and reconstruction are off: terms, moving averages, resets."""

PARTS = {
    "codes moved and reset by rank 0": {EMA, RESET},
    "both terms' negatives": {CPC, CMCM},
    "codes moved by rank 0's clips": {EMA},
    "codes reset by rank 0's use": {RESET},
    "Cross-CPC's negatives": {CPC},
    "CMCM's negatives": {CMCM},
}


@dataclass
class Divided(Pretraining):
    """A run of one process that does some of its work as `count` naive ranks would.

    Attributes:
        count: N.
        apart: Which parts see a rank's clips only, of :data:`EVERYTHING`.
    """

    count: int = 1
    apart: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, training: Pretraining, ranks: int, apart: frozenset[str]) -> Divided:
        """A prepared run."""
        own = {f.name: getattr(training, f.name) for f in fields(Pretraining)}
        return cls(**own, count=ranks, apart=apart)

    def _train_on(self, own: Batch, epoch: int, index: int) -> dict[str, float]:
        """:func:`cmg.training.step.pretraining_step` with parts of it divided."""
        state, model = self.state, self.state.model
        torch.manual_seed(derived_seed(self.config.training.seed, "dropout", self.position.step))
        whole_draws = self._draws(0, own.modalities, own.steps)
        encoded = state.represent(own)
        quantized = model.quantize(encoded)
        book = model.codebook
        losses = state.objectives(whole_draws.terms, 0.0, View(encoded, quantized, {}, book))
        rows = [torch.arange(own.size)[rank :: self.count] for rank in range(self.count)]
        draws = [
            self._draws(rank, own.modalities, clips_of(own.steps, one))
            for rank, one in enumerate(rows)
        ]
        total = sum_of(losses, EVERYTHING - self.apart)
        if self.apart & {CPC, CMCM, REST}:
            for one, draw in zip(rows, draws, strict=True):
                part, codes = encoded_of(encoded, one), quantized_of(quantized, one)
                found = state.objectives(draw.terms, 0.0, View(part, codes, {}, book))
                total = total + sum_of(found, self.apart) / self.count

        state.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        losses.measures |= state.clip_gradients() | model.codebook.measures(quantized)
        log: dict[str, float] = losses.read()
        refuse_non_finite(log)
        state.optimizer.step()
        first = quantized_of(quantized, rows[0])
        model.codebook.accumulate(first if EMA in self.apart else quantized)
        if RESET in self.apart:
            model.codebook.revive(first, draws[0].reset)
        else:
            model.codebook.revive(quantized, whole_draws.reset)
        return log

    def _draws(self, rank: int, names: Sequence[str], steps: Steps) -> Draws:
        """The random choices of a rank, as the loop draws them."""
        suffix = f"/{rank}" if rank else ""
        seed = self.config.training.seed
        step = self.position.step
        return Draws.of_step(
            self.state.objectives,
            self.state.model.codebook,
            names,
            steps,
            lambda purpose: step_generator(seed, f"{purpose}{suffix}", step),
        )


def part_of(term: str) -> str:
    """Which part of the control a term belongs to."""
    name = term.partition("/")[0]
    return CPC if name == "same_step_nce" else name


def sum_of(losses: Losses, parts: frozenset[str]) -> Tensor:
    """The weighted sum of the terms of some parts."""
    kept = [losses.weights[n] * v for n, v in losses.terms.items() if part_of(n) in parts]
    return torch.stack(kept).sum() if kept else torch.zeros(())


def encoded_of(encoded: Encoded, rows: Tensor) -> Encoded:
    """The features of some clips."""
    semantic = {m: z[rows] for m, z in encoded.semantic.items()}
    return Encoded({}, semantic, {}, {}, clips_of(encoded.steps, rows))


def quantized_of(quantized: Quantized, rows: Tensor) -> Quantized:
    """The codes of some clips."""

    def own(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {m: x[rows] for m, x in part.items()}

    return Quantized(
        own(quantized.indices),
        own(quantized.codes),
        own(quantized.vectors),
        own(quantized.semantic),
        clips_of(quantized.steps, rows),
    )


def outcome(
    transfer: Mapping[str, Score],
    one_scan: Mapping[str, Score],
    localization: Mapping[str, Score],
    codebook: CodebookStats,
) -> Outcome:
    """The measures of a model: means over the directions between different modalities."""

    def across(table: Mapping[str, Score]) -> float:
        ends = {d: d.split("->") for d in table}
        return statistics.fmean(s.mean for d, s in table.items() if ends[d][0] != ends[d][1])

    values = (across(transfer), across(one_scan), across(localization))
    codes = (codebook.used, codebook.perplexity, 100 * codebook.shared_share)
    return dict(zip(MEASURES, (*values, *codes), strict=True))


def commanded(seed: int, devices: int = 1, *more: str) -> Outcome:
    """Train the demo by the command line and evaluate it."""
    with tempfile.TemporaryDirectory(prefix="cmg-naive-") as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "cmg", "pretrain", "digits", f"training.seed={seed}"]
        command += [
            "method=light",
            "training.threads=1",
            "training.tensorboard=false",
            *more,
            "--out",
            str(run),
        ]
        command += ["--devices", str(devices)] if devices > 1 else []
        variables = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        found = evaluate_run(run)
    return outcome(found.transfer, found.extra_splits[ONE_SCAN], found.localization, found.codebook)


def emulated(seed: int, ranks: int, apart: frozenset[str], *more: str) -> Outcome:
    """Train the demo in this process with some parts divided, and evaluate it."""
    given = [f"training.seed={seed}", "training.threads=1", *more]
    config = load_config("digits", given, method="light")
    training = Divided.of(prepare(config), ranks, apart)
    training.train()
    found = evaluate(training.state.model, config, seed)
    return outcome(
        found.transfer,
        found.extra_splits[ONE_SCAN],
        found.localization,
        found.codebook,
    )


NAIVE = "training.parallel=naive"
ONE = "one process"


def rows_of(ranks: Sequence[int], parts_at: int) -> dict[str, Callable[[int], Outcome]]:
    """What is trained, by name, as functions of the seed."""
    rows: dict[str, Callable[[int], Outcome]] = {ONE: commanded}
    rows["exact, 2 ranks"] = lambda seed: commanded(seed, 2)
    for n in ranks:
        rows[f"naive, {n} ranks"] = lambda seed, n=n: commanded(seed, n, NAIVE)  # type: ignore[misc]
    for name, apart in PARTS.items():
        rows[f"{name}, {parts_at} ranks"] = lambda seed, apart=frozenset(apart): emulated(  # type: ignore[misc]
            seed, parts_at, apart
        )
    large = "data.batch_size=320"
    rows["batch 320, one process"] = lambda seed: commanded(seed, 1, large)
    rows["batch 320, naive, 4 ranks"] = lambda seed: commanded(seed, 4, NAIVE, large)
    rows["batch 320, one process, 4 x the epochs"] = lambda seed: commanded(
        seed, 1, large, "training.epochs=56"
    )
    many = "model.codebook.size=400"
    rows["400 codes, one process"] = lambda seed: commanded(seed, 1, many)
    rows["400 codes, naive, 8 ranks"] = lambda seed: commanded(seed, 8, NAIVE, many)
    return rows


def told(values: Sequence[float]) -> str:
    """Mean and sample standard deviation."""
    if len(values) < 2:
        return f"{values[0]:.1f}"
    return f"{statistics.fmean(values):.1f} ± {statistics.stdev(values):.1f}"


def table(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Means over seeds, and the paired differences to one process."""
    rows = [
        [name, str(len(runs)), *(told([r[m] for r in runs]) for m in MEASURES)]
        for name, runs in found.items()
    ]
    lines = [markdown(["trained as", "seeds", *MEASURES], rows), ""]
    base = found.get(ONE, [])
    rows = [
        [name, *(told([r[m] - b[m] for r, b in zip(runs, base, strict=False)]) for m in MEASURES)]
        for name, runs in found.items()
        if name != ONE and base
    ]
    return "\n".join([*lines, markdown(["minus one process, same seed", *MEASURES], rows)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, print the tables and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.naive")
    parser.add_argument("--seeds", type=int, default=5, help="runs per row, seeds 0, 1, ...")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--parts-at", type=int, default=8, help="ranks of the emulated parts")
    parser.add_argument("--only", nargs="+", help="rows whose name has one of these words")
    parser.add_argument("--json", type=Path, help="result; rows that are in it are kept")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    facts = machine()
    found: dict[str, list[Outcome]] = {}
    if given.json is not None and given.json.is_file():
        found = json.loads(given.json.read_text(encoding="utf-8"))["runs"]
    for name, run in rows_of(given.ranks, given.parts_at).items():
        if name in found or (given.only and not any(word in name for word in given.only)):
            continue
        seeds = 1 if name.startswith("exact") else given.seeds  # the same as one process's
        found[name] = [run(seed) for seed in range(seeds)]
        print(f"{name}: {told([r[MEASURES[1]] for r in found[name]])}", file=sys.stderr)
        if given.json is not None:  # after every row: all of them take a while
            text = json.dumps({"machine": facts, "runs": found}, indent=1)
            given.json.write_text(text + "\n", encoding="utf-8")
    print(machine_line(facts) + "\n\n" + table(found))


if __name__ == "__main__":
    main()
