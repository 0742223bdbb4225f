"""Values by YAML 1.2's core schema, typed by the place they are written at."""

import math
import random

import pytest
import yaml

from cmg.cli.output import numbers, pairs, whole_numbers
from cmg.config.load import Dumper, load_config, override_config, to_yaml
from cmg.config.schema import RunConfig
from cmg.config.values import MOST_BYTES, MOST_VALUES, Plain, parse_value, parse_yaml, typed
from cmg.errors import ConfigError
from cmg.runs.folder import read_config
from cmg.segmentation.options import SegmentationTraining
from cmg.studies.definition import load_study
from cmg.studies.plan import base_config, variant_config

CORE = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    "010": 10, "-08": -8, "+12": 12, "0": 0, "0o17": 15, "0x1F": 31, "0x1f": 31,
    "1e3": 1000.0, "1e-05": 1e-5, "1.": 1.0, ".5": 0.5, "-.5E+1": -5.0, "1.0e-05": 1e-5,
    ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf,
}  # fmt: skip
"""Everything that is no text."""

TEXTS = [
    "1:30", "1:1", "190:20:30.15", "1_000", "0b11", "0o8", "-0x1", "yes", "No", "on", "off", "y",
    "nUll", "none", "tRue", "2024-01-01", "2001-12-14 21:59:43.10 -5", "=", "<<", "inf", "nan",
    "Infinity", "1e", ".", "-", "+", "1,000", "١٢", "24k", "9" * 5000, "0x" + "f" * 5000, ".Nan",
]  # fmt: skip
"""What YAML 1.1 or Python may take for something else."""

NAMES = [
    *CORE, *TEXTS, ".nan", "my #1", "#1", "a: b", "a:", "[x]", "{x: 1}", "'quoted'", '"quoted"',
    " two  spaces ", "a, b", "a,b", "-x", "- x", "? x", "*x", "&x", "!x", "!!int 3", "%x", "@x",
    "`x", "|", ">", "x\\y", "tab\tx", "two\nlines\n", "---", "...", "ä", "😀", "\x85", "\u2028",
    "\ufeff", "\x07", "0.1.2", "word " * 40,
]  # fmt: skip
"""Names that somebody's folder may have."""


@pytest.mark.parametrize("text", [*CORE, *TEXTS])
def test_core_schema(text):
    value = Plain(text).core
    wanted = CORE.get(text, text)
    assert (type(value), value) == (type(wanted), wanted)


def test_not_a_number_is_a_number():
    assert [math.isnan(Plain(text).core) for text in (".nan", ".NaN", ".NAN")] == [True] * 3


# ---- overrides ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in NAMES if name])
def test_a_name_on_the_command_line_is_the_text_itself(name):
    config = load_config(None, [f"data={name}", f"data.test_split={name}"])
    assert (config.data.store, config.data.test_split) == (name, name)
    lists = load_config(None, [f"data.lists={name}"]).data.lists
    assert lists == (None if name == "null" else name)


@pytest.mark.parametrize(
    ("override", "section", "value"),
    [
        ("training.seed=010", "training", 10),
        ("training.seed=0x1F", "training", 31),
        ("training.seed=18446744073709551614", "training", 2**64 - 2),
        ("training.epochs=2.0", "training", 2),
        ("training.epochs=1e3", "training", 1000),
        ("data.step_seconds=010", "data", 10.0),
        ("data.step_seconds=null", "data", None),
        ("data.step_seconds=auto", "data", "auto"),
        ("data.list=null", "data", None),
        (
            "data.modalities=[no, on, 2024, null, '1e3']",
            "data",
            ("no", "on", "2024", "null", "1e3"),
        ),
        ("model.detail_width={2024: 010, no: 7}", "model", {"2024": 10, "no": 7}),
        ("model.detail_width.null=7", "model", {"null": 7}),
        ("optimizer.clip=none", "optimizer", "none"),
    ],
)
def test_a_value_on_the_command_line(override, section, value):
    key = override.partition("=")[0].split(".")[1]
    found = getattr(getattr(load_config(None, [override]), section), key)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.seed=1:30", "training.seed: Input should be a valid integer (digits"),
        ("training.epochs=12:30:45", "training.epochs: Input should be a valid integer (digits"),
        ("data.step_seconds=1:30", "seconds: Input should be a valid number (e.g. 0.001 or 1e-3) "),
        ("training.seed=2024-01-01", "valid integer (digits only, at most 20), got '2024-01-01'"),
        ("optimizer.lr=2001-12-14 21:59:43.10 -5", "lr: Input should be a valid number (e.g. 0.00"),
        ("training.seed=1_000", "training.seed: Input should be a valid integer (digits"),
        ("training.seed='10'", "training.seed: Input should be a valid integer (digits"),
        ("training.seed=true", "training.seed: Input should be a valid integer (digits"),
        ("training.epochs=yes", "training.epochs: Input should be a valid integer (digits"),
        ("training.epochs=1.5", "training.epochs: Input should be a valid integer (digits"),
        (f"training.seed={'9' * 5000}", "training.seed: Input should be a valid integer (digits"),
        ("training.seed=18446744073709551615", "equal to 18446744073709551614, got 18"),
        (f"model.width={2**63}", f"model.width: Input should be at most {2**63 - 1}, got 9223"),
        (f"model.token_hidden.text={2**63}", "model.token_hidden: Input should be at most 92"),
        (f"optimizer.schedule.milestones=[{2**63}]", "milestones: Input should be at most 9223"),
        ("training.threads=9999", "training.threads: Input should be less than or equal to 1024"),
        ("model.temporal.layers=1:1", "model.temporal.layers: Input should be a valid integer"),
        ("model.temporal.heads=2:1", "model.temporal.heads: Input should be a valid integer"),
        ("model.temporal.layers=61e6", "layers: Input should be less than or equal to 1000"),
        ("training.tensorboard=yes", "training.tensorboard: Input should be a valid boolean (true"),
        ("training.tensorboard=1", "training.tensorboard: Input should be a valid boolean (true"),
        ("training.compile='true'", "training.compile: Input should be a valid boolean (true or"),
        ("optimizer.lr=true", "optimizer.lr: Input should be a valid number (e.g. 0.001"),
        ("optimizer.lr='0.1'", "optimizer.lr: Input should be a valid number (e.g. 0.001"),
        ("optimizer.lr=1_0", "optimizer.lr: Input should be a valid number (e.g. 0.001"),
        ("optimizer.lr=1e999", "optimizer.lr: Input should be a finite number, got inf"),
        ("probe.lr=.nan", "probe.lr: Input should be a finite number, got nan"),
        ("objectives.cmcm.weight=-.inf", "cmcm.weight: Input should be a finite number"),
        ("data.store=", "data.store: String should have at least 1 character"),
        ("data.lists=", "data.lists: String should have at least 1 char"),
        ("model.temporal={kind: mlp, kind: mlp}", "column 13: the key 'kind' is there twice"),
        ("model.temporal=!!set {kind}", "line 1, column 1: tags (!!set) are not read"),
        ("training.seed=!!int 3", "line 1, column 1: tags (!!int) are not read"),
        ("training.seed=" + "[" * 500, "nested deeper than 32 levels"),
    ],
)  # fmt: skip
def test_a_value_that_is_another_kind_of_thing_is_refused(override, message):
    with pytest.raises(ConfigError) as error:
        load_config(None, [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_values_in_python_keep_to_the_same_bounds():
    with pytest.raises(ValueError, match="at most 9223372036854775807"):
        RunConfig.model_validate({"data": {"batch_size": 2**63}})
    assert SegmentationTraining(seed=2**64 - 2).seed == 2**64 - 2


# ---- files --------------------------------------------------------------------------------------


def test_names_in_a_file_are_typed_by_their_place(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_bytes(
        b"\xef\xbb\xbf--- # with a mark of its encoding\n"
        b"data: {store: 2024, lists: null, train_split: no, test_split: null, "
        b"modalities: [1e3, ~]}\n"
        b"model: {width: 010, detail_width: {no: 0x10}}\n"
        b"training:\n  seed:  1e3\n  device: 2024-01-01\n  micro_batch:\n"
    )
    config = load_config(str(file))
    assert (config.data.store, config.data.lists) == ("2024", None)
    assert (config.data.train_split, config.data.test_split) == ("no", "null")
    assert config.data.modalities == ("1e3", "~")
    assert (config.model.width, config.model.detail_width) == (10, {"no": 16})
    assert (config.training.seed, config.training.device) == (1000, "2024-01-01")
    assert config.training.micro_batch is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' is there twice"),
        ("a: {no: 1, 'no': 2}\n", "line 1, column 12: the key 'no' is there twice"),
        ("a: !!python/name:os.system ''\n", "line 1, column 4: tags (!!python/name:os.system)"),
        ("a: !mine {b: 1}\n", "line 1, column 4: tags (!mine) are not read"),
        ("!!binary aGk=: 1\n", "tags (!!binary) are not read"),
        ("a: !!timestamp 2024-01-01\n", "tags (!!timestamp) are not read"),
        ("? [a, b]\n: 1\n", "line 1, column 3: a key must be a name"),
        ("a: {<<: [x]}\n", "<< takes the keys of one mapping"),
        ("a: &a [*a]\n", "nested deeper than 32 levels"),
        ("a: *b\n", "found undefined alias 'b'"),
        ("a: 1\n--- \nb: 2\n", "expected a single document in the stream but found another"),
        ("a:\n\tb: 1\n", "line 2, column 1: while scanning for the next token found char"),
        ("a: \x00\n", "special characters are not allowed"),
        ("a: " + "{b: " * 40 + "1" + "}" * 40, "nested deeper than 32 levels"),
        ("a: " + "[" * 100, "nested deeper than 32 levels"),
        ("".join(f"{'  ' * i}a:\n" for i in range(400)), "nested deeper than 32 levels"),
    ],
)  # fmt: skip
def test_yaml_that_is_refused_in_a_line(text, message):
    with pytest.raises(ConfigError) as error:
        parse_yaml(text, "mine.yaml")
    said = str(error.value)
    assert said.startswith("mine.yaml is not valid YAML: ")
    assert message in said
    assert "\n" not in said


def test_repeated_values_are_bounded():
    """Nine levels of ten: 10^9 values of 300 bytes."""
    lines = ["a0: &a0 [x]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)
    ]
    with pytest.raises(ConfigError, match=f"more than {MOST_VALUES:,} values"):
        parse_yaml("\n".join(lines), "mine")
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "mine")["b"] == {"x": "1", "y": "3"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: caf\xe9\n", "line 2 is not UTF-8 (byte 11: 0xe9); save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "is UTF-16, not UTF-8; save it as UTF-8"),
        (b"#" * (MOST_BYTES + 1), "has 1.0 MB, a text at most 1; is it one?"),
        (None, "Is a directory"),
        (b"- a\n", "must be a mapping of keys to values"),
        (b"model: [\n", "is not valid YAML: line 2, column 1"),
    ],
)
def test_files_that_cannot_be_read(content, message, tmp_path):
    file = tmp_path / "config.yaml"
    file.mkdir() if content is None else file.write_bytes(content)
    for read, given in ((load_config, file), (load_study, file), (read_config, tmp_path)):
        with pytest.raises(ConfigError) as error:
            read(given if read is read_config else str(given))
        said = str(error.value)
        assert message in said
        assert str(file) in said
        assert "\n" not in said


def test_a_file_that_cannot_be_read_leaves_nothing_behind(tmp_path, cmg):
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"data: {store: caf\xe9}\n")
    said = cmg("pretrain", file, "--out", tmp_path / "run")
    assert said == (2, "", f"error: config {file}, line 1 is not UTF-8 (byte 17: 0xe9); "
                    "save it as UTF-8\n")  # fmt: skip
    assert list(tmp_path.iterdir()) == [file]


def test_empty_files_are_the_defaults(tmp_path):
    for text in ("", "# nothing\n", "---\n", "null\n"):
        (tmp_path / "mine.yaml").write_text(text)
        assert load_config(str(tmp_path / "mine.yaml")) == RunConfig()


# ---- writing, and what was written before -------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_names_come_back_from_either_writer(name):
    """`safe_dump` wrote the runs of before; it leaves 1e3 and 0o17 unquoted."""
    kind = dict[str, str | tuple[str, ...] | dict[str, str] | None]
    tree = {"store": name, "lists": name, "modalities": [name, "x"], "m": {name: name}}
    wanted = tree | {"modalities": (name, "x")}
    for dumper in (yaml.SafeDumper, Dumper):
        text = yaml.dump(tree, Dumper=dumper, sort_keys=False)
        found = parse_value(text, "mine")
        assert typed(found, kind) == wanted, text
    read = parse_value(yaml.dump([name], Dumper=Dumper), "mine")[0]
    assert (read.core if isinstance(read, Plain) else read) == name, "quoted where it must be"


def test_numbers_come_back_from_the_writer_of_before():
    rng = random.Random(0)
    floats = [rng.uniform(-1, 1) * 10.0 ** rng.randint(-320, 308) for _ in range(500)]
    whole = [rng.randint(-(2**63), 2**63) for _ in range(100)]
    tree = {"f": [*floats, 0.0, -0.0, 1e16, 5e-324, 1.0], "i": whole, "b": [True, False, None]}
    text = yaml.safe_dump(tree)
    kind = dict[str, tuple[float | bool | None, ...]]
    found = typed(parse_value(text, "mine"), kind)
    for key, values in tree.items():
        assert [repr(v) for v in found[key]] == [repr(v) for v in values], key


@pytest.mark.parametrize("name", ["digits", "audio-video-text", "own-data"])
def test_runs_of_before_read_as_they_were_written(name, tmp_path):
    rng = random.Random(name)
    for _ in range(4):
        chosen = {
            "data.store": rng.choice(NAMES[1:]),
            "data.lists": rng.choice([None, *NAMES[1:]]),
            "data.modalities": rng.choice([None, tuple(rng.sample(NAMES, 3))]),
            "data.fraction": rng.random(),
            "optimizer.lr": 10 ** rng.uniform(-12, 2),
            "training.seed": rng.getrandbits(63),
            "model.detail_width": {rng.choice(NAMES): rng.randint(1, 2**40)},
            "objectives.cmcm": rng.choice([None, {"weight": 10 ** rng.uniform(-9, 9)}]),
        }
        config = load_config(name, (), chosen)
        written = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
        for text in (written, to_yaml(config)):
            (tmp_path / "config.yaml").write_text(text)
            assert read_config(tmp_path) == config
        assert override_config(config) == config


# ---- studies ------------------------------------------------------------------------------------

STUDY = """
name: 2024
title: no
about: 1e3
reference: null
base: {data.lists: 010, data.train_split: on, training.epochs: 1e3}
where_off: {objectives.cmcm: {weight: 1e-3}}
variants:
  - {name: null, title: 2024-01-01, x: 1e-3, changes: {data.test_split: 1e3, model.width: 010}}
  - {name: off, title: =, x: 0x10, changes: {data.modalities: [no, 2024], training.micro_batch: ~}}
axis: {title: 1:30, log: false}
controls: []
"""


def test_values_of_a_study_are_typed_by_their_place(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    study = load_study(str(file))
    assert (study.name, study.title, study.about, study.reference) == ("2024", "no", "1e3", "null")
    assert study.base == {"data.lists": "010", "data.train_split": "on", "training.epochs": 1000}
    assert study.where_off == {"objectives.cmcm": {"weight": 0.001}}
    assert [(v.name, v.title, v.x) for v in study.variants] == [
        ("null", "2024-01-01", 0.001),
        ("off", "=", 16.0),
    ]
    config = variant_config(base_config(study, "😀 my #1", None, []), study.variants[0])
    assert (config.data.store, config.data.lists) == ("😀 my #1", "010")
    assert (config.data.test_split, config.model.width) == ("1e3", 10)
    again = type(study).model_validate(study.model_dump(mode="json"))
    assert again == study


@pytest.mark.parametrize(
    ("given", "wanted", "message"),
    [
        ("x: 1e-3", "x: true", "variants.0.x: Input should be a valid number"),
        ("x: 1e-3", "x: .nan", "variants.0.x: Input should be a finite number, got nan"),
        ("log: false", "log: no", "axis.log: Input should be a valid boolean (true or false)"),
        ("model.width: 010", "model.widht: 010", "unknown key 'model.widht' (did you mean"),
        ("where_off: {", "where_off: {<<: 3, ", "<< takes the keys of one mapping"),
        ("about: 1e3", "about: 1e3\nabout: x", "the key 'about' is there twice"),
    ],
)
def test_a_study_with_a_value_of_another_kind(given, wanted, message, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY.replace(given, wanted))
    with pytest.raises(ConfigError) as error:
        load_study(str(file))
    assert message in str(error.value)


# ---- options of the form NAME=VALUE -------------------------------------------------------------


def test_pairs_keep_their_values():
    given = ["audio=a b", "video= x=1 ", " text =#1"]
    assert pairs(given, "--weights") == {"audio": "a b", "video": " x=1 ", "text": "#1"}
    assert numbers(["a=010", "b= .5 ", "c=1e-3"], "--step") == {"a": 10.0, "b": 0.5, "c": 0.001}
    assert whole_numbers("0, 01,3", "--stages") == (0, 1, 3)


@pytest.mark.parametrize(
    ("read", "given", "message"),
    [
        (pairs, ["a=1", "a=2"], "--x 'a=2': a is already '1'; give it once"),
        (pairs, ["a"], "--x 'a' must read NAME=VALUE"),
        (numbers, ["a=nan"], "--x a=nan: not a number"),
        (numbers, ["a=.nan"], "--x a=.nan: not a number"),
        (numbers, ["a=-.inf"], "--x a=-.inf: not a number"),
        (numbers, ["a=1_000"], "--x a=1_000: not a number"),
        (numbers, ["a=true"], "--x a=true: not a number"),
        (whole_numbers, "1_0", "--x takes whole numbers, e.g. 0,1,2, and '1_0' is none"),
        (whole_numbers, "1.5,2", "e.g. 0,1,2, and '1.5' is none"),
        (whole_numbers, "9" * 5000, "--x takes whole numbers"),
    ],
)
def test_numbers_that_are_none(read, given, message):
    with pytest.raises(ConfigError) as error:
        read(given, "--x")
    assert message in str(error.value)


def test_sizes_that_no_memory_holds_are_an_error_in_a_line(cmg, tmp_path):
    run = tmp_path / "run"
    said = cmg("pretrain", "digits", f"model.width={2**62}", "--out", run)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert said.err.startswith("error: not enough memory: Storage size calculation overflowed")
    assert "model.width" in said.err
    assert not run.exists()
