"""Both forms of CoDAAR on a tiny store with clips of different lengths that lack modalities."""

import pytest
import torch

from cmg.config.load import load_config
from cmg.recipes.evaluate import evaluate_transfer
from cmg.recipes.pretrain import prepare, pretrain
from cmg.runs.checkpoint import load_model, training_tensors
from cmg.runs.folder import read_metrics

FORMS = ("codaar", "codaar-as-coded")
SMALL = [
    *("model.width=8", "model.temporal.hidden=16", "model.codebook.size=12"),
    "model.detail_width={audio: 8, video: 6, text: 8}",
    "model.token_hidden={text: 4}",
    *("data.batch_size=6", "training.epochs=2", "training.threads=1"),
    *("training.tensorboard=false", "training.precision=float64", "probe.epochs=1"),
]


@pytest.fixture
def config_of(tiny_store):
    def make(form, modalities):
        told = [f"data.store={tiny_store}", f"data.modalities=[{','.join(modalities)}]"]
        return load_config("own-data", [*told, *SMALL], method=form)

    return make


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "modalities", [("video", "audio"), ("audio", "text"), ("video", "audio", "text")]
)
def test_it_trains_and_heads_read_rows(config_of, tmp_path, form, modalities):
    config, run = config_of(form, modalities), tmp_path / "run"
    trained = pretrain(config, run)
    model = load_model(run)
    book = model.codebook
    assert book.codes.shape == (len(modalities), 12, 8)
    assert book.width == 8 * len(modalities)
    state = trained.state.model.state_dict()
    assert all(torch.equal(x, model.state_dict()[n]) for n, x in state.items())
    assert bool(book.codes.isfinite().all())
    steps = read_metrics(run)
    terms = {"reconstruction", "commitment", "cross_cpc", "cmcm"}
    logged = {key.split("/")[1] for key in steps[-1] if key.startswith("loss/")}
    assert logged - {"same_step_nce", "total"} == terms
    assert steps[-1]["segment_contrast"] > 0
    if form == "codaar":  # as coded, rows that one modality alone picks explode: N starts at 0
        assert steps[-1]["loss/total"] < steps[0]["loss/total"]
        assert book.codes.abs().max() < 10.0
    scores = evaluate_transfer(model, config, 0)
    assert f"{modalities[0]}->{modalities[1]}" in scores


@pytest.mark.parametrize("form", FORMS)
def test_stopped_and_resumed_it_has_the_bits_of_an_uninterrupted_run(config_of, tmp_path, form):
    """Running averages of the video path, rows and counts included."""
    config = config_of(form, ("video", "audio", "text"))
    stopped = prepare(config, tmp_path / "stopped")
    stopped.train(stop_after=lambda position: position.step == 5)
    torch.manual_seed(99)
    whole, resumed = pretrain(config), pretrain(config, tmp_path / "stopped", resume=True)
    for state_of in (lambda t: t.state.model.state_dict(), lambda t: training_tensors(t.state)):
        one, other = state_of(whole), state_of(resumed)
        assert [n for n in one if not torch.equal(one[n], other[n])] == []


def test_the_clean_form_is_the_coded_one_without_its_quirks(config_of):
    """Averages restart with their rows, and no count starts at nothing."""
    clean, coded = (config_of(form, ("video", "audio")).model.codebook for form in FORMS)
    assert (clean.reset.reseed_stats, coded.reset.reseed_stats) == (True, False)
    assert (clean.ema.smoothing, coded.ema.smoothing) == (False, True)
    assert (clean.alignment, coded.alignment) == ("mean", "sequential")
    assert clean.heads == coded.heads == "row"
    assert clean.gradient == coded.gradient == "row"
    assert clean.ema.own_weight == coded.ema.own_weight == 3.0
