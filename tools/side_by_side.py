"""Compare two checkouts to the bit, on one machine: training, and resuming what the other began.

    python tools/side_by_side.py [COMMIT]

COMMIT (409785a unless given) is checked out beside this one, in a temporary folder. It trains one
small run of every kind (`tests/compatibility/make.py`); both checkouts then resume each from the
first of its checkpoints, and this one trains all of them anew. Weights, codebooks, moments, codes
and heads must agree to the bit; runs named in :data:`MOVED` are known to train otherwise when they
are new. Prints a line per run and exits with 1 where one differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
MOVED = dict.fromkeys(("wide", "wide-published"), "model.toom_cook_from is no longer 64")
"""New runs whose bits this checkout changes on purpose, and why."""


def run(checkout: Path, *arguments: str | Path) -> None:
    """Run `make.py` of this checkout with the package of another."""
    script = HERE / "tests" / "compatibility" / "make.py"
    variables = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, env=variables, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{checkout}: {' '.join(command)} failed\n{done.stderr}")


def differences(one: Path, other: Path) -> dict[str, list[str]]:
    """What differs of two folders of runs, by run: files of the newest checkpoint, measures."""
    told = [json.loads((folder / "measured.json").read_text()) for folder in (one, other)]
    found = {}
    for name in told[0]:
        newest = [max((f / "runs" / name / "checkpoints").iterdir()) for f in (one, other)]
        files = ("model.safetensors", "training.safetensors")
        found[name] = [
            file for file in files if len({(step / file).read_bytes() for step in newest}) > 1
        ]
        codes = [measured[name]["codes"] for measured in told]
        heads = [measured[name]["probe"] for measured in told]
        found[name] += ["codes"] if codes[0] != codes[1] else []
        found[name] += [f"probe's {key}" for key in heads[0] if heads[0][key] != heads[1][key]]
    return found


def main() -> int:
    """Compare; the exit code."""
    commit = sys.argv[1] if len(sys.argv) > 1 else "409785a"
    git = ["git", "-C", str(HERE), "worktree"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        old, began = folder / "checkout", folder / "began"
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), commit], check=True)
        try:
            run(old, began)
            shutil.copytree(began, folder / "resumed")
            run(HERE, folder / "resumed", "--resume")
            run(HERE, folder / "anew")
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)
        failed = False
        for what in ("resumed", "anew"):
            for name, differ in differences(began, folder / what).items():
                why = MOVED.get(name) if what == "anew" else None
                verdict = "equal" if not differ else f"DIFFERS in {', '.join(differ)}"
                print(f"{what:8} {name:16} {verdict}{f' ({why})' if differ and why else ''}")
                failed |= bool(differ) and why is None
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
