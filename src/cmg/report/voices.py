"""Tables of what was read in spoken words."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.recipes.voices import SYNTHETIC, TOGETHER, VoiceResults, wilson_interval
from cmg.report.document import Document, of_tables
from cmg.report.markdown import markdown
from cmg.report.tables import Table, plain, score_text
from cmg.voices.embedded import HOP_SECONDS, POOLING
from cmg.voices.pooling import Judged


def voices_table(results: VoiceResults, short: bool = False) -> Table:
    """A row per kind of head, a column per source.

    Args:
        results: What was read.
        short: Leave out sources that a column has together.
    """
    groups = list(results.groups())
    if short:
        inside = {s for name, members in TOGETHER.items() if name in groups for s in members}
        groups = [group for group in groups if group not in inside]
    columns = [f"{group} ({results.count(group)})" for group in groups]
    rows = []
    for row in results.rows:
        cells = [score_text(results.accuracy(row, group)) for group in groups]
        rows.append((row.audio, row.variant.replace("_", " "), row.head, *cells))
    note = "Words read rightly in percent, mean ± standard deviation over seeds; (words)."
    return plain("Spoken digits", ("audio", "model", "head trained on", *columns), rows, note)


def intervals_table(results: VoiceResults) -> Table:
    """What the image-trained heads of the trained models read, with 95 % intervals."""
    rows = []
    for row in results.rows:
        if (row.variant, row.head) != ("trained", "video"):
            continue
        for group in results.groups():
            score, count = results.accuracy(row, group), results.count(group)
            low, high = wilson_interval(score.mean, count)
            rows.append((row.audio, group, f"{count}", score_text(score), f"{low:.0f}–{high:.0f}"))
    columns = ("audio", "source", "words", "read rightly (%)", "95 % interval")
    note = "Wilson intervals over words, which do not count for how few the speakers are."
    return plain("Image-trained heads", columns, rows, note)


def misread_table(results: VoiceResults) -> Table:
    """Which recorded words the image-trained heads of the trained models read wrongly."""
    rows = []
    for row in results.rows:
        if (row.variant, row.head) != ("trained", "video"):
            continue
        for source, errors in results.misread(row).items():
            words = ", ".join(f"{what} ({seeds})" for what, seeds in sorted(errors.items()))
            rows.append((row.audio, source, words))
    note = "Seeds that read it so; sources without a line have none."
    return plain("Misread words", ("audio", "source", "digit as digit (seeds)"), rows, note)


def poolings_table(judged: Sequence[Judged]) -> Table:
    """The candidates for pooling, best first."""
    rows = []
    for one in judged:
        milliseconds = ", ".join(f"{round(1000 * HOP_SECONDS * hop):+d}" for hop in one.pooling)
        used = "in use" if one.pooling == POOLING else ""
        rows.append((milliseconds, f"{one.clean:.1f}", f"{one.recorded:.1f}", used))
    columns = ("windows at (ms)", "as synthesized", "as if recorded", "")
    note = "Accuracy in percent on unseen accents of the training voices; no recording is read."
    return plain("Mean of windows around the middle of a word", columns, rows, note)


def voices_tables(results: VoiceResults, short: bool = False) -> list[Table]:
    """All tables of a reading."""
    return [voices_table(results, short), intervals_table(results), misread_table(results)]


def voices_markdown(results: VoiceResults) -> str:
    """All tables as Markdown."""
    told = Document("Spoken digits", "cmg voices", [], of_tables(voices_tables(results)))
    remark = [f"`{SYNTHETIC}`: the held-out synthetic voices of the embedded set."]
    remark += [f"`{name}`: {', '.join(members)}." for name, members in TOGETHER.items()]
    return "\n".join([markdown(told), *remark]) + "\n"
