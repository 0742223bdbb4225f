"""``cmg data import``, ``prompts`` and ``embed-prompts``: stores, and sentences in their words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmg.cli.output import named, numbers, pairs, show, show_store
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from cmg.recipes.import_official import ImportSummary
    from cmg.report.tables import Table
    from cmg.text.vectors import PromptReport


def import_(
    out: Annotated[Path, typer.Option(help="Collection of stores, or store, to write.")],
    root: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with the official download, in whatever way it was unpacked; or a store "
            "or imported collection, to change its dtype or encoding."
        ),
    ] = None,
    arrays: Annotated[
        Path | None,
        typer.Option(
            help="Instead of ROOT a CSV of your own: a row per clip with id, split, label, and a "
            "column per modality with the path of its .npy or .npz features [T, C] or [T, H, W, C]."
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32 (default for ROOT), float16 (rounds; values beyond it are refused) or "
            "float64; stores keep theirs."
        ),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            help="compact (default for ROOT): exact, a third of the size; dense: read twice as "
            "fast. Stores keep theirs."
        ),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Sets to import, e.g. ave,avvp; default: all of ROOT.")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Further folder of annotation files; they come first.")
    ] = None,
    text: Annotated[
        str, typer.Option(help="Encoder of the prompts: auto (what is found), none, or a name.")
    ] = "auto",
    text_filter: Annotated[
        Literal["published", "none"], typer.Option(help="Words of the prompts: of cnt.pkl, or all.")
    ] = "published",
    on_error: Annotated[
        Literal["skip", "fail"], typer.Option(help="What to do about a clip that cannot be read.")
    ] = "skip",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: cores.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="--arrays: MODALITY=vectors|maps|tokens; else by shape (never tokens)."),
    ] = None,
    step_seconds: Annotated[
        list[str] | None, typer.Option(help="--arrays: MODALITY=SECONDS, duration of a step.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what was imported to OUT.")] = False,
) -> None:
    """Make feature stores; an interrupted import goes on when it is run again."""
    if (root is None) == (arrays is None):
        raise ConfigError("give either ROOT, a folder, or --arrays CSV")
    if arrays is not None:
        if encoding or only or lists:
            raise ConfigError("--encoding, --only and --lists are for ROOT, not for --arrays")
        from cmg.data import import_arrays

        kinds, steps = pairs(kind, "--kind"), numbers(step_seconds, "--step-seconds")
        show_store(
            import_arrays(
                arrays, out, kinds=kinds, step_seconds=steps, dtype=dtype, overwrite=overwrite
            )
        )
        return
    if kind or step_seconds:
        raise ConfigError("--kind and --step-seconds are for --arrays; the official sets are known")
    assert root is not None
    from cmg.cli.progress import Bars
    from cmg.recipes.import_official import ImportOptions, import_clips

    chosen = {
        "only": None if only is None else tuple(name.strip() for name in only.split(",")),
        "lists": None if lists is None else str(lists),
    }
    options = ImportOptions(**named(ImportOptions, locals()) | chosen)
    with Bars() as bars:
        summary = import_clips(root, out, options, bars.told)
    show(summary.as_dict(), _table(summary), *_remarks(summary))


def _table(summary: ImportSummary) -> Table:
    from cmg.report.tables import plain

    columns = ("clips", "skipped", "absent", "MB", "of the source", "of dense", "s", "clips/s")
    rows = []
    for name, found in summary.stores.items():
        here = found.clips - found.resumed
        row = (
            name,
            str(found.clips),
            str(len(found.skipped)),
            str(len(found.absent)),
            f"{sum(found.bytes.values()) / 1e6:.1f}",
            "" if found.of_source is None else f"{found.of_source:.2f}",
            f"{found.of_dense:.2f}",
            f"{found.seconds:.1f}",
            f"{here / found.seconds:.0f}" if here > 0 else "",
        )
        rows.append(row)
    title = f"{summary.source} -> {summary.path}"
    return plain(title, ("set", *columns), rows)


def _remarks(summary: ImportSummary) -> list[str]:
    lines = list(summary.remarks)
    for name, found in summary.stores.items():
        lines += [f"{name}: skipped {clip['id']}: {clip['reason']}" for clip in found.skipped[:3]]
        if len(found.skipped) > 3:
            lines.append(f"{name}: {len(found.skipped)} clips skipped in all, see import.json")
        changed = [f"{m} by up to {x:.2g}" for m, x in found.rounding.items() if x]
        if changed:
            lines.append(f"{name}: numbers were rounded: {', '.join(changed)}")
    return lines


def prompts(
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Text file, a label per line.")],
    out: Annotated[Path, typer.Option(help="FILE.csv to write: label,prompt.")],
    templates: Annotated[
        Path | None,
        typer.Option(help="A sentence with {label} per line; default: those of cmg."),
    ] = None,
    copy_templates: Annotated[
        Path | None, typer.Option(help="Also write the templates in use to this file, to edit.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace what is there.")] = False,
) -> None:
    """Write one sentence of about ten words per label. It names the label: see docs/own-data.md."""
    from cmg.files import replace_file
    from cmg.text.templates import prompts_csv, prompts_of, read_label_list, read_templates

    for path in (out, copy_templates):
        if path is not None and path.exists() and not overwrite:
            raise ConfigError(f"{path} exists; choose another file or say --overwrite")
    sentences = read_templates(templates)
    found = prompts_of(read_label_list(labels), sentences)
    replace_file(out, prompts_csv(found))
    if copy_templates is not None:
        replace_file(copy_templates, ("\n".join(sentences) + "\n").encode())
    words = sum(len(prompt.split()) for prompt in found.values()) / len(found)
    told = {"out": str(out), "prompts": len(found), "mean_words": round(words, 1)}
    show(told, f"{len(found)} prompts of {words:.1f} words in the mean written to {out}")


def embed_prompts(
    prompts: Annotated[
        Path,
        typer.Argument(
            metavar="CSV", help="Comma csv with a header: label, and the prompt second."
        ),
    ],
    out: Annotated[Path, typer.Option(help="FILE.safetensors to write.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Folder, or name in the Hugging Face cache; default: $CMG_TEXT_ENCODER, else "
            "bert-base-uncased. Nothing is downloaded."
        ),
    ] = None,
    filter_: Annotated[
        Literal["published", "none"],
        typer.Option("--filter", help="Words to keep: those of cnt.pkl, or all."),
    ] = "published",
    cnt: Annotated[
        Path | None, typer.Option(help="cnt.pkl of the authors; the published filter needs it.")
    ] = None,
) -> None:
    """Embed the prompts of a csv as ten word vectors each."""
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out} must end in .safetensors")
    if filter_ == "published" and cnt is None:
        raise ConfigError("the published filter needs --cnt cnt.pkl; --filter none keeps all words")
    if filter_ == "none" and cnt is not None:
        raise ConfigError(f"--filter none keeps all words, so --cnt {cnt} has no use; drop one")
    from cmg.text.encoder import load_text_encoder
    from cmg.text.prompts import embed_prompts, read_cnt, read_prompts
    from cmg.text.vectors import write_vectors

    sentences = read_prompts(prompts)
    keep = None if cnt is None else read_cnt(cnt)
    opened = load_text_encoder(name=encoder)
    found = embed_prompts(sentences, opened, keep)
    write_vectors(out, found)
    shape = [len(found.vectors), *next(iter(found.vectors.values())).shape]
    show(
        {
            "out": str(out),
            "encoder": str(opened.folder),
            "encoder_sha256": opened.identity,
            "filter": filter_,
            "shape": shape,
            "prompts": [facts(report) for report in found.reports],
            "warnings": found.warnings,
        },
        f"Encoder {opened.folder}, filter {filter_}",
        as_table(found.reports),
        *(f"warning: {line}" for line in found.warnings),
        f"{out}: vectors {shape}",
    )


def facts(report: PromptReport) -> dict[str, Any]:
    """A report as JSON."""
    order = ("label", "prompt", "words", "survivors", "kept", "dropped", "truncated")
    return {name: getattr(report, name) for name in order}


def as_table(reports: list[PromptReport]) -> Table:
    """A row per prompt."""
    from cmg.report.tables import plain

    columns = ("label", "prompt", "words", "survivors", "truncated", "kept")
    rows = [
        (
            report.label,
            report.prompt,
            str(len(report.words)),
            str(report.survivors),
            "yes" if report.truncated else "no",
            " ".join(report.kept) or "none",
        )
        for report in reports
    ]
    return plain("", columns, rows)
