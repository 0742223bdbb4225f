"""Configurations of any keys and values: a RunConfig that reads back, or a ConfigError."""

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.conftest import or_refused

from cmg.config.load import dotted_keys, load_config
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError

KEYS = st.sampled_from(sorted(dotted_keys(RunConfig)))
WRITTEN = (
    "null|~||1|-1|0|0.1|1e-3|1e400|.nan|-.inf|1_000|0x10|0o7|99999999999999999999|true|yes|[]|{}"
    "|[1, 2]|{a: 1}|{audio: 3}|{1: 2}|{null: 1}|{[1]: 2}|{{a: 1}: 2}|[[1]]|x|'x'|[|{|]|a: b|- 1"
    '|"\\0"|"\\ud800"|&a [*a]|*a|&a {b: *a}|!!python/object:x|!!binary aGk=|!!binary *|!!set {a}'
    "|!!omap [x]|!!int x|!!int ''|!!float .|!!timestamp x|!!str [1]|2001-01-01|2001-99-99|1:1:99"
    "|<<: {a: 1}|? [1]\n: 2|\t|\0|\u2028|é|%TAG|--- 1\n--- 2|...|> x|@x|!|shared|tied|cpu|auto"
).split("|")
VALUES = st.one_of(
    st.sampled_from([*WRITTEN, "7" * 5000, "[" * 500, "{a: " * 500]),
    st.integers().map(str),
    st.floats().map(repr),
    st.text(max_size=8),
)
OVERRIDES = st.one_of(
    st.builds("{}={}".format, KEYS, VALUES),
    st.builds("{}.{}={}".format, KEYS, st.sampled_from(["audio", "", "a.b", "é"]), VALUES),
    st.builds("{}={}".format, st.sampled_from(["method", "plugins", "data", "model", ""]), VALUES),
    st.text(max_size=12),
)
PYTHON = st.one_of(
    st.sampled_from(
        [None, -1, 10**400, float("nan"), "\ud800", b"x", 1j, object(), range(3), {1: 2}]
    ),
    st.recursive(
        st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda some: (
            st.lists(some, max_size=2) | st.dictionaries(st.text(max_size=4), some, max_size=2)
        ),
        max_leaves=4,
    ),
)
SECTIONS = st.one_of(
    KEYS.map(lambda key: key.partition(".")[0]), st.sampled_from(["method", "x", "1"])
)


def check(name=None, overrides=(), changes=(), method=None):
    found = or_refused(lambda: load_config(name, overrides, dict(changes), method), ConfigError)
    if found is not None:
        assert RunConfig.model_validate(found.model_dump()) == found


PRESETS = st.sampled_from([None, "digits", "own-data"])


@given(name=PRESETS, overrides=st.lists(OVERRIDES, max_size=3))
def test_overrides(name, overrides):
    check(name, overrides)


@given(name=PRESETS, changes=st.dictionaries(KEYS, PYTHON, max_size=2))
def test_values_of_python(name, changes):
    check(name, changes=changes)


FRAGMENTS = st.recursive(
    VALUES,
    lambda some: st.one_of(
        st.lists(some, max_size=2).map(lambda x: f"[{', '.join(x)}]"),
        st.dictionaries(KEYS.map(lambda key: key.rpartition(".")[2]), some, max_size=2).map(
            lambda x: "{" + ", ".join(f"{k}: {v}" for k, v in x.items()) + "}"
        ),
    ),
    max_leaves=4,
)


@given(
    lines=st.lists(st.builds("{}: {}\n".format, SECTIONS, FRAGMENTS), max_size=4),
    more=st.binary(max_size=3),
    as_method=st.booleans(),
)
def test_files(new_folder, lines, more, as_method):
    path = new_folder() / "mine.yaml"
    path.write_bytes("".join(lines).encode(errors="surrogatepass") + more)
    if as_method:
        check(method=path)
    else:
        check(path)
