"""A run made into a folder for others and onto a hub, and taken from there as a run is."""

import json

import pytest
import torch
from tests.sharing.fake_hub import TOKEN, serve

import cmg as toolkit
from cmg.errors import CheckpointError
from cmg.files import file_sha256

PROBE = ("--train-on", "audio", "--test-on", "video", "probe.epochs=2", "--json")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub that the client talks to, with an empty cache and a token."""
    from huggingface_hub import constants

    server = serve()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()


def batch(model, seed=0):
    """Random features of every modality, of a model."""
    chance = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(3, 4, *one.shape, generator=chance) for m, one in model.modalities.items()
    }


def same_codes(one, other):
    """Whether two models give the same codes."""
    own, others = one.encode(batch(one)), other.encode(batch(one))
    return all(torch.equal(own[m], others[m]) for m in own) and own.keys() == others.keys()


def test_an_export_is_whole_small_and_a_run_to_every_reader(run, exported, cmg, tmp_path):
    files = {path.name: path.stat().st_size for path in exported.iterdir()}
    wanted = {"checkpoint.json", "model.safetensors", "run.json", "results.json", "README.md"}
    assert set(files) == wanted
    assert sum(files.values()) < 3e6
    assert same_codes(toolkit.load(run), toolkit.load(exported))
    own, others = (cmg("probe", "--model", model, *PROBE) for model in (run, exported))
    assert own.code == others.code == 0, others.err
    assert others.json["transfer"] == own.json["transfer"]
    assert others.json["upper_bound"] == own.json["upper_bound"]
    codes = [tmp_path / "own.jsonl", tmp_path / "others.jsonl"]
    for model, out in zip((run, exported), codes, strict=True):
        assert cmg("encode", "digits", "--model", model, "--out", out, "--split", "test").code == 0
    assert file_sha256(codes[0]) == file_sha256(codes[1])
    again = cmg("export", exported, tmp_path / "again")
    assert again.code == 0, again.err
    for name in ("run.json", "results.json", "checkpoint.json"):
        assert json.loads((tmp_path / "again" / name).read_text()) == json.loads(
            (exported / name).read_text()
        )


def test_the_card_says_what_a_reader_needs(exported):
    card = (exported / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "cmg-torch"\n')
    for said in ("CC BY 4.0", "cmg.load(", "chance", "zero, one, two", "audio → video"):
        assert said in card
    results = json.loads((exported / "results.json").read_text())
    mean = results["transfer"]["audio->video"]["mean"]
    assert f"{mean:.1f}" in card


def test_what_an_export_cannot_do_is_refused_with_the_remedy(exported, cmg):
    said = cmg("pretrain", "--out", exported, "--resume")
    assert said.code == 2
    assert "which nothing trains on from: go on with the run that it was made of" in said.err
    said = cmg("baselines", "hub:me/digits")
    assert said.code == 2
    assert "make a folder of it with `cmg export hub:me/digits DIR`" in said.err
    said = cmg("report", "hub:me/digits")
    assert said.code == 2
    assert "say --out DIR" in said.err


def test_a_hub_gives_back_what_it_was_given(hub, run, cmg, monkeypatch):
    from huggingface_hub import constants

    said = cmg("export", run, "hub:me/digits", "--private", "--message", "First", "--json")
    assert said.code == 0, said.err
    where, _, commit = said.json["where"].partition("@")
    assert (where, hub.private, hub.messages) == ("hub:me/digits", {"me/digits": True}, ["First"])
    assert [f for f in hub.commits[commit] if f.endswith(".safetensors")] == ["model.safetensors"]
    own = cmg("probe", "--model", run, *PROBE)
    others = cmg("probe", "--model", f"hub:me/digits@{commit}", *PROBE)
    assert others.code == 0, others.err
    assert others.json["transfer"] == own.json["transfer"]
    assert others.json["upper_bound"] == own.json["upper_bound"]
    beside = cmg("compare", run, "hub:me/digits", "--json")
    assert beside.code == 0, beside.err
    assert [row["name"] for row in beside.json["rows"]] == ["run_to_share", "hub:me/digits"]
    model = toolkit.load("hub:me/digits")
    hub.asked.clear()
    assert same_codes(model, toolkit.load(f"hub:me/digits@{commit}"))
    assert hub.asked == []  # a commit that is in the cache is not asked for
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    assert same_codes(model, toolkit.load("hub:me/digits"))  # no network: the cache
    found = toolkit.UnifiedModel.from_pretrained("me/digits", local_files_only=True)
    assert same_codes(model, found)
    assert hub.asked == []
    with pytest.raises(CheckpointError, match=r"hub:me/other: the hub cannot be reached"):
        toolkit.load("hub:me/other")
    said = cmg("export", run, "hub:me/digits")
    assert said.code == 2
    assert "cannot upload to hub:me/digits: the hub cannot be reached" in said.err


def test_a_model_alone_goes_to_a_hub_and_to_a_branch_of_it(hub, run, tmp_path):
    model = toolkit.load(run)
    first = model.push_to_hub("me/alone")
    hub.messages.clear()
    with torch.no_grad():
        next(model.semantic.parameters()).mul_(3.0)
    at = model.push_to_hub("me/alone", branch="louder", commit_message="Louder")
    assert hub.messages == ["Louder"]
    from_branch = toolkit.UnifiedModel.from_pretrained("me/alone", revision="louder")
    assert same_codes(model, from_branch)
    assert same_codes(model, toolkit.load(at))
    assert not same_codes(model, toolkit.load(first))
    model.save_pretrained(tmp_path / "saved")
    assert same_codes(model, toolkit.UnifiedModel.from_pretrained(tmp_path / "saved"))
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "unshared:unknown" in card  # it does not claim any data


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("hub:me/none", "there is no such model, or it is private"),
        ("hub:me/there@gone", "there is no such revision"),
        ("hub:nobody", "is no address of a model; it reads hub:OWNER/NAME"),
    ],
)
def test_what_is_not_on_a_hub_is_told(hub, run, cmg, address, said):
    toolkit.export(run, "hub:me/there")
    found = cmg("encode", "digits", "--model", address, "--out", "codes.jsonl")
    assert found.code == 2
    assert said in found.err


def test_a_hub_that_wants_a_token_says_how_to_log_in(hub, run, cmg, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    said = cmg("export", run, "hub:me/digits")
    assert said.code == 2
    assert "the hub wants a token that may do this; log in with `hf auth login`" in said.err
    assert hub.repos == {}


def test_no_checkpoint_and_an_occupied_folder_are_refused(run, cmg, tmp_path):
    said = cmg("export", tmp_path / "none", tmp_path / "out")
    assert said.code == 2
    assert "does not exist; give a run folder" in said.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("kept")
    for more in ([], ["--overwrite"]):
        said = cmg("export", run, tmp_path / "full", *more)
        assert said.code == 2
        assert "not empty" in said.err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert not list(tmp_path.glob(".*"))


def test_no_path_of_this_machine_goes_out(private, cmg, tmp_path):
    out, run, store = tmp_path / "out", private / "run", private / "private place"
    said = cmg("export", run, out)
    assert said.code == 2
    assert f"run.json, notes names '{private}/takes" in said.err
    assert "say other notes with --notes TEXT" in said.err
    assert not out.exists()
    said = cmg("export", run, out, "--notes", "My <b>own</b> takes, https://x.org/a/b, and/or more")
    assert said.code == 0, said.err
    everything = b"".join(path.read_bytes() for path in sorted(out.iterdir()))
    assert str(private).encode() not in everything
    assert b"private place" not in everything
    card = (out / "README.md").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in card
    assert "<script>" not in card
    assert "<b>" not in card
    said = cmg("probe", "--model", out, "--train-on", "audio", "--test-on", "text")
    assert said.code == 2
    assert "exported without the clips that it was trained on; name a store" in said.err
    data = ("--data", store)
    said = cmg("probe", "--model", out, "--train-on", "audio", "--test-on", "text", *data)
    assert said.code == 0, said.err
