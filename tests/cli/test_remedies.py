"""Every command, option and configuration key that a message or a page names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import typer
from click import Context

import cmg
from cmg.cli.main import app
from cmg.config.load import dotted_keys
from cmg.config.schema import RunConfig
from cmg.places import FOLDERS

SOURCE = Path(cmg.__file__).parent
FOREIGN = {"--nproc-per-node", "--local-dir", "--no-deps", "--logdir", "--gpu-bind"}
"""Options of other programs: torchrun, hf, pip, tensorboard, srun."""
OPTION = r"(?<![\w(-])--[a-z][a-z0-9-]+\b(?!:)"
"""Not a variable of CSS, which is in brackets or has a colon or is one letter and a number."""


@cache
def commands():
    """Options by command, with those that all take; groups have none."""
    found = {}

    def walk(command, name):
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        found[name] = options | {"--help", "-h", "--json"}
        if hasattr(command, "list_commands"):  # some are made when they are asked for
            context = Context(command)
            for part in command.list_commands(context):
                walk(command.get_command(context, part), (*name, part))

    walk(typer.main.get_command(app), ())
    return found


def wrong_command(line):
    """What of a command line, after its `cmg`, does not exist; any command takes plugins."""
    line = re.sub(r"--plugin[ =]\S+ ?", "", line)
    name, words = (), line.split()
    while words and (*name, words[0]) in commands():
        name = (*name, words.pop(0))
    group = any(other[:-1] == name for other in commands() if other)
    if group and words and re.fullmatch("[a-z-]+", words[0]):
        return [f"cmg {line}"]
    options = re.findall(OPTION, line)
    return [f"cmg {line}: {o}" for o in options if o not in commands()[name] | FOREIGN]


def wrong_in(text):
    """Commands in a text that do not exist, and options that no command has."""
    if "--" not in text and "cmg " not in text:
        return re.findall(r"\b(?:say|give|or|with) (?:overwrite|resume data)\b", text)
    lines = re.findall(r"`(?:python -m )?cmg ([^`]*)`", text)
    known = FOREIGN.union(*commands().values())
    wrong = [option for option in re.findall(OPTION, text) if option not in known]
    return wrong + [found for line in lines for found in wrong_command(line)]


def text_of(node):
    """A string as it is written, with "{}" for what is put in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(value) for value in node.values)
    return "{}"


def texts(tree):
    """Every string of a module that is said to someone: none of the docstrings."""
    parts, docstrings = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
        if isinstance(node, ast.Expr):
            docstrings.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in parts | docstrings:
            yield node.lineno, text_of(node)


@cache
def modules():
    return {path.relative_to(SOURCE): ast.parse(path.read_text()) for path in SOURCE.rglob("*.py")}


def test_every_command_and_option_that_the_program_names_exists():
    found = {
        f"{path}:{line}": wrong
        for path, tree in modules().items()
        for line, text in texts(tree)
        if (wrong := wrong_in(text))
    }
    assert found == {}


def test_every_key_that_an_error_names_exists():
    known = dotted_keys(RunConfig)
    groups = "|".join(RunConfig.model_fields)
    found = {}
    for path, tree in modules().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Raise):
                continue
            said = " ".join(
                text_of(n) for n in ast.walk(node) if isinstance(n, ast.JoinedStr | ast.Constant)
            )
            keys = re.findall(rf"(?<![\w./])(?:{groups})(?:\.[a-z_0-9]+)+", said)
            missing = [k for k in keys if k not in known and not k.endswith(".safetensors")]
            if missing:
                found[f"{path}:{node.lineno}"] = missing
    assert found == {}


def test_what_does_not_exist_is_found():
    assert wrong_command("pretrain data=STORE --overwrite") == [
        "cmg pretrain data=STORE --overwrite: --overwrite"
    ]
    assert wrong_command("data imports x") == ["cmg data imports x"]
    assert wrong_in("run `cmg evaluate av`, or say --overwrites") == [
        "--overwrites",
        "cmg evaluate av",
    ]
    assert wrong_in("run `cmg data import ROOT --out STORE`, or say --overwrite") == []
    assert wrong_in("out is not empty; choose another path or say overwrite") == ["say overwrite"]


# --- what is not what was asked for, and the command that takes it -------------------------------


def test_the_files_that_mark_a_folder_are_those_that_are_written():
    from cmg.data.manifest import MANIFEST
    from cmg.models.saving import DESCRIPTION
    from cmg.official.collection import COLLECTION
    from cmg.recipes.demo import MARKER
    from cmg.runs.folder import CONFIG
    from cmg.segmentation.checkpoint import DESCRIPTION as SEGMENTER
    from cmg.studies.ledger import STUDY

    written = {MANIFEST, COLLECTION, DESCRIPTION, CONFIG, SEGMENTER, STUDY, MARKER}
    assert set(FOLDERS) == written


@pytest.fixture
def things(tmp_path, monkeypatch):
    """What people have, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("store/manifest.json", "run/config.yaml", "study/study.json", "demo/demo.json"):
        Path(name).parent.mkdir()
        Path(name).write_text("{}")
    checkpoint = Path("run/checkpoints/step-00000001/checkpoint.json")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("{}")
    Path("segmenter").mkdir()
    Path("segmenter/segmenter.json").write_text("{}")
    Path("clips/dogs").mkdir(parents=True)
    Path("clips/dogs/a.mp4").write_bytes(b"")
    for name in ("two.csv", "list.jsonl", "x.npz", "x.npy", "x.h5", "x.zip", "x.yml", "a.wav"):
        Path(name).write_bytes(b"")
    Path("x.pt").write_bytes(b"hello")


IMPORT, TRAIN = (
    "`cmg data import --arrays two.csv --out STORE`",
    "`cmg pretrain data=store --out RUN`",
)
MEDIA = "`cmg extract clips --out STORE --video NAME --audio NAME`"
ARRAYS, AUTHORS = "`cmg data import --arrays CSV --out STORE`", "`cmg convert x.pt --out RUN`"
PRETRAIN, PROBE = ("pretrain", "--out", "o"), ("probe", "--train-on=a", "--test-on=b", "--model")


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ((*PRETRAIN, "data=two.csv"), IMPORT),
        ((*PRETRAIN, "data=list.jsonl"), "`cmg extract list.jsonl --out STORE"),
        ((*PRETRAIN, "data=clips"), MEDIA),
        ((*PRETRAIN, "data=a.wav"), "`cmg extract . --out STORE"),
        *(((*PRETRAIN, f"data=x.{suffix}"), ARRAYS) for suffix in ("npz", "npy", "h5", "zip")),
        ((*PRETRAIN, "data=x.pt"), AUTHORS),
        ((*PRETRAIN, "data=x.yml"), "`cmg pretrain x.yml --out RUN`"),
        ((*PRETRAIN, "data=run"), "--model run uses it"),
        ((*PRETRAIN, "data=store/manifest.json"), TRAIN),
        ((*PRETRAIN, "store"), TRAIN),
        ((*PRETRAIN, "two.csv"), IMPORT),
        ((*PRETRAIN, "clips"), MEDIA),
        ((*PROBE, "store"), TRAIN),
        ((*PROBE, "x.pt"), AUTHORS),
        ((*PROBE, "study"), "`cmg study table study`"),
        ((*PROBE, "demo"), "--model demo/seed-0"),
        ((*PROBE, "segmenter"), "`cmg segment CLIP --model segmenter`"),
        ((*PROBE, "run/config.yaml"), "--model run uses it"),
        (("report", "store"), TRAIN),
        (("data", "verify", "run"), "--model run uses it"),
        (("data", "import", "two.csv", "--out", "o"), IMPORT),
        (("data", "import", "clips", "--out", "o"), MEDIA),
        (("data", "import", "--arrays", "clips", "--out", "o"), MEDIA),
        (("extract", "x.npz", "--audio", "vggish", "--out", "o"), ARRAYS),
        (("extract", "store", "--audio", "vggish", "--out", "o"), TRAIN),
        (("presets", "show", "store"), TRAIN),
        (("study", "run", "map-detail", "--data", "two.csv", "--out", "o"), IMPORT),
        (("convert", "run", "--out", "F.pt"), "`cmg convert run --to-official F.pt`"),
        (("convert", "store", "--out", "o"), TRAIN),
        (("convert", "x.pt", "--to-official", "o.pt"), AUTHORS),
        (("convert", "x.pt", "--out", "o"), "it is no file of torch.save"),
        (("convert", "x.npy", "--out", "o"), "it is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_each_message_names_the_command_that_works(cmg, things, line, remedy):
    said = cmg(*line)
    assert said.code in (1, 2)
    assert remedy in said.out + said.err
    assert not Path("o").exists()


PAGES = [
    "README.md",
    *sorted(f"docs/{path.name}" for path in (SOURCE.parents[1] / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_a_page_shows_exists(page, request):
    text = (request.config.rootpath / page).read_text().replace("\\\n", " ")
    shown = "\n".join(re.findall(r"```\w*\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"^\s*(?:\$ )?cmg (.*?)(?:  +#.*)?$", shown, re.MULTILINE)
    lines += re.findall(r"`cmg\s+([^`]*)`", text)
    assert [w for line in lines for w in wrong_command(line.partition(" #")[0])] == []
