"""Stores: read back as they were written; damaged or forged, refused within time and memory."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties.conftest import bounded, damaged

import cmg
from cmg.data import Clip, FeatureSpec, LabelSpec, StoreWriter, verify_store
from cmg.data.manifest import COLUMNS
from cmg.errors import CmgError

KEPT = Path(__file__).parents[1] / "compatibility" / "kept" / "stores"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NAMES = st.sampled_from(["audio", "video", "eeg_2", "caption"])
SPLITS = st.sampled_from(["train", "test", "val.1", "0"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda some: st.lists(some, max_size=2) | st.dictionaries(TEXT, some, max_size=2),
    max_leaves=4,
)


@st.composite
def specs(draw):
    kind = draw(st.sampled_from(["vectors", "maps", "tokens"]))
    return FeatureSpec(
        kind=kind,
        shape=tuple(draw(st.integers(1, 9)) for _ in range(3 if kind == "maps" else 1)),
        dtype=draw(st.sampled_from(["float16", "float32", "float64", "uint8"])),
        step_seconds=draw(st.none() | st.floats(0.01, 9)),
        encoding=draw(st.sampled_from(["dense", "compact"])),
    )


LABELS = {
    "kind": LabelSpec(classes=("a", "b/ü", "")),
    "step": LabelSpec(classes=("x", "y"), per="step"),
    "several": LabelSpec(classes=("x", "y", "z"), per="step", multiple=True),
}


@st.composite
def contents(draw):
    """Modalities and clips of a store: ragged, and with whatever a name or a note may be."""
    modalities = draw(st.dictionaries(NAMES, specs(), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    clips = []
    for name in draw(st.lists(TEXT.filter(bool), min_size=1, max_size=6, unique=True)):
        lengths = {m: draw(st.integers(0, 4)) for m in modalities}
        if not any(lengths.values()):
            lengths[next(iter(modalities))] = 1
        features = {
            m: np.maximum(rng.normal(size=(n, *modalities[m].shape)) * 50, 0).astype(
                modalities[m].dtype
            )
            for m, n in lengths.items()
        }
        steps = max(lengths.values())
        per_step = st.lists(st.sets(st.integers(0, 2)).map(sorted), min_size=steps, max_size=steps)
        labels = {
            "kind": draw(st.none() | st.integers(0, 2)),
            "step": draw(st.none() | st.lists(st.integers(-1, 1), min_size=steps, max_size=steps)),
            "several": draw(st.none() | per_step),
        }
        meta = draw(st.dictionaries(TEXT, JSON, max_size=2))
        clips.append(Clip(name, draw(SPLITS), features, labels, meta))
    return modalities, clips


def written(path, modalities, clips, **options):
    with StoreWriter(path, modalities, LABELS, **options) as writer:
        for clip in clips:
            writer.add(clip)
    return cmg.open_clips(path)


@settings(max_examples=25)
@given(content=contents(), notes=TEXT, shard_bytes=st.sampled_from([1, 500, 1 << 20]))
def test_what_is_written_is_read_back(new_folder, content, notes, shard_bytes):
    modalities, clips = content
    path = new_folder() / "store"
    store = written(path, modalities, clips, notes=notes, shard_bytes=shard_bytes)
    assert (store.notes, dict(store.labels), len(store)) == (notes, LABELS, len(clips))
    assert {m: (x.kind, x.shape) for m, x in store.modalities.items()} == {
        m: (x.kind, x.shape) for m, x in modalities.items()
    }
    assert store.step_seconds == {m: x.step_seconds for m, x in modalities.items()}
    read = [store[i] for i in range(len(store))]
    for clip, found in zip(clips, read, strict=True):
        assert {k: found[k] for k in ("id", "split", "labels", "meta")} == {
            "id": clip.id,
            "split": clip.split,
            "labels": clip.labels,
            "meta": clip.meta,
        }
        there = {m: x for m, x in clip.features.items() if len(x)}
        assert found["features"].keys() == there.keys()
        for m, x in there.items():
            assert found["features"][m].numpy().dtype == x.dtype
            assert np.array_equal(found["features"][m].numpy(), x)
    for split, count in store.splits.items():
        of_split = [clip for clip in clips if clip.split == split]
        assert count == len(of_split)
        for m in modalities:
            features, lengths = store.split(split).features(m)
            assert lengths.tolist() == [len(clip.features[m]) for clip in of_split]
            for x, clip in zip(features, of_split, strict=True):
                n = len(clip.features[m])
                assert np.array_equal(x[:n].numpy(), clip.features[m])
                assert not x[n:].any()
    assert verify_store(path) == []
    options = {"notes": notes, "shard_bytes": shard_bytes}
    again = written(path.with_name("again"), modalities, [Clip(**clip) for clip in read], **options)
    assert again.content_hash == store.content_hash


def read_all(path):
    store = cmg.open_clips(path)
    for clip in range(len(store)):
        store[clip]
    for name in store.splits:
        split = store.split(name)
        for m in split.modalities:
            split.features(m)
        for label in split.labels:
            split.label(label)
        assert len(split.ids) == len(split)


def outcome(path):
    """(whether a store is refused when it is opened or read, what verify says of it)."""
    with bounded():
        try:
            read_all(path)
            refused = False
        except CmgError:
            refused = True
        return refused, verify_store(path)


@pytest.fixture(scope="module")
def new_store(tmp_path_factory):
    """A small store as it is written today."""
    path = tmp_path_factory.mktemp("new") / "store"
    modalities = {
        "audio": FeatureSpec(kind="vectors", shape=(3,), dtype="float16", step_seconds=1.0),
        "video": FeatureSpec(kind="maps", shape=(1, 2, 3), encoding="compact"),
    }
    rng = np.random.default_rng(0)
    clips = [
        Clip(
            f"clip {i}/ü",
            "train" if i else "test",
            {
                "audio": rng.normal(size=(i + 1, 3)).astype(np.float16),
                "video": np.maximum(rng.normal(size=(2, 1, 2, 3)), 0).astype(np.float32),
            },
            {"kind": i % 2, "step": [0, 1, -1, 0][: max(i + 1, 2)]},
        )
        for i in range(4)
    ]
    written(path, modalities, clips)
    return path


@pytest.fixture(params=["new", "plain", "compact", "indexed"])
def store(request, tmp_path, new_store):
    """A copy of the new store, or of one that an earlier version wrote."""
    origin = new_store if request.param == "new" else KEPT / request.param
    return shutil.copytree(origin, tmp_path / "store")


@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_found_by_verify(store, data):
    """Any file, any bytes of it; only the manifest of the first format has no checksum itself."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    whole = path.read_bytes()
    how = data.draw(st.sampled_from(["bytes"] * 8 + ["gone", "folder"]))
    broken = damaged(data, whole) if how == "bytes" else None
    path.unlink()
    try:
        if how == "folder":
            path.mkdir()
        elif broken is not None:
            path.write_bytes(broken)
        refused, problems = outcome(store)
        assert problems or broken == whole or path.name == "manifest.json"
        assert refused <= bool(problems)
    finally:
        if path.is_dir():
            path.rmdir()
        path.write_bytes(whole)
    assert outcome(store) == (False, [])


@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_a_damaged_number_that_no_checksum_guards_is_refused_or_read(
    new_store, tmp_path, monkeypatch, flip
):
    """As of a large store, whose columns are not compared with their checksum when it is opened.

    Any byte of any column of numbers; a position of a split or a class that there is not is met.
    """
    monkeypatch.setattr("cmg.data.store.CHECKED_BYTES", 0)
    path = shutil.copytree(new_store, tmp_path / "store") / COLUMNS
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    told = json.loads(whole[8:start])
    numbers = {n: x["data_offsets"] for n, x in told.items() if x.get("dtype") in ("I64", "I32")}
    assert {"split.train", "label.kind", "steps.audio", "ids.ends"} <= numbers.keys()
    refused = set()
    for name, (first, last) in numbers.items():
        for at in range(start + first, start + last):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            if outcome(path.parent)[0]:
                refused.add(name)
    assert refused == numbers.keys()


# --- forged: what is wrong has the right checksum ---------------------------------------------

VALUES = [10**13, 10**30, 10**400, -1, 0, 1, 2**31, 2**63, 2**64, 1e308, 0.5, math.nan, True, None]
VALUES += ["", "x", "9" * 400, [], {}, [0], [[0]], [0, [1]]]


def paths_in(tree, path=()):
    if path:
        yield path
    for key, value in (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    ):
        yield from paths_in(value, (*path, key))


def edited(data, tree):
    *path, last = data.draw(st.sampled_from(list(paths_in(tree))))
    for key in path:
        tree = tree[key]
    how = data.draw(st.sampled_from(["set", "set", "set", "out", "more"]))
    if how == "out":
        del tree[last]
    elif how == "more" and isinstance(tree, dict):
        tree["more"] = tree[last]
    else:
        tree[last] = data.draw(st.sampled_from(VALUES))


def sign(store, manifest, rows):
    """Write manifest and rows of a store of the first format; give it the checksum of the rows."""
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (store / "clips.jsonl").write_bytes(text)
    if isinstance(manifest, dict):
        manifest["clips_sha256"] = hashlib.sha256(text).hexdigest()
    (store / "manifest.json").write_text(json.dumps(manifest))


def told(store):
    rows = (store / "clips.jsonl").read_text().splitlines()
    return json.loads((store / "manifest.json").read_text()), [json.loads(row) for row in rows]


@pytest.fixture(params=["plain", "compact"])
def old(request, tmp_path):
    """A copy of a store of the first format, and what its manifest and rows say, to be changed."""
    shutil.copytree(KEPT / request.param, tmp_path / "store")
    return lambda: (tmp_path / "store", *told(KEPT / request.param))


@given(data=st.data())
def test_a_forged_store_is_read_or_refused(old, data):
    store, manifest, rows = old()
    for tree in data.draw(st.sampled_from([[manifest], [rows], [manifest, rows]])):
        edited(data, tree)
    sign(store, manifest, rows)
    refused, problems = outcome(store)
    assert refused <= bool(problems)


@pytest.mark.parametrize("many", [10**6, 10**13, 2**62, 10**30])
@pytest.mark.parametrize("what", ["steps", "channels"])
def test_more_than_a_shard_has_room_for_is_refused_at_open(old, what, many):
    store, manifest, rows = old()
    name, spec = next(iter(manifest["modalities"].items()))
    if what == "steps":
        rows[3]["lengths"][name] = many
        said = rf"clips\.jsonl.*{name}.*re(store|write)"
    else:
        spec["shape"][-1] = min(many, 2**62)
        said = f"steps of {name}.*no room"
    sign(store, manifest, rows)
    with bounded(), pytest.raises(cmg.errors.DataError, match=said):
        cmg.open_clips(store)


def test_steps_of_a_modality_that_is_not_declared_are_found(old):
    store, manifest, rows = old()
    rows[2]["lengths"]["smell"] = 1
    sign(store, manifest, rows)
    (problem,) = verify_store(store)
    assert problem.endswith("clip 'clip2' has steps of an undeclared modality 'smell'")


@pytest.mark.parametrize(
    ("name", "label", "said"),
    [
        ("step", [0, [1]], "not a list of class indices"),
        ("several", [[0], ["1"]], "no whole numbers"),
        ("several", [[0], [0.9]], "no whole numbers"),
        ("several", ["0", "1"], "no whole numbers"),
    ],
)
def test_labels_that_are_no_whole_numbers_are_refused(tmp_path, name, label, said):
    features = {"audio": np.zeros((2, 3), np.float32)}
    specs = {"audio": FeatureSpec(kind="vectors", shape=(3,))}
    refused = pytest.raises(cmg.errors.DataError, match=f"label {name!r}.*{said}")
    with refused, StoreWriter(tmp_path / "st", specs, LABELS) as writer:
        writer.add(Clip("a", "train", features, {name: label}))
    assert not (tmp_path / "st").exists()
