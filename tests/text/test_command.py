"""``cmg data embed-prompts``, through the program's entry point."""

import json

import numpy as np
import pytest

from cmg.text.vectors import read_vectors

CSV = 'label,prompt\n"guitar, man",a man is playing a guitar\nbark,barking\n'


@pytest.fixture
def run(cmg, monkeypatch, tmp_path):
    """Run `cmg data embed-prompts prompts.csv ARGS`: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.csv").write_text(CSV)
    return lambda *args: cmg("data", "embed-prompts", "prompts.csv", *args)


def test_the_table_tells_words_survivors_and_warnings(run, bert, cnt, tmp_path):
    code, out, err = run("--out", "p.safetensors", "--encoder", bert, "--cnt", cnt("a", "man"))
    assert (code, err) == (0, "")
    (row,) = [line for line in out.splitlines() if "guitar, man" in line]
    cells = [cell.strip() for cell in row.strip("│┃").split("│")]
    assert cells == ["guitar, man", "a man is playing a guitar", "6", "3", "no", "a man a"]
    assert "warning: 'bark': no word of 'barking' survives" in out
    assert "p.safetensors: vectors [2, 10, 32]" in out


def test_json_has_the_same_and_the_file_the_vectors(run, bert, cnt, tmp_path):
    kept = cnt("a", "man")
    code, out, err = run("--out", "p.safetensors", "--encoder", bert, "--cnt", kept, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["shape"] == [2, 10, 32]
    assert told["filter"] == "published"
    assert told["prompts"][0] == {
        "label": "guitar, man",
        "prompt": "a man is playing a guitar",
        "words": ["a", "man", "is", "playing", "a", "guitar"],
        "survivors": 3,
        "kept": ["a", "man", "a"],
        "dropped": ["is", "playing", "guitar"],
        "truncated": False,
    }
    assert told["warnings"] == ["'bark': no word of 'barking' survives; its vectors are all zero"]
    found = read_vectors(tmp_path / "p.safetensors")
    assert list(found.vectors) == ["guitar, man", "bark"]
    assert np.linalg.norm(found.vectors["guitar, man"], axis=1).astype(bool).sum() == 3
    assert found.origin["encoder"] == told["encoder_sha256"]


def test_the_environments_encoder_and_no_filter(run, bert, monkeypatch, tmp_path):
    monkeypatch.setenv("CMG_TEXT_ENCODER", str(bert))
    code, _, _ = run("--out", "p.safetensors", "--filter", "none")
    assert code == 0
    found = read_vectors(tmp_path / "p.safetensors")
    assert [report.survivors for report in found.reports] == [6, 1]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--filter", "none"], "no text encoder; looked at $CMG_TEXT_ENCODER"),
        (["--encoder", "BERT"], "needs --cnt cnt.pkl"),
        (["--encoder", "BERT", "--cnt", "x.pkl", "--filter", "none"], "has no use"),
        (["--encoder", "BERT", "--cnt", "x.pkl"], "cannot read x.pkl"),
        (["--encoder", "nowhere", "--filter", "none"], "no text encoder 'nowhere'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(run, bert, tmp_path, args, says):
    code, out, err = run("--out", "p.safetensors", *(bert if a == "BERT" else a for a in args))
    assert (code, out) == (2, "")
    assert says in err
    assert not (tmp_path / "p.safetensors").exists()


def test_the_suffix_of_the_output_is_checked_first(run, bert):
    code, _, err = run("--out", "p.npz", "--encoder", bert, "--filter", "none")
    assert code == 2
    assert "must end in .safetensors" in err
