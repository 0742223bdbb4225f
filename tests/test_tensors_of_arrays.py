"""However the values of an array lie in memory, what is read is what was given."""

import csv

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import cmg
from cmg.data import Clip, FeatureSpec, StoreWriter, import_arrays
from cmg.errors import DataError
from cmg.retrieval.index import StoredGallery
from cmg.retrieval.representation import Represented
from cmg.saved import flat, write_tensors
from cmg.tensors import plain, tensor_of
from cmg.text.vectors import PromptVectors, read_vectors, write_vectors

VALUES = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32)
VALUES[0, 1, 2] = 0.0  # compact shards leave it out


class Named(np.ndarray):
    """A subclass, as libraries of physical units have."""


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "C order": lambda x: x.copy(),
    "Fortran order": np.asfortranarray,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "reversed": lambda x: x[:, ::-1],
    "all axes reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
    "every second": lambda x: np.repeat(x, 2, axis=2)[:, :, ::2],
    "big-endian": lambda x: x.astype(">f4"),
    "big-endian Fortran order": lambda x: np.asfortranarray(x.astype(">f8")),
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape),
    "read-only": read_only,
    "float16": lambda x: x.astype(np.float16),
    "memory map": None,
    "subclass": lambda x: np.asfortranarray(x).view(Named),
    "nothing masked": lambda x: np.ma.masked_array(np.asfortranarray(x)),
}


@pytest.fixture(params=LAYOUTS)
def array(request, tmp_path):
    """[4, 3, 5] in some layout."""
    if request.param == "memory map":
        np.save(tmp_path / "mapped.npy", np.asfortranarray(VALUES))
        return np.load(tmp_path / "mapped.npy", mmap_mode="r")
    return LAYOUTS[request.param](VALUES)


def first_split(store):
    return store.split("train").features("m")[0].numpy()


def by_write_store(x, path):
    return first_split(cmg.write_store(path / "store", {"m": x}))


def by_writer(x, path, **how):
    spec = FeatureSpec(kind="vectors", shape=(5,), dtype=x.dtype.newbyteorder("=").name, **how)
    with StoreWriter(path / "store", {"m": spec}) as writer:
        for i, clip in enumerate(x):
            writer.add(Clip(str(i), "train", {"m": clip}))
    return first_split(cmg.open_clips(path / "store"))


def by_compact_writer(x, path):
    return by_writer(x, path, encoding="compact")


def by_import(x, path):
    with (path / "list.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "m"])
        for i, clip in enumerate(x):
            np.save(path / f"{i}.npy", np.asarray(clip))
            rows.writerow([i, f"{i}.npy"])
    return first_split(import_arrays(path / "list.csv", path / "store"))


def by_vectors(x, path):
    found = PromptVectors({str(i): row for i, row in enumerate(x)}, [])
    write_vectors(path / "vectors.safetensors", found)
    return np.stack(list(read_vectors(path / "vectors.safetensors").vectors.values()))


def by_batch(x, path):
    return cmg.Batch({"m": x}).features["m"].numpy()


DOORS = [by_write_store, by_writer, by_compact_writer, by_import, by_vectors, by_batch]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("door", DOORS)
def test_what_is_read_equals_what_was_given(door, array, tmp_path):
    found = door(array, tmp_path)
    assert found.shape == (4, 3, 5)
    np.testing.assert_array_equal(found, np.asarray(array))


@pytest.mark.parametrize("door", [by_write_store, by_writer, by_vectors, by_batch])
def test_masked_values_are_no_data(door, tmp_path):
    masked = np.ma.masked_less(VALUES, 0.0)
    with pytest.raises(DataError, match=r"masked values; fill them with \.filled"):
        door(masked, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == []


TENSORS = {
    "transposed": lambda x: x.T.contiguous().T,
    "expanded": lambda x: x[:1].expand(4, 5),
    "every second": lambda x: x.repeat_interleave(2, 1)[:, ::2],
    "part of a larger one": lambda x: torch.cat([x, x])[4:],
    "half": lambda x: x.half(),
    "with a gradient": lambda x: x.clone().requires_grad_(),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_any_layout_are_kept(name, tmp_path):
    x = TENSORS[name](torch.from_numpy(VALUES[:, 0].copy()))
    module = nn.Module()
    module.register_buffer("x", x.detach())
    write_tensors(tmp_path / "m.safetensors", flat(module))
    assert torch.equal(load_file(tmp_path / "m.safetensors")["x"], x)
    gallery = Represented(
        "mean", x.detach(), torch.ones(1, dtype=torch.int64).expand(4), tuple("abcd")
    )
    StoredGallery(gallery, "m", "test", "s", "ab").save(tmp_path / "g.safetensors")
    assert torch.equal(StoredGallery.load(tmp_path / "g.safetensors").gallery.vectors, x.float())


def test_arrays_are_copied_only_where_they_must_be():
    assert np.shares_memory(plain(VALUES), VALUES)
    assert plain(np.float64(3)).shape == ()
    assert plain(VALUES[:0]).shape == (0, 3, 5)
    assert np.shares_memory(tensor_of(VALUES).numpy(), VALUES)
    tensor = torch.ones(2)
    assert tensor_of(tensor) is tensor
    assert tensor_of([[1.0, 2.0]]).dtype == torch.float32
    assert tensor_of(np.arange(3)[::-1]).tolist() == [2, 1, 0]
