"""``cmg data``: feature stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmg.cli import simulate, text
from cmg.cli.output import JsonFlag, say_json, show
from cmg.errors import ConfigError

app = typer.Typer(
    help="Feature stores and the authors' data: import, check, simulate.", no_args_is_help=True
)
Store = Annotated[str, typer.Argument(help="Store folder, or `digits`.")]


@app.command("import")
def import_(
    arrays: Annotated[
        Path,
        typer.Option(
            help="CSV with a row per clip: id, split, label, and a column per modality with the "
            "path of its .npy or .npz features [T, C] or [T, H, W, C]."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Store to write.")],
    kind: Annotated[
        list[str] | None,
        typer.Option(help="MODALITY=vectors|maps|tokens; default: by shape (never tokens)."),
    ] = None,
    step_seconds: Annotated[
        list[str] | None, typer.Option(help="MODALITY=SECONDS, duration of a step.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a store in OUT.")] = False,
    json_: JsonFlag = False,
) -> None:
    """Make a store of your own arrays."""
    say_json(json_)
    from cmg.data import import_arrays

    seconds = {m: number(m, s) for m, s in pairs(step_seconds, "--step-seconds").items()}
    store = import_arrays(
        arrays, out, kinds=pairs(kind, "--kind"), step_seconds=seconds, overwrite=overwrite
    )
    told = facts(store)
    show(told, *described(told))


@app.command()
def info(store: Store, json_: JsonFlag = False) -> None:
    """Modalities, splits, labels and content hash of a store."""
    say_json(json_)
    from cmg.data import FeatureStore

    told = facts(FeatureStore.open(store))
    show(told, *described(told))


@app.command()
def verify(store: Store, json_: JsonFlag = False) -> None:
    """Recompute checksums, shapes and finiteness; exits with 1 if something is wrong."""
    say_json(json_)
    from cmg.data import FeatureStore, verify_store

    path = Path(FeatureStore.open(store).path if store == "digits" else store)
    problems = verify_store(path)
    show({"store": str(path), "problems": problems}, *(problems or [f"{path} is sound"]))
    if problems:
        raise typer.Exit(1)


def pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """``["text=tokens"]`` as a mapping."""
    found = {}
    for item in given or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"{option} {item!r} must read MODALITY=VALUE")
        found[name] = value
    return found


def number(modality: str, text: str) -> float:
    """A duration."""
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"--step-seconds {modality}={text}: not a number") from error


def facts(store: Any) -> dict[str, Any]:
    """What ``info`` tells of a store."""
    return {
        "store": str(store.path),
        "modalities": {
            m: {
                "kind": spec.kind.value,
                "shape": list(spec.shape),
                "dtype": spec.dtype,
                "step_seconds": spec.step_seconds,
            }
            for m, spec in store.manifest.modalities.items()
        },
        "splits": store.splits,
        "labels": {n: {"per": s.per, "classes": list(s.classes)} for n, s in store.labels.items()},
        "bytes": sum(shard.bytes for shard in store.manifest.shards),
        "content_hash": store.content_hash,
        "notes": store.manifest.notes,
    }


def described(told: dict[str, Any]) -> list[str]:
    """`facts` as lines."""
    lines = [f"{told['store']}  {told['bytes'] / 1e6:.1f} MB  {told['content_hash'][:12]}"]
    for m, spec in told["modalities"].items():
        lines.append(f"  {m}: {spec['kind']} {spec['shape']} {spec['dtype']}")
    splits = ", ".join(f"{name} {count}" for name, count in told["splits"].items())
    lines.append(f"  splits: {splits}")
    for name, label in told["labels"].items():
        lines.append(f"  label {name}: {len(label['classes'])} classes per {label['per']}")
    return lines if not told["notes"] else [*lines, f"  {told['notes']}"]


simulate.register(app)
text.register(app)
