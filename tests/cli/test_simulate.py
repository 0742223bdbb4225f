"""`cmg data simulate` as a user types it."""

import json

import pytest

SIZES = ("--widths", "video=8,audio=8,text=16", "--map", "2", "--frame-size", "16")


def test_the_command_writes_the_folder_and_says_what_is_in_it(cmg, tmp_path):
    out = tmp_path / "deep" / "official"
    said = cmg(
        "data", "simulate", out, "--fraction", 0.0001, *SIZES, "--seed", 3, "--workers", 1, "--json"
    )
    assert said.code == 0, said.err
    told = said.json
    assert told["path"] == str(out)
    assert told["facts"] == json.loads((out / "simulation.json").read_text())
    assert told["facts"]["seed"] == 3
    assert told["facts"]["counts"]["ave"] == {"train": 56, "val": 56, "test": 56}
    assert told["clips"] == told["facts"]["counts"]["clips"]
    assert told["bytes"] > 1_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fraction", 0), "fraction 0 must lie above 0"),
        (("--fraction", 1.5), "fraction 1.5 must lie above 0"),
        (("--fraction", "nan"), "fraction nan must lie above 0"),
        (("--fraction", 0.1, "--widths", "vidoe=64"), "did you mean 'video'"),
        (("--fraction", 0.1, "--widths", "video"), "must read MODALITY=CHANNELS"),
        (("--fraction", 0.1, "--widths", "video=1.5"), "must read MODALITY=CHANNELS"),
        (("--fraction", 0.1, "--widths", "video=64,video=8"), "each modality once"),
        (("--fraction", 0.1, "--widths", "audio=4"), "audio=4 must be 8 to 65,536"),
        (("--fraction", 0.1, "--widths", "text=999999999"), "text=999999999 must be 8 to 65,536"),
        (("--fraction", 0.1, "--widths", f"text={'9' * 5000}"), "must read MODALITY=CHANNELS"),
        (("--fraction", 0.1, "--map", 2**64), f"map {2**64} must be 2 to 64"),
        (("--fraction", 0.1, "--map", 1), "map 1 must be 2 to 64"),
        (("--fraction", 0.1, "--frame-size", 8), "frame size 8 must be 16 to 1024"),
        (("--fraction", 0.1, "--avs-fraction", 1.5), "avs fraction 1.5 must lie between"),
        (("--fraction", 0.1, "--avs-fraction", "nan"), "avs fraction nan must lie between"),
        (("--fraction", 0.1, "--seed", -1), "seed -1 must be at least 0"),
        (("--fraction", 0.1, "--workers", 0), "workers 0 must be at least 1"),
        (("--fraction", 0.1, "--lists", "nowhere"), "there is no folder nowhere"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(cmg, tmp_path, arguments, message):
    said = cmg("data", "simulate", tmp_path / "out", *arguments)
    assert said.code == 2
    assert message in said.err
    assert list(tmp_path.iterdir()) == []
