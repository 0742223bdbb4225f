"""``cmg probe``, ``encode``, ``report`` and ``verify-golden``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmg.cli.output import JsonFlag, RunOption, say_json, show

if TYPE_CHECKING:
    from cmg.golden import CaseResult


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(probe)
    app.command()(encode)
    app.command()(report)
    app.command("verify-golden")(verify_golden)


def probe(
    model: RunOption,
    train_on: Annotated[str, typer.Option(help="Modality whose labels the head learns.")],
    test_on: Annotated[str, typer.Option(help="Modality the head is read on.")],
    label: Annotated[str | None, typer.Option(help="Label; default: the store's first.")] = None,
    data: Annotated[str | None, typer.Option(help="Store; default: the run's.")] = None,
    seeds: Annotated[int, typer.Option(help="Heads to train.")] = 3,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="e.g. probe.epochs=50")
    ] = None,
    json_: JsonFlag = False,
) -> None:
    """Train a head on one modality of the frozen codebook, read it on another."""
    say_json(json_)
    from dataclasses import asdict

    from cmg.config.load import override_config
    from cmg.data.store import FeatureStore
    from cmg.recipes.probe import probe as run_probe
    from cmg.recipes.training_clips import open_clips, training_split
    from cmg.report.tables import score_text
    from cmg.training.checkpoint import load_model, read_checkpoint

    config = override_config(
        read_checkpoint(model).config, [f"probe.seeds={seeds}", *(overrides or [])]
    )
    store = FeatureStore.open(data) if data else open_clips(config.data)
    splits = (training_split(config.data), config.data.test_split)
    found = run_probe(load_model(model), store, train_on, test_on, label, config.probe, *splits)
    show(
        asdict(found) | {"train_on": train_on, "test_on": test_on},
        f"{train_on} -> {test_on}, label {found.label!r}: {score_text(found.transfer)} %",
        f"upper bound {test_on} -> {test_on}: {score_text(found.upper_bound)} %, "
        f"chance {found.chance:.1f} %, {found.transfer.n} heads",
    )


def encode(
    data: Annotated[str, typer.Argument(help="Store to encode.")],
    model: RunOption,
    out: Annotated[Path, typer.Option(help="FILE.jsonl or FILE.safetensors.")],
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Encode a store to codes per clip, modality and step."""
    say_json(json_)
    from cmg.data.store import FeatureStore
    from cmg.recipes.encode import write_codes
    from cmg.training.checkpoint import load_model

    clips = write_codes(load_model(model), FeatureStore.open(data), out, split)
    show({"out": str(out), "clips": clips}, f"{clips} clips encoded to {out}")


def report(
    run: Annotated[Path, typer.Argument(help="Run folder, or folder of `cmg demo`.")],
    out: Annotated[Path | None, typer.Option(help="Folder; default: the run's.")] = None,
    json_: JsonFlag = False,
) -> None:
    """Write report.html (self-contained) and report.md; evaluates the run if that is not done."""
    say_json(json_)
    from cmg.report import write_report

    written = write_report(run, out)
    show({"written": [str(p) for p in written]}, *(f"Report: {p}" for p in written))


def measured(result: CaseResult) -> str:
    """Worst relative error beside its tolerance, where the case has been run."""
    if result.error is None or result.tolerance is None:
        return ""
    return f"error {result.error:.1e}  tolerance {result.tolerance:.0e}"


def verify_golden(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="cases.json, npz and pt files.")],
    json_: JsonFlag = False,
) -> None:
    """Compare this implementation with recorded numbers, a line per case."""
    say_json(json_)
    from collections import Counter
    from dataclasses import asdict

    from cmg.golden import all_verified, verify_golden

    results = verify_golden(folder)
    lines = [f"{r.name:32} {r.status:11} {measured(r)}  {r.detail}".rstrip() for r in results]
    counts = Counter(str(r.status) for r in results)
    lines.append(", ".join(f"{n} {status}" for status, n in counts.items()))
    show({"cases": [asdict(r) for r in results]}, *lines)
    if not all_verified(results):
        raise typer.Exit(1)
