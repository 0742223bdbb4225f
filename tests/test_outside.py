"""Objectives of one's own: a plugin works wherever the built-in terms do."""

import sys
from pathlib import Path

import pytest
import torch

from cmg import registry
from cmg.codebook import quantizers
from cmg.config.load import load_config
from cmg.errors import ConfigError, NonFiniteError
from cmg.objectives import Objective, Term, TermOptions, objectives
from cmg.recipes.pretrain import prepare, pretrain
from cmg.registry import PluginError
from cmg.runs.checkpoint import training_tensors
from cmg.runs.folder import read_metrics
from cmg.saved import flat

OUTSIDE = Path(__file__).parent / "outside"
SMALL = [
    "method=light",
    "training.epochs=2",
    "data.fraction=0.15",
    "data.batch_size=20",
    "training.tensorboard=false",
    "probe.epochs=2",
]
OWN = [
    "objectives.clip_nce.weight=0.5",
    "objectives.masked={weight: 0.5, share: 0.2}",
    "objectives.critic.weight=0.1",
]


@pytest.fixture(autouse=True)
def _kept(monkeypatch):
    """Registries, loaded plugins and Python's path are after a test what they were."""
    for parts in (objectives, quantizers):
        monkeypatch.setattr(parts, "entries", dict(parts.entries))
    monkeypatch.setattr(registry._State, "loaded", [])
    monkeypatch.setattr(sys, "path", [str(OUTSIDE), *sys.path])
    yield
    for name in ("outside_terms", "outside_codes"):
        sys.modules.pop(name, None)


@pytest.fixture
def terms():
    registry.use("outside_terms")


def tensors(training):
    return flat(training.state.model) | training_tensors(training.state)


def trained(*more, **options):
    return pretrain(load_config("digits", [*SMALL, *more]), **options)


def test_a_plugin_trains_evaluates_and_is_told_on_the_command_line(cmg, tmp_path):
    run = tmp_path / "run"
    said = cmg("--plugin", "outside_terms", "pretrain", "digits", *SMALL, *OWN, "--out", run)
    assert said.code == 0, said.err
    log = read_metrics(run)[-1]
    wanted = {"loss/clip_nce", "loss/critic", "critic_fit", "loss/cross_cpc"}
    assert wanted | {f"loss/masked/{m}" for m in ("audio", "video", "text")} <= log.keys()
    assert "plugins:\n- outside_terms\n" in (run / "config.yaml").read_text()
    sys.modules.pop("outside_terms")
    objectives.entries = {n: e for n, e in objectives.entries.items() if not e.plugin}
    registry._State.loaded.clear()
    refused = cmg("report", run)
    assert refused.code == 2
    assert "--plugin outside_terms" in refused.err
    assert "outside_terms" not in sys.modules
    said = cmg("report", run, "--plugin", "outside_terms")
    assert said.code == 0, said.err
    page = (run / "report.md").read_text()
    assert "clip InfoNCE" in page
    assert "of all clips the paired one is nearest" in page


@pytest.mark.parametrize(
    ("plugin", "asked", "known"),
    [
        ("outside_codes", ["model.codebook={kind: signs, bits: 5}"], "32"),
        ("outside_terms", [f"method={OUTSIDE / 'continuous.yaml'}"], "clip InfoNCE"),
    ],
)
def test_a_quantizer_and_a_method_without_codes_train_to_their_tables(
    cmg, tmp_path, plugin, asked, known
):
    run = tmp_path / "run"
    small = ["training.epochs=3", "data.fraction=0.3", "training.tensorboard=false"]
    small += ["probe.l2=0.01"]
    said = cmg("pretrain", "digits", *asked, *small, "--out", run, "--plugin", plugin)
    assert said.code == 0, said.err
    said = cmg("report", run, "--plugin", plugin)
    assert said.code == 0, said.err
    page = (run / "report.md").read_text()
    assert known in page
    row = next(line.split("|") for line in page.splitlines() if line.startswith("| audio"))
    assert float(row[2]) > 25  # read on audio itself; chance is 10


def test_a_run_with_plugins_resumes_to_the_bit(terms, tmp_path):
    whole = trained(*OWN, "training.checkpoint_every_steps=2")
    run = tmp_path / "run"
    config = load_config("digits", [*SMALL, *OWN, "training.checkpoint_every_steps=2"])
    prepare(config, run).train(lambda position: position.step == 3)
    resumed = pretrain(config, run, resume=True)
    one, other = tensors(whole), tensors(resumed)
    assert one.keys() == other.keys()
    assert {
        "critic_optimizer.exp_avg.guess.weight",
        "optimizer.exp_avg.objectives.masked.predict.weight",
    } <= set(one)
    assert all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.slow  # ranks and passes are in tests/distributed too
def test_micro_batches_and_passes_change_nothing(terms):
    double = ["training.precision=float64", "training.passes=2", *OWN]
    one = tensors(trained(*double))
    other = tensors(trained(*double, "training.micro_batch=7"))
    predictors = [n for n in one if ".predictors." in n and n.endswith("bias")]
    worst = max(float((one[n] - other[n]).abs().max()) for n in one if n not in predictors)
    assert worst < 1e-9
    once = tensors(trained(*double, "training.passes=1"))
    assert not torch.equal(one["codebook.codes"], once["codebook.codes"])


@pytest.mark.parametrize(
    "kind",
    [
        ["model.codebook={kind: tied, size: 64, heads: row}"],
        ["model.codebook.kind=none", "objectives.cmcm=null", "objectives.commitment=null"],
        ["model.codebook={kind: simvq, size: 16}", "objectives.quantizer_loss={weight: 0.5}"],
    ],
)
def test_micro_batches_rebuild_from_what_heads_of_a_kind_are_given(kind):
    brief = ["training.epochs=1", "training.precision=float64", "objectives.reconstruction={}"]
    brief += ["data.fraction=0.05"]
    one, other = (
        tensors(trained(*brief, *kind, *more)) for more in ([], ["training.micro_batch=7"])
    )
    assert max(float((one[n] - other[n]).abs().max()) for n in one) < 1e-9


def test_the_control_of_fixed_encoders_fits_nothing_in_any_pass():
    more = ["training.epochs=1", "training.codebook_only=true", "objectives.club.weight=0.1"]
    once, twice = (trained(*more, f"training.passes={n}").state for n in (1, 2))
    assert torch.equal(
        *(flat(x.objectives)["club.nets.audio.mean.0.weight"] for x in (once, twice))
    )
    assert not torch.equal(once.model.codebook.codes, twice.model.codebook.codes)


def test_a_term_of_ones_own_changes_no_other_choice(terms):
    """Weight 0: the run is the run without it, to the bit, though the term draws and is logged."""
    without, beside = trained(), trained("objectives.clip_nce.weight=0")
    one, other = tensors(without), tensors(beside)
    assert all(torch.equal(one[n], other[n]) for n in one)


def test_weights_start_late_and_rise():
    options = TermOptions(weight=2.0, start_epoch=3, ramp_epochs=2.0)
    points = {0.0: 0.0, 2.9: 0.0, 3.0: 0.0, 4.0: 1.0, 4.5: 1.5, 5.0: 2.0, 9.0: 2.0}
    assert {epoch: options.weight_at(epoch) for epoch in points} == points
    assert TermOptions(weight=2.0, start_epoch=3).weight_at(3.0) == 2.0


def test_a_late_term_does_nothing_before_its_epoch(tmp_path):
    """In epoch 0 the run is the run without CMCM; in epoch 1 it is another."""
    logs = []
    for index, value in enumerate(("{start_epoch: 1}", "{weight: 0}")):
        trained(f"objectives.cmcm={value}", run=tmp_path / str(index))
        logs.append(read_metrics(tmp_path / str(index)))
    first = [i for i, line in enumerate(logs[0]) if line["epoch"] == 0]
    same = [a["loss/cross_cpc"] == b["loss/cross_cpc"] for a, b in zip(*logs, strict=True)]
    assert all(same[: len(first) + 1])  # the first step of epoch 1 still sees the same weights
    assert not any(same[len(first) + 1 :])


# ---- what is wrong ------------------------------------------------------------------------------


class Wrong(Objective):
    """Gives what it is told to give."""

    gives = staticmethod(lambda z: z)

    def term(self, view, draw):
        return self.gives(next(iter(view.encoded.semantic.values())))


@pytest.mark.parametrize(
    ("gives", "error", "told"),
    [
        (lambda z: z.mean() * float("nan"), NonFiniteError, "loss/wrong = nan"),
        (
            lambda z: z.detach().mean(),
            ConfigError,
            "wrong has no gradient, so it can train nothing",
        ),
        (lambda z: 1 / 0, ConfigError, "objective wrong cannot be computed: ZeroDivisionError"),
        (
            lambda z: {}["audio"],
            ConfigError,
            "objective wrong cannot be computed: KeyError: 'audio'",
        ),
        (lambda z: z.mean(0), ConfigError, "wrong must be a tensor without axes, got ["),
        (
            lambda z: {"audio": 3.0},
            ConfigError,
            "wrong/audio must be a tensor without axes, got float",
        ),
    ],
)
def test_a_value_that_cannot_be_added(gives, error, told, monkeypatch):
    objectives.register("wrong", TermOptions)(Wrong)
    monkeypatch.setattr(Wrong, "gives", staticmethod(gives))
    with pytest.raises(error) as caught:
        trained("objectives.wrong.weight=1")
    assert told in str(caught.value)


def test_a_term_that_ranks_could_not_put_together_is_refused(monkeypatch):
    objectives.register("wrong", TermOptions)(Wrong)
    monkeypatch.setattr(Wrong, "scope", "clip")
    monkeypatch.setattr(Wrong, "gives", staticmethod(lambda z: Term({"other": z.mean()})))
    with pytest.raises(ConfigError, match="one per modality and nothing beside, got other; leave"):
        trained("objectives.wrong.weight=1")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cmcm", "registers objective 'cmcm', which cmg.objectives.cmcm.CMCM has taken"),
        ("two words", "objective 'two words': a name must be a plain word"),
    ],
)
def test_a_name_that_cannot_be(name, told):
    with pytest.raises(PluginError) as caught:
        objectives.register(name, TermOptions)(Wrong)
    assert told in str(caught.value)


@pytest.mark.parametrize(("part", "options"), [(Wrong, None), (TermOptions, TermOptions)])
def test_a_part_that_is_no_objective_or_has_no_options(part, options):
    with pytest.raises(PluginError, match=r"is no subclass of (TermOptions|Objective)$"):
        objectives.register("mine", options)(part)
    assert "mine" not in objectives


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("scope", "clips", "its scope is batch or clip, got 'clips'"),
        (
            "needs",
            frozenset({"code"}),
            "its needs are some of detail, rebuilt, codes, teacher, loss, got code",
        ),
    ],
)
def test_a_scope_or_need_that_nothing_computes(name, value, told, monkeypatch):
    objectives.register("wrong", TermOptions)(Wrong)
    monkeypatch.setattr(Wrong, name, value)
    with pytest.raises(PluginError, match=told):
        trained("objectives.wrong.weight=1")


def test_a_term_alone_may_rise_and_not_all_can_start_later():
    off = ["objectives.cross_cpc=null", "objectives.commitment=null", "training.epochs=1"]
    trained("objectives.cmcm.ramp_epochs=1", *off)
    with pytest.raises(ConfigError, match=r"not all terms can start later or rise \(start_epoch"):
        trained("objectives.cmcm.start_epoch=1", *off)


def test_a_name_of_torch():
    objectives.register("forward", TermOptions)(Wrong)
    with pytest.raises(PluginError, match=r"objective 'forward': torch\.nn has taken the name"):
        trained("objectives.forward.weight=1")


def test_an_unknown_objective_names_the_nearest_and_the_way_to_ones_own():
    with pytest.raises(ConfigError) as caught:
        load_config("digits", ["objectives.clip_nce.weight=1"])
    assert "objectives.clip_nce" in str(caught.value)
    assert "--plugin MODULE" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "begin", "end"),
    [
        ("outside_terms.py", "class ClipNCEOptions", "class MaskedOptions"),
        ("outside_codes.py", "class SignOptions", None),
        ("continuous.yaml", "model:", None),
    ],
)
def test_a_part_from_outside_is_a_few_lines(file, begin, end):
    text = (OUTSIDE / file).read_text()
    part = text[text.index(begin) : text.index(end) if end else None]
    assert len(part.splitlines()) <= 40
