"""What a terminal shows: help, tables, bars, letters it lacks, and what is typed at it."""

import os
import re
import shlex
import subprocess
import sys
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from typer.main import get_command

from cmg.cli import output, progress
from cmg.cli.examples import EXAMPLES, PANELS
from cmg.cli.groups import words_last
from cmg.cli.main import app
from cmg.cli.main import width as width_of_help
from cmg.errors import ConfigError, DataError
from cmg.extract.registry import cards_table
from cmg.report.tables import plain

from .conftest import NAMES

FROM_TO = ("--from", "audio", "--to", "video")
BRACKETED = "pip install 'cmg-torch[text]' [red]x[/red] [/b] :bug: \\[y]"


def contexts(command, name="cmg", parent=None):
    """Of every command."""
    more = {"resilient_parsing": True, "terminal_width": width_of_help()}
    context = command.make_context(name, [], parent, **more)
    yield context
    for below in getattr(command, "commands", ()):
        yield from contexts(command.get_command(context, below), below, context)


def broken_early(text, width):
    """Lines that end although the first word of the next would have fitted."""
    lines = text.splitlines()
    for line, after in pairwise(lines):
        indent = len(after) - len(after.lstrip())
        starts = indent < 2 or not (after.strip() and line.strip()) or line.startswith("Usage:")
        row = indent == 2 and "  " in after.strip()  # an option or command, beside its help
        alone = len(line) - len(line.lstrip()) == 2 < indent and "  " not in line.strip()
        if starts or row or alone or line.endswith(":") or after.lstrip().startswith("-"):
            continue
        space = 2 if after.lstrip().startswith("[") else 1
        if len(line) + space + len(after.split()[0]) <= width - 2:
            yield f"{line} | {after}"


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_help_is_whole_sentences(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    every = list(contexts(get_command(app)))
    assert len(every) > 35
    for context in every:
        command, told = context.command, context.get_help()
        assert list(broken_early(told, width)) == []
        assert max(map(len, told.splitlines())) <= width
        joined = "".join(told.split())
        helps = [getattr(parameter, "help", None) or "" for parameter in command.params]
        helps += [c.get_short_help_str(1000) for c in getattr(command, "commands", {}).values()]
        for text in (command.help, *helps):
            assert "".join(text.split()) in joined


def test_every_command_has_an_example_that_it_takes():
    """Values are checked by the parser: types, choices, and that nothing is missing."""
    found, root = set(), get_command(app)
    for context in contexts(root):
        words = context.command_path.split()[1:]
        if hasattr(context.command, "list_commands"):
            continue
        found.add(path := " ".join(words))
        example = EXAMPLES[path]
        assert "".join(f"Example: {example}".split()) in "".join(context.get_help().split())
        program, *given = shlex.split(example)
        assert program == "cmg"
        parent = root.make_context("cmg", given.copy())
        name, command, rest = root.resolve_command(parent, given)
        while hasattr(command, "list_commands"):
            parent = command.make_context(name, rest[:1], parent)
            name, command, rest = command.resolve_command(parent, rest)
        assert command.make_context(name, rest, parent).command_path == f"cmg {path}"
    assert len(found) > 30


def test_the_help_of_cmg_groups_its_commands(cmg):
    shown = cmg("--help").out
    order = [shown.index(f"\n{panel}:\n") for panel in PANELS]
    assert order == sorted(order)
    assert "\nMore:" not in shown
    train = shown[order[0] : order[1]]
    assert [line.split()[0] for line in train.splitlines() if re.match(r"  \w", line)] == [
        *("demo", "pretrain", "select", "study"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("pretrain",), "Missing option '--out'."),
        (("pretrain", "--bogus"), "has no option --bogus"),
        (("pretrain", "data=x", "--out"), "Option '--out' requires an argument."),
        (("retrieve", "x", "--model=m", *FROM_TO, "--top", "abc"), "Invalid value for '--top'"),
        (("runz",), "cmg has no command 'runz' (did you mean 'runs'?)"),
        (("data", "imports", "x"), "did you mean 'import'?"),
        (("data", "verify"), "Missing argument 'store'."),
    ],
)
def test_what_is_wrong_with_a_command_is_json_where_asked_for(cmg, line, message):
    plain, said = cmg(*line), cmg(*line[:2], "--json", *line[2:])
    assert (plain.code, plain.out, said.code) == (2, "", 2)
    assert message in plain.err
    assert message in said.err
    assert message in said.json["message"]
    assert said.json["error"] in ("UsageError", "ConfigError")
    assert cmg("demo", "--json", "told.json").out == ""  # a file there


def test_brackets_are_no_markup_at_any_door(cmg, capsys, monkeypatch):
    rows = [[BRACKETED, BRACKETED]]
    told = plain(BRACKETED, ["a", BRACKETED], rows, BRACKETED)
    output.show({}, BRACKETED, told)
    assert capsys.readouterr().out.count(BRACKETED) == 6
    told = cmg("probe", "--model", BRACKETED, "--train-on", "a", "--test-on", "b")
    assert (told.code, BRACKETED in told.err) == (2, True)
    assert (
        f"no option --{BRACKETED.split(maxsplit=1)[0]}" in cmg("extractors", f"--{BRACKETED}").err
    )
    shown = on_terminal(monkeypatch, 120)
    with progress.ClipBar(2) as bar:
        bar.advance(1, BRACKETED)
    assert BRACKETED in shown.getvalue()


@pytest.mark.parametrize("width", ["60", "200"])
def test_install_lines_of_extractors_survive(cmg, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    told = cmg("extractors").out
    installed = [row for row in cards_table() if "cmg-torch[" in row[-1]]
    assert len(installed) > 5
    for name, *_, get in cards_table():
        assert f"{name}: {get}" in told


def on_terminal(monkeypatch, width):
    """Let bars be shown on a terminal of a width; returns what it shows."""
    shown, made = StringIO(), output.console

    def console(stderr=False):
        found = made(stderr)
        found.file, found.width, found._force_terminal = shown, width, True
        found.is_interactive = True
        return found

    monkeypatch.setattr(progress, "console", console)
    monkeypatch.setenv("TERM", "xterm")  # of a dumb one Rich takes neither width nor bars that go
    return shown


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_bar_of_a_training_has_epoch_time_left_and_loss(monkeypatch, width):
    shown = on_terminal(monkeypatch, width)
    log = {
        "loss/total": 12.345,
        "loss/cmcm": 1.0,
        "loss/club/audio": 2.0,
        "code_usage": 0.5,
        "agreement": 0.0,
    }
    with progress.ProgressBar(2400, epochs=20) as bar:
        for _ in range(2):
            bar.add(120, log, "epoch 3/20")
            bar.bar.refresh()
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()).strip()
    last = re.split(r"[\r\n]+", last)[-1]
    assert re.search(r"epoch 3/20  ETA (-:--:--|\d:\d\d:\d\d)", last)
    assert len(last) <= width
    assert ("total 12.3" in last) is True
    assert ("240/2400" in last) is (width >= 60)
    assert ("agreement 0%" in last) is (width == 200)


@pytest.mark.parametrize("width", [60, 80])
def test_other_bars_have_name_time_left_and_count(monkeypatch, width):
    shown, fit = on_terminal(monkeypatch, width), "fit audio to text, shuffled, seed 12"
    made, bars = progress.bar_of, []
    monkeypatch.setattr(
        progress, "bar_of", lambda *how, **h: bars.append(made(*how, **h)) or bars[-1]
    )
    with progress.ClipBar(34, done=10) as bar:
        bar.advance(2, "a.mp4")
    with progress.progress_bar() as tell:
        tell(fit, 3, 9)
        bars[-1].refresh()
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue()))
    assert max(map(len, lines)) <= width
    for name, count in (("a.mp4", "12/34"), (fit, "3/9")):
        wanted = rf"{name}  ETA (-:--:--|\d:\d\d:\d\d)  {count}"
        assert any(re.match(wanted, line) for line in lines), lines


def test_without_a_terminal_progress_is_plain_lines(capsys):
    with progress.ProgressBar(100, epochs=2, every=0.0) as bar:
        bar.add(10, {"loss/total": 2.0}, "epoch 1/2")
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(
        r"epoch 1/2: 10/100 clips, \d+ clips/s, ETA \d+ s, total 2\n",
        said.err,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_letters_that_a_terminal_lacks_are_spelled_out(cmg, oddly_named, encoding):
    run, found = oddly_named / "run", []
    query = f"{NAMES[1]}13"
    for command in (["extractors"], ["retrieve", query, "--model", run, *FROM_TO]):
        told = cmg(*command, encoding=encoding)
        found.append(told.out)
        assert told.code == 0, told.err
    assert "pip install 'cmg-torch[text]'" in found[0]
    spelled = query.encode(encoding, "backslashreplace").decode(encoding)
    assert spelled in found[1]


def test_an_id_is_found_where_the_locale_is_ascii(shell, oddly_named):
    ascii_locale = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    query = f"{NAMES[1]}13"
    told = shell("retrieve", query, "--model", oddly_named / "run", *FROM_TO, **ascii_locale)
    assert told.code == 0, told.err
    assert query.encode("ascii", "backslashreplace").decode() in told.out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [(["--help"], ""), (["--help"], "1"), (["extract", "F", "--out", "S", "--json"], "")],
)
def test_a_full_disk_is_a_line_and_a_closed_pipe_is_silent(command, unbuffered):
    argv = [sys.executable, "-m", "cmg", *command]
    env = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            argv, stdout=full, stderr=subprocess.PIPE, text=True, env=env, check=False
        )
    assert done.returncode == 2
    said = done.stderr.strip().splitlines()
    assert said[-1] == "error: cannot write to standard output: No space left on device"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        argv, stdout=writing, stderr=subprocess.PIPE, text=True, env=env, check=False
    )
    os.close(writing)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == said[:-1]


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_word_may_begin_with_a_dash(cmg, oddly_named, place):
    query, options = f"{NAMES[0]}15", ["--model", oddly_named / "run", *FROM_TO, "--json"]
    told = cmg("retrieve", *([query, *options] if place == "before" else [*options, query]))
    assert told.code == 0, told.err
    assert told.json["query"] == query
    assert query in {hit["id"] for hit in told.json["hits"]}


def test_a_word_that_begins_with_two_dashes_goes_last(cmg, oddly_named):
    query, options = f"{NAMES[2]}17", ["--model", oddly_named / "run", *FROM_TO, "--json"]
    told = cmg("retrieve", query, *options)
    assert told.code == 2
    assert f"after a -- of its own: -- {query}" in told.err
    assert cmg("retrieve", *options, "--", query).json["query"] == query


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["-a", "--top", "3", "b"], ["--top", "3", "--", "-a", "b"]),
        (["--top=3", "-h"], ["--top=3", "-h", "--"]),
        (["--split", "-x", "-"], ["--split", "-x", "--", "-"]),
        (["--json", "--", "--top", "-h"], ["--json", "--", "--top", "-h"]),
        (["a", "--top"], ["a", "--top"]),
        (["--tops", "3"], "no option --tops (did you mean '--top'?)"),
        (["-top", "3"], "no option -top (did you mean '--top'?)"),
    ],
)
def test_words_come_after_the_options(given, wanted):
    root = get_command(app)
    context = root.make_context("cmg", ["retrieve"], resilient_parsing=True)
    command = root.get_command(context, "retrieve")  # with the options that all commands take
    context = command.make_context("retrieve", [], parent=context, resilient_parsing=True)
    context.help_option_names = ["-h", "--help"]
    if isinstance(wanted, list):
        assert words_last(command, context, given) == wanted
        return
    with pytest.raises(ConfigError, match=re.escape(wanted)):
        words_last(command, context, given)


LONG = "A dog barks at the postman. " * 13
"""A caption; no file can have so long a name."""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("pretrain", LONG, "--out", "o"), "no preset named"),
        (("pretrain", f"data={LONG}", "--out", "o"), "no store at"),
        (("pretrain", "--out", LONG), "File name too long"),
        (("encode", "st", "--model", LONG, "--out", "o"), "does not exist"),
        (("encode", LONG, "--model", "run", "--out", "o"), "File name too long"),
        (("probe", "--model", LONG, "--train-on=audio", "--test-on=video"), "does not exist"),
        (("retrieve", LONG, "--model", "run", *FROM_TO), "no clip"),
        (("retrieve", LONG, "--text", "--model", "run", *FROM_TO), "--extractor audio=NAME"),
        (("report", LONG), "File name too long"),
        (("convert", LONG, "--out", "o"), "File name too long"),
        (("data", "import", LONG, "--out", "o"), "File name too long"),
        (("data", "import", "--arrays", LONG, "--out", "o"), "File name too long"),
        (("data", "check", LONG), "File name too long"),
        (("data", "verify", LONG), "no store at"),
        (("segment", LONG, "--query=text", "--model", LONG, "--out", "o"), "File name too long"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else value,
)
def test_a_name_that_is_too_long_is_an_error_in_a_line(
    cmg, oddly_named, monkeypatch, line, message
):
    monkeypatch.chdir(oddly_named)
    said = cmg(*line)
    assert said.code in (1, 2)
    (told,) = (said.out + said.err).strip().splitlines()
    assert message in told
    assert not Path("o").exists()


def test_an_error_of_the_disk_is_an_error_in_a_line(monkeypatch, cmg, tmp_path):
    monkeypatch.setenv("CMG_CACHE", str(tmp_path))

    def failing(*given):
        def fail(kind):
            raise PermissionError(*given)

        monkeypatch.setattr("cmg.config.named.named", fail)

    failing(13, "no", "place")
    assert cmg("presets", "list").err == "error: place: no; give another file or folder\n"
    failing(13, "no")  # without a place it is no user's fault
    assert cmg("presets", "list").code == 70
    monkeypatch.setattr(
        "cmg.config.named.named", lambda kind: (_ for _ in ()).throw(DataError("x"))
    )
    assert cmg("presets", "list").err == "error: x\n"
