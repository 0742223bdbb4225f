"""Writing a simulation: what is repeated, replaced, told and refused."""

import functools
import hashlib
from pathlib import Path

import pytest

from cmg.errors import ConfigError
from cmg.simulate import SimulateOptions, simulate


@pytest.fixture
def few(lists, small_options):
    """Options of a simulation of very few clips."""
    return functools.partial(small_options, lists=lists)


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_any_number_of_workers_writes_the_same_bytes(few, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    simulate(one, few())
    simulate(two, few(workers=2))
    assert digests(one) == digests(two)


def test_another_seed_writes_other_features_for_the_same_lists(few, tmp_path):
    simulate(tmp_path / "first", few())
    simulate(tmp_path / "second", few(seed=1))
    first, second = digests(tmp_path / "first"), digests(tmp_path / "second")
    assert first.keys() == second.keys()
    same = {name for name in first if first[name] == second[name]}
    assert all(
        name.endswith((".csv", ".txt", ".json", ".h5", "cnt.pkl")) or "label" in name
        for name in same
    )
    assert "AVE-ECCV18-master/data/visual_feature.h5" not in same
    assert "vggsound40k/data/vggsound-avel40k.csv" in same


def test_progress_is_told_of_every_clip(tmp_path, few):
    told = []
    summary = simulate(tmp_path / "out", few(), lambda done, total: told.append((done, total)))
    assert told[-1] == (summary.clips, summary.clips)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_an_occupied_folder_is_refused_and_only_a_simulation_is_replaced(few, tmp_path):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("dear")
    for options in (few(), few(overwrite=True)):
        with pytest.raises(ValueError, match="not empty"):
            simulate(other, options)
    assert (other / "thesis.txt").read_text() == "dear"
    root = tmp_path / "old"
    root.mkdir()
    (root / "simulation.json").write_text("{}")
    (root / "stale").write_text("x")
    with pytest.raises(ValueError, match="replace it with --overwrite"):
        simulate(root, few())
    simulate(root, few(overwrite=True))
    assert not (root / "stale").exists()
    assert (root / "cnt.pkl").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists", "mine", "old"]


def test_nothing_is_left_where_writing_fails(tmp_path, few, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cmg.simulate.jobs.write_zip", fail)
    with pytest.raises(ValueError, match="No space left on device"):
        simulate(tmp_path / "out", few())
    assert [path.name for path in tmp_path.iterdir()] == ["lists"]


def test_without_h5py_the_remedy_is_named(tmp_path, monkeypatch, few):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ConfigError, match=r"pip install 'cmg-torch\[official\]'"):
        simulate(tmp_path / "out", few())
    assert [path.name for path in tmp_path.iterdir()] == ["lists"]


def test_options_of_the_python_interface_are_checked_when_made():
    with pytest.raises(ConfigError, match="unknown modality 'depth'"):
        SimulateOptions(widths={"depth": 8})
    assert SimulateOptions(widths={"video": 64}).all_widths == {
        "audio": 128,
        "video": 64,
        "text": 768,
    }
    assert SimulateOptions(lists=Path("x")).lists == Path("x")
