"""``cmg data``: feature stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmg.cli import check, importing, simulate, text, tuxpaint, voices
from cmg.cli.groups import group
from cmg.cli.output import JsonFlag, show
from cmg.cli.store_facts import described, facts

app = group("Feature stores and the authors' data: import, check, simulate.")
app.command("import")(importing.import_)
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


for command in (check.check, simulate.simulate, text.prompts, text.embed_prompts):
    app.command()(command)
app.command("tuxpaint")(tuxpaint.build)
app.command()(voices.digits)
