"""The simulated stores of ``benchmarks.manifest`` are stores, and what it tells of them."""

import json

import numpy as np
import pytest

from benchmarks import manifest
from cmg.data import StoreWriter, open_store, verify_store


@pytest.mark.parametrize("clips", [1, 130])
def test_bulk_stores_are_those_of_the_writer(tmp_path, monkeypatch, clips):
    monkeypatch.setattr(manifest, "AT_ONCE", 64)
    manifest.write_bulk(tmp_path / "bulk", clips)
    with StoreWriter(tmp_path / "written", manifest.SPECS, manifest.LABELS) as writer:
        for clip in manifest.simulated_clips(clips):
            writer.add(clip)
    written = {
        p.relative_to(tmp_path / "written"): p.read_bytes()
        for p in (tmp_path / "written").rglob("*")
        if p.is_file()
    }
    assert len(written) == 5
    for file, data in written.items():
        assert (tmp_path / "bulk" / file).read_bytes() == data
    manifest.as_version_1(tmp_path / "bulk", tmp_path / "old")
    assert verify_store(tmp_path / "bulk") == verify_store(tmp_path / "old") == []
    assert list(open_store(tmp_path / "bulk").rows) == list(open_store(tmp_path / "old").rows)


def test_a_simulated_clip_by_hand(tmp_path):
    manifest.write_bulk(tmp_path / "bulk", 1100)
    store = open_store(tmp_path / "bulk")
    assert store.splits == {"test": 110, "train": 990}
    x, lengths = store.features("audio", np.array([1025]))
    assert x.tolist() == [[[1.0, 1.0]]]
    assert lengths.tolist() == [1]
    x, lengths = store.features("sensor", np.array([1025, 3, 4]))
    assert x[..., 0].tolist() == [[21, 21], [0, 0], [4, 0]]  # 1025 = 4 * 251 + 21
    assert lengths.tolist() == [2, 0, 1]
    assert store.rows[1025].labels == {"kind": 3}


@pytest.mark.slow
def test_it_measures_in_fresh_processes_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "found.json"
    manifest.main(["--sizes", "200", "300", "--turns", "1", "--json", str(file)])
    assert "| 300 | columns | 0 |" in capsys.readouterr().out
    figures = json.loads(file.read_text())["figures"]
    kinds = [f"{n} clips, {kind}" for n in (200, 300) for kind in ("columns", "version 1")]
    labels = ["open", "first batch", "later batch", "bookkeeping", "memory"]
    assert sorted(figures) == sorted(f"{kind}: {label}" for kind in kinds for label in labels)
    for name, figure in figures.items():
        assert figure["unit"] == ("MB" if name.endswith("memory") else "ms")
        assert figure["value"] >= 0
    for kind in kinds:
        assert figures[f"{kind}: open"]["value"] < figures[f"{kind}: first batch"]["value"]
    assert list((tmp_path / "temporary").iterdir()) == []
    manifest.main(["--sizes", "300", "--turns", "1", "--keep", str(tmp_path / "kept")])
    assert len(open_store(tmp_path / "kept" / "300-clips")) == 300
