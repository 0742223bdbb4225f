"""``cmg data``: feature stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cmg.cli import check, importing, simulate, text, tuxpaint, voices
from cmg.cli.groups import group
from cmg.cli.output import JsonFlag, show

app = group("Feature stores and the authors' data: import, check, simulate.")
importing.register(app)
Store = Annotated[str, typer.Argument(help="Store folder, its address (s3://...), or `digits`.")]


@app.command()
def info(store: Store, json_: JsonFlag = False) -> None:
    """Modalities, splits, labels and content hash of a store."""
    from cmg.data import FeatureStore

    told = facts(FeatureStore.open(store))
    show(told, *described(told))


@app.command()
def verify(store: Store, json_: JsonFlag = False) -> None:
    """Recompute checksums, shapes and finiteness; exits with 1 if something is wrong."""
    from cmg.data import FeatureStore, verify_store
    from cmg.data.remote import is_remote

    if store == "digits" or is_remote(store):
        problems = FeatureStore.open(store).verify()
    else:
        problems = verify_store(Path(store))
    show({"store": store, "problems": problems}, *(problems or [f"{store} is sound"]))
    if problems:
        raise typer.Exit(1)


def facts(store: Any) -> dict[str, Any]:
    """What ``info`` tells of a store."""
    return {
        "store": str(store.path),
        "modalities": {
            m: {
                "kind": spec.kind.value,
                "shape": list(spec.shape),
                "dtype": spec.dtype,
                "encoding": spec.encoding,
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
        lines.append(f"  {m}: {spec['kind']} {spec['shape']} {spec['dtype']} {spec['encoding']}")
    splits = ", ".join(f"{name} {count}" for name, count in told["splits"].items())
    lines.append(f"  splits: {splits}")
    for name, label in told["labels"].items():
        lines.append(f"  label {name}: {len(label['classes'])} classes per {label['per']}")
    return lines if not told["notes"] else [*lines, f"  {told['notes']}"]


check.register(app)
simulate.register(app)
text.register(app)
tuxpaint.register(app)
voices.register(app)
