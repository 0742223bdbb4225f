import numpy as np
import pytest
import torch

from cmg.data import import_arrays, verify_store
from cmg.errors import CmgError, DataError
from cmg.types import Kind


@pytest.fixture
def folder(tmp_path):
    """A folder with arrays of all forms."""
    rng = np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    for i in range(3):
        np.save(tmp_path / f"audio/{i}.npy", rng.normal(size=(4, 6)).astype("f4"))
    np.save(tmp_path / "one.npy", np.arange(6, dtype="f4"))
    np.savez(tmp_path / "video.npz", a=rng.normal(size=(4, 2, 2, 3)), b=np.ones((2, 2, 2, 3)))
    np.savez_compressed(tmp_path / "single.npz", np.ones((5, 7), "f2"))
    np.save(tmp_path / "wide.npy", np.zeros((4, 7), "f4"))
    np.save(tmp_path / "double.npy", np.zeros((4, 6)))
    np.save(tmp_path / "whole.npy", np.zeros((4, 6), "i8"))
    np.save(tmp_path / "none.npy", np.zeros((0, 6), "f4"))
    np.save(tmp_path / "cube.npy", np.zeros((4, 6, 2), "f4"))
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    np.save(tmp_path / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "object.npz", x=np.array([{"a": 1}], dtype=object))
    np.save(tmp_path / "scalar.npy", np.float32(3))
    np.savez(tmp_path / "scalar.npz", x=np.float64(3))
    np.save(tmp_path / "five.npy", np.zeros((4, 6, 2, 1, 1), "f4"))
    np.save(tmp_path / "hollow.npy", np.zeros((4, 0), "f4"))
    np.save(tmp_path / "records.npy", np.zeros(3, [("a", "f4")]))
    np.save(tmp_path / "dates.npy", np.zeros((4, 6), "M8[s]"))
    np.save(tmp_path / "complex.npy", np.zeros((4, 6), "c8"))
    np.save(tmp_path / "bool.npy", np.zeros((4, 6), bool))
    np.save(tmp_path / "huge.npy", np.full((4, 6), -1e300))
    nan = np.zeros((4, 6), "f4")
    nan[2, 1] = np.nan
    np.save(tmp_path / "nan.npy", nan)
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "audio/0.npy").read_bytes()[:-5])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "single.npz").read_bytes()[:-40])
    (tmp_path / "empty.npy").touch()
    return tmp_path


def put(folder, text):
    path = folder / "clips.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


GOOD = """id,split,label,label:mood,audio,video,text,meta:where
x, train ,dog,2,audio/0.npy,video.npz#a,single.npz,"Rome, Italy"
y,train,cat,10,audio/1.npy,,single.npz,
z,test,,10,one.npy,video.npz#b,,Bonn
"""


def test_import_reads_every_form(folder):
    store = import_arrays(
        put(folder, GOOD), folder / "out", kinds={"text": "tokens"}, step_seconds={"audio": 1.0}
    )
    assert verify_store(store.path) == []
    assert store.splits == {"train": 2, "test": 1}
    kinds = {m: (x.kind, x.shape) for m, x in store.modalities.items()}
    assert kinds == {
        "audio": (Kind.VECTORS, (6,)),
        "video": (Kind.MAPS, (2, 2, 3)),
        "text": (Kind.TOKENS, (7,)),
    }
    dtypes = {m: spec.dtype for m, spec in store.manifest.modalities.items()}
    assert dtypes == {"audio": "float32", "video": "float64", "text": "float16"}
    train, test = store.split("train"), store.split("test")
    audio, lengths = train.features("audio")
    assert torch.equal(audio[1], torch.tensor(np.load(folder / "audio/1.npy")))
    assert train.lengths("video").tolist() == [4, 0]
    assert test.lengths("text").tolist() == [0]
    one, lengths = test.features("audio")
    assert lengths.tolist() == [1]
    assert one.flatten().tolist() == list(range(6))
    assert store.labels["label"].classes == ("cat", "dog")
    assert store.labels["mood"].classes == ("2", "10")
    assert train.label("label").tolist() == [1, 0]
    assert test.label("label").tolist() == [-1]
    assert train.rows[0].meta == {"where": "Rome, Italy"}
    assert store.step_seconds == {"audio": 1.0, "video": None, "text": None}


def test_split_and_labels_are_optional_and_dtype_converts(folder):
    path = put(folder, "id,audio\na,audio/0.npy\nb,double.npy\nc,whole.npy\n")
    store = import_arrays(path, folder / "out", dtype="float16")
    assert store.splits == {"train": 3}
    assert store.about.specs["audio"].dtype == "float16"
    assert dict(store.labels) == {}


BAD_FILES = [
    ("audio/9.npy", "no file .*9.npy"),
    ("object.npy", "holds Python objects"),
    ("object.npz", "#.* cannot be read"),
    ("text.npy", "no readable"),
    ("cut.npy", "it is truncated"),
    ("cut.npz", "no readable"),
    ("empty.npy", "no readable"),
    ("audio", "no readable"),
    ("words.npy", "expected numbers"),
    ("cube.npy", r"\(cube\.npy\): .*shape \(4, 6, 2\)"),
    ("scalar.npy", r"\(scalar\.npy\): holds one number, shape \(\); expected \[T, C\]"),
    ("scalar.npz#x", r"\(scalar\.npz#x\): holds one number, shape \(\)"),
    ("five.npy", r"shape \(4, 6, 2, 1, 1\)"),
    ("hollow.npy", r"shape \(4, 0\)"),
    ("records.npy", r"\(records\.npy\): holds \[\('a', '<f4'\)\] values; expected numbers"),
    ("dates.npy", r"\(dates\.npy\): holds datetime64\[s\] values; expected numbers"),
    ("complex.npy", "holds complex64 values; expected numbers"),
    ("bool.npy", "holds bool values; expected numbers"),
    ("none.npy", "no step"),
    ("whole.npy", "int64"),
    ("video.npz", "holds 2 arrays.*#KEY: a, b"),
    ("video.npz#c", "no array 'c'"),
    ("one.npy#c", "no key 'c'"),
]
BAD_BESIDE_A_GOOD_FILE = [
    ("nan.npy", "step 2: a feature is NaN"),
    ("wide.npy", r"shape \(4, 7\); expected \(T, 6,\)"),
    ("double.npy", "float64 does not fit"),
    ("", "the clip has no modality"),
]


@pytest.mark.parametrize(
    ("cell", "message", "first"),
    [(*bad, True) for bad in BAD_FILES]
    + [(*bad, False) for bad in BAD_FILES + BAD_BESIDE_A_GOOD_FILE],
)
def test_a_bad_cell_is_named_by_line_and_column(folder, cell, message, first):
    good = "" if first else "good,audio/0.npy\n"
    path = put(folder, f"id,audio\n{good}bad,{cell}\nlast,audio/1.npy\n")
    where = rf"(?s)clips\.csv, line {2 if first else 3}"
    with pytest.raises(CmgError, match=f"{where}.*{message}") as caught:
        import_arrays(path, folder / "out")
    assert not cell or "column 'audio'" in str(caught.value)
    assert not (folder / "out").exists()
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "no column 'id'"),
        ("name,audio\n", {}, "no column 'id'"),
        ("id,audio,audio\na,b,c\n", {}, "name of its own"),
        ("id,split\na,train\n", {}, "no modality"),
        ("id,my audio\na,one.npy\n", {}, "column 'my audio' .* plain word"),
        ("id,vidéo\na,one.npy\n", {}, "column 'vidéo' .* plain word .*; rename it"),
        ("id,audio\na,one.npy\na,one.npy\n", {}, "line 3: the id 'a' is in line 2 already"),
        ("id,audio\n,one.npy\n", {}, "line 2.*id is empty"),
        ("id,split,audio\na,,one.npy\n", {}, r"csv, line 2, column 'split': .* plain name .*train"),
        ("id,audio,video\na,one.npy,\n", {}, "column 'video' is empty"),
        ("id,audio\na,one.npy\n", {"kinds": {"aduio": "tokens"}}, "did you mean 'audio'"),
        ("id,audio\na,one.npy\n", {"kinds": {"audio": "maps"}}, "does not fit"),
        ("id,audio\na,one.npy\n", {"dtype": "float8"}, "unknown dtype"),
        ("id,audio\na,one.npy\n", {"dtype": "uint8"}, "uint8 cannot hold"),
    ],
)
def test_a_bad_table_is_refused(folder, text, options, message):
    with pytest.raises(CmgError, match=message):
        import_arrays(put(folder, text), folder / "out", **options)
    assert not (folder / "out").exists()


def test_a_missing_or_binary_table_is_refused(folder):
    with pytest.raises(DataError, match=r"no\.csv cannot be read"):
        import_arrays(folder / "no.csv", folder / "out")
    with pytest.raises(DataError, match="is not UTF-8"):
        import_arrays(folder / "single.npz", folder / "out")


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (None, r"step 0: a feature is -1e\+300, beyond the float32 that models read"),
        ("float64", r"step 0: a feature is -1e\+300, beyond the float32 that models read"),
        ("float32", r"1e\+300 is beyond float32, which ends at 3\.40282e\+38; repair or drop it"),
        ("float16", r"1e\+300 is beyond float16, which ends at 65500?4?; store it as float32"),
    ],
)
def test_numbers_that_models_cannot_read_are_refused_by_their_value(folder, dtype, said):
    path = put(folder, "id,audio\ngood,double.npy\nbad,huge.npy\n")
    with pytest.raises(DataError, match=rf"line 3, column 'audio' \(huge\.npy\): .*{said}"):
        import_arrays(path, folder / "out", dtype=dtype)
    assert not (folder / "out").exists()
