import shutil

import pytest

from cmg.errors import CheckpointError, DataError
from cmg.report.run import write_report


def test_no_run(tmp_path):
    with pytest.raises(CheckpointError, match=r"nothing does not exist; give a run folder of"):
        write_report(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match=r"holds no cmg run and no cmg demo; give"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unfinished_run(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {}\n")
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        write_report(tmp_path)


def test_unfinished_demo(demo, tmp_path):
    shutil.copytree(demo / "seed-0", tmp_path / "seed-0")
    with pytest.raises(DataError, match=r"no results\.json: the demo did not finish"):
        write_report(tmp_path)


def test_damaged_files(labeled, tmp_path):
    shutil.copytree(labeled, tmp_path / "run")
    (tmp_path / "run" / "results.json").write_text("{}")
    with pytest.raises(DataError, match=r"results\.json"):
        write_report(tmp_path / "run")
    shutil.copy(labeled / "results.json", tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"run\.json is missing or damaged"):
        write_report(tmp_path / "run")


def test_missing_store(labeled, root):
    (root / "store").rename(root / "moved")
    try:
        with pytest.raises(DataError, match="needs the store it was trained on: no store at"):
            write_report(labeled)
    finally:
        (root / "moved").rename(root / "store")


def test_unwritable_target_is_left_alone(labeled, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="cannot write"):
        write_report(labeled, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
