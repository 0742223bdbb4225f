"""What is said of a feature store."""

from __future__ import annotations

from typing import Any

from cmg.cli.output import show


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


def show_store(store: Any) -> None:
    """Print `facts`, as JSON or as lines."""
    told = facts(store)
    show(told, *described(told))


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
