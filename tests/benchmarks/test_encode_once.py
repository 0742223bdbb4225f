"""The benchmarks of the evaluation: that they run, and what they write; never times."""

import json

import pytest

from benchmarks import encode_once, evaluation_memory


@pytest.mark.slow
def test_both_ways_are_measured(tmp_path, monkeypatch, capsys):
    small(monkeypatch)
    file = tmp_path / "found.json"
    arguments = ["encode_once", "--clips", "60", "--epochs", "1", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", [*arguments, "--json", str(file)])
    encode_once.main()
    found = json.loads(file.read_text())
    for clock in ("wall_s", "cpu_s"):
        whole = found["each_epoch_timed"][clock] * encode_once.EPOCHS
        assert abs(found["each_epoch"][clock] - whole) < 1e-9
        assert abs(found["ratio"][clock] * found["encode_once"][clock] - whole) < 1e-9
    assert "encoding once, the whole run" in capsys.readouterr().out


@pytest.mark.slow
def test_memory_is_measured_for_both_protocols(monkeypatch):
    small(monkeypatch)
    found = evaluation_memory.measure(60, 1)
    assert found["clips"] == 60 + 2 * encode_once.CLASSES
    assert all(0 <= found[protocol] < 2048 for protocol in ("clean", "published"))


def small(monkeypatch):
    """Few tiles and epochs."""
    monkeypatch.setattr(encode_once, "TILE", 24)
    monkeypatch.setattr(encode_once, "EPOCHS", 2)
