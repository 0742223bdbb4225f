"""Every command that reads codes, on models of every kind of quantizer."""

import itertools
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cmg.config.load import load_config, validate
from cmg.data.inmemory import write_store
from cmg.data.store import open_store
from cmg.errors import ConfigError
from cmg.evaluation.encoding import encode_split
from cmg.evaluation.probe import Evaluation
from cmg.recipes.evaluate import evaluate_reads
from cmg.recipes.known_clips import known_clips
from cmg.recipes.media_codes import code_steps
from cmg.recipes.pretrain import pretrain
from cmg.recipes.retrieval import evaluate_retrieval
from cmg.recipes.two_stage import JoinOptions, join, joined_model
from cmg.retrieval.representation import ALL_BY, represent
from cmg.runs.checkpoint import load_model, read_checkpoint
from cmg.segmentation.queries import CodeQueries

KINDS = {
    "tied": ["model.codebook.kind=tied", "model.codebook.heads=row"],
    "residual": ["model.codebook.kind=residual", "model.codebook.levels=3"],
    "product": ["model.codebook.kind=product", "model.codebook.groups=2"],
    "fsq": ["model.codebook.kind=fsq", "model.codebook.levels=[4, 3]"],
    "residual-vq": ["model.codebook.kind=residual-vq"],
    "none": ["model.codebook.kind=none"],
}
LEVELS = {"tied": (), "residual": (3,), "product": (2,), "fsq": (), "residual-vq": (2,)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def store(root):
    rng = np.random.default_rng(0)
    kinds = [i % 2 for i in range(24)]
    features = {
        m: [rng.normal(2.0 * k, 0.5, (1 + (i + n) % 3, w)) for i, k in enumerate(kinds)]
        for n, (m, w) in enumerate({"audio": 5, "video": 6, "touch": 4}.items())
    }
    return write_store(
        root / "store",
        {m: [x.astype(np.float32) for x in xs] for m, xs in features.items()},
        split=["train"] * 12 + ["test"] * 12,
        labels={"kind": [("cat", "dog")[k] for k in kinds]},
    )


@pytest.fixture(scope="module")
def runs(root, store, small):
    """A run of two modalities per kind."""
    made = {}
    for kind, overrides in KINDS.items():
        off = ["objectives.commitment=null"] if kind == "none" else []
        off += ["objectives.cmcm=null", "objectives.club=null", "objectives.reconstruction=null"]
        two = ["method=full", "data.modalities=[audio,video]", f"data.store={root / 'store'}"]
        unsized = kind in ("none", "fsq")
        sized = [x for x in small if "codebook" not in x] if unsized else small
        pretrain(
            load_config(
                "own-data", ["method=full", *two, *sized, "training.epochs=1", *off, *overrides]
            ),
            root / kind,
        )
        made[kind] = root / kind
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_read_as_it_was(runs, kind):
    config = read_checkpoint(runs[kind]).config
    assert config.model.codebook.kind == kind
    assert validate(config.model_dump(mode="json"), "again") == config
    assert load_model(runs[kind]).codebook.kind == kind


@pytest.mark.parametrize("kind", LEVELS)
def test_encoded_files_hold_what_the_model_says(cmg, runs, root, kind):
    model, opened = load_model(runs[kind]), open_store(root / "store")
    split = opened.split("test")
    for suffix in ("jsonl", "safetensors"):
        out = root / f"{kind}.{suffix}"
        assert cmg("encode", root / "store", "--model", runs[kind], "--out", out).code == 0
    encoded = encode_split(model, split)
    rows = [json.loads(line) for line in (root / f"{kind}.jsonl").read_text().splitlines()][12:]
    kept = load_file(root / f"{kind}.safetensors")
    for m, one in encoded.items():
        assert one.indices.shape[2:] == LEVELS[kind]
        assert torch.equal(kept[m][12:], one.indices)
        assert rows[3]["codes"][m] == one.indices[3][one.mask[3]].tolist()
        torch.testing.assert_close(model.decode({m: one.indices})[m], one.codes)
        assert one.codes.shape[2] == model.codebook.width


def test_clips_are_compared_by_the_codes_of_each_level(runs, store):
    """A histogram of levels is that of each, side by side; a continuous model has z alone."""
    encoded = encode_split(load_model(runs["residual"]), store.split("test"))["audio"]
    ids = store.split("test").ids
    found = represent(encoded, "codes", 8, ids).vectors
    counts = torch.zeros(12, 24, dtype=torch.float64)
    for clip, level in itertools.product(range(12), range(3)):
        for code in encoded.indices[clip, :, level][encoded.mask[clip]].tolist():
            counts[clip, 8 * level + code] += 1
    torch.testing.assert_close(found, torch.nn.functional.normalize(counts, dim=1))
    for kind in LEVELS:
        assert evaluate_retrieval([runs[kind]]).scores.keys() == set(ALL_BY)
    with pytest.raises(ConfigError, match="no codes to compare by 'mean'; use --by continuous"):
        evaluate_retrieval([runs["none"]], by=["mean"])
    assert evaluate_retrieval([runs["none"]], by=["continuous"]).scores["continuous"]


@pytest.mark.parametrize("kind", ["residual", "none"])
def test_report(cmg, runs, store, kind):
    assert cmg("report", runs[kind]).code == 0
    page = (runs[kind] / "report.html").read_text()
    text = (runs[kind] / "report.md").read_text()
    assert "Codes over time" not in page
    assert ("Code usage" in page) == ("Code usage" in text) == (kind != "none")
    if kind == "residual":
        names = {f"{level}.{code}" for level in (1, 2, 3) for code in range(8)}
        drawn = {name for name in names if f">{name}</span>" in page}
        assert drawn == names
        model, split = load_model(runs[kind]), store.split("test")
        one = encode_split(model, split)
        steps = [tuple(x) for m in one.values() for x in m.indices[m.mask].tolist()]
        assert f"| all, as tuples | {len(set(steps))} |" in text  # fewer than a thousand tokens


def test_report_of_a_single_level_has_timelines(cmg, root, small):
    off = ["objectives.club=null", "objectives.reconstruction=null", "training.epochs=1"]
    one = [
        "model.codebook.kind=residual",
        "model.codebook.levels=1",
        f"data.store={root / 'store'}",
    ]
    pretrain(load_config("own-data", ["method=full", *small, *off, *one]), root / "one-level")
    said = cmg("report", root / "one-level")
    assert said.code == 0, said.err
    assert "Codes over time" in (root / "one-level" / "report.html").read_text()


@pytest.mark.parametrize("kind", ["residual", "product", "none"])
def test_what_needs_one_code_per_step_says_so(runs, store, kind):
    model, opened = load_model(runs[kind]), store
    told = "continuous" if kind == "none" else f"{model.codebook.levels} levels of codes"
    for call in (
        lambda: code_steps(model, {"audio": torch.zeros(2, 5)}, "clip"),
        lambda: known_clips(model, runs[kind], opened, "train"),
        lambda: CodeQueries(model, opened, "audio", 6, 0.5).vectors([opened.rows[0].id], 1),
    ):
        with pytest.raises(ConfigError, match=told):
            call()


@pytest.mark.parametrize("kind", LEVELS)
def test_queries_are_the_vectors_of_their_codes(runs, store, kind):
    model, opened = load_model(runs[kind]), store
    ids = [row.id for row in opened.rows]
    found = CodeQueries(model, opened, "video", 6).vectors(ids)
    assert found.shape == (24, 6, model.codebook.width)
    for split, rows in (("train", found[:12]), ("test", found[12:])):
        encoded = encode_split(model, opened.split(split))["video"]
        torch.testing.assert_close(rows[:, 0], encoded.codes[:, 0])


def test_a_modality_joins_levels_but_no_tied_rows(runs, store):
    opened = store
    model = joined_model(load_model(runs["residual"]), opened, "touch", 0)
    before = model.codebook.table("touch")
    losses = join(model, opened.split("train"), "audio", "touch", JoinOptions(epochs=3), 0)
    assert np.isfinite(losses).all()
    assert torch.equal(model.codebook.table("touch"), before)
    assert torch.equal(before, load_model(runs["residual"]).codebook.table("audio"))
    for kind, told in (("tied", "codes of its own for every modality"), ("none", "continuous")):
        with pytest.raises(ConfigError, match=told):
            joined_model(load_model(runs[kind]), opened, "touch", 0)


@pytest.mark.parametrize("kind", KINDS)
def test_none_of_them_has_an_official_form(cmg, runs, root, kind):
    said = cmg("convert", runs[kind], "--to-official", root / f"{kind}.pt")
    assert said.code != 0
    assert f"a codebook of kind {kind}" in said.err


# ---- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.codebook.levels=3"], "levels is an option of kind residual"),
        (["model.codebook.kind=none", "model.codebook.size=4"], "size is an option of kind shared"),
        (["model.codebook.kind=tide"], "did you mean 'tied'"),
        (["model.codebook.kind=product", "model.codebook.grops=4"], "model.codebook.groups"),
        (
            ["model.codebook.kind=product", "model.codebook.groups=0"],
            "codebook.groups: .*at least|than",
        ),
    ],
)
def test_options_of_kinds_are_checked(overrides, said):
    with pytest.raises(ConfigError, match=said):
        load_config("digits", overrides)


def test_a_change_of_kind_keeps_what_both_have():
    """The preset's own size stays; what the new kind lacks goes with the old one."""
    book = load_config("digits", ["model.codebook.kind=residual"]).model.codebook
    assert (book.size, book.levels, book.ema.decay) == (64, 2, 0.95)
    assert load_config("digits", ["model.codebook.kind=none"]).model.codebook.model_dump() == {
        "kind": "none"
    }
    tree = load_config("digits").model_dump(mode="json")
    del tree["model"]["codebook"]["kind"], tree["model"]["codebook"]["distance"]
    assert validate(tree, "an old run") == load_config("digits")


def test_a_continuous_model_of_the_default_is_told_what_to_contrast(cmg, store, root, tmp_path):
    """The remedies that are named are enough."""
    args = ["pretrain", f"data={root / 'store'}", "data.modalities=[audio,video]"]
    args += ["model.codebook.kind=none", "training.epochs=1", "training.tensorboard=false"]
    said = cmg(*args, "--out", tmp_path / "run")
    assert said.code == 2
    remedies = said.err.partition("none; set ")[2].split()
    assert remedies == [
        "objectives.commitment=null",
        "objectives.clip_info_nce.of=[features]",
        "objectives.step_info_nce.of=[features]",
    ]
    assert cmg(*args, *remedies, "--out", tmp_path / "run").code == 0


def test_reads_that_are_the_same_are_fitted_once(runs, monkeypatch):
    config = read_checkpoint(runs["tied"]).config
    fitted, transfer = [], Evaluation.transfer

    def counted(self, label, options, *rest, **more):
        fitted.append(options.features)
        return transfer(self, label, options, *rest, **more)

    monkeypatch.setattr(Evaluation, "transfer", counted)
    hard, z = (config.probe.model_copy(update={"features": x}) for x in ("codes", "continuous"))
    one, other, again = evaluate_reads(load_model(runs["tied"]), config, [hard, z, hard], 0)
    assert fitted == ["codes", "continuous"]
    assert again.transfer == one.transfer != {}
    assert other.transfer == one.controls["continuous"]
