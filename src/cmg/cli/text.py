"""``cmg data prompts`` and ``cmg data embed-prompts``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cmg.cli.output import show, table
from cmg.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from cmg.text import PromptReport


class Filter(StrEnum):
    """Which words of a prompt are kept."""

    PUBLISHED = "published"
    NONE = "none"


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
        Filter, typer.Option("--filter", help="Words to keep: those of cnt.pkl, or all.")
    ] = Filter.PUBLISHED,
    cnt: Annotated[
        Path | None, typer.Option(help="cnt.pkl of the authors; the published filter needs it.")
    ] = None,
) -> None:
    """Embed the prompts of a csv as ten word vectors each."""
    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out} must end in .safetensors")
    if filter_ is Filter.PUBLISHED and cnt is None:
        raise ConfigError("the published filter needs --cnt cnt.pkl; --filter none keeps all words")
    if filter_ is Filter.NONE and cnt is not None:
        raise ConfigError(f"--filter none keeps all words, so --cnt {cnt} has no use; drop one")
    from cmg import text

    sentences = text.read_prompts(prompts)
    keep = None if cnt is None else text.read_cnt(cnt)
    opened = text.load_text_encoder(name=encoder)
    found = text.embed_prompts(sentences, opened, keep)
    text.write_vectors(out, found)
    shape = [len(found.vectors), *next(iter(found.vectors.values())).shape]
    show(
        {
            "out": str(out),
            "encoder": str(opened.folder),
            "encoder_sha256": opened.identity,
            "filter": filter_.value,
            "shape": shape,
            "prompts": [facts(report) for report in found.reports],
            "warnings": found.warnings,
        },
        f"Encoder {opened.folder}, filter {filter_.value}",
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
    return table(columns, rows, left=("prompt", "truncated", "kept"))
