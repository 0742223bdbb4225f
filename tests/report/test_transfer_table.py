"""`cmg.transfer_table`, short reprs and lines of progress, in a notebook and without one."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from IPython.core.formatters import DisplayFormatter

import cmg as package
from cmg.config.schema import RunConfig
from cmg.errors import DataError
from cmg.evaluation.scores import Score
from cmg.report.transfer import TransferTable

SCORES = {
    "a->a": Score.of([90.0, 92.0]),
    "a->b": Score.of([40.0, 60.0]),
    "b->a": Score.of([30.0, 30.0]),
    "b->b": Score.of([100.0, 100.0]),
}
TABLE = TransferTable(SCORES, 20.0, "<class>", "test", ("a & b",))


def test_a_table_is_written_in_every_form(tmp_path):
    assert TABLE.to_csv(tmp_path / "t.csv") == (
        "train on ↓ / test on →,a,b\na,91.0 ± 1.4,50.0 ± 14.1\nb,30.0 ± 0.0,100.0 ± 0.0\n"
    )
    assert (tmp_path / "t.csv").read_text() == TABLE.to_csv()
    assert r"a & 91.0 $\pm$ 1.4 & 50.0 $\pm$ 14.1 \\" in TABLE.to_latex(tmp_path / "t.tex")
    assert "| b | 30.0 ± 0.0 | 100.0 ± 0.0 |" in TABLE.to_markdown()
    assert TABLE.rows()[1] == {
        **{"train_on": "a", "test_on": "b", "mean": 50.0},
        **{"std": pytest.approx(14.142, abs=1e-3), "n": 2},
    }
    assert TABLE.to_dict()["transfer"]["a->b"]["values"] == (40.0, 60.0)
    assert (TABLE.mean.mean, TABLE["b->a"].n, len(TABLE), list(TABLE)) == (40.0, 2, 4, [*SCORES])
    TABLE.plot(tmp_path / "t.svg")
    drawn = (tmp_path / "t.svg").read_text()
    assert drawn.startswith("<svg xmlns=")
    assert drawn.count("<rect") == 1 + len(SCORES)  # the page's, and a bar each


def test_notebooks_show_tables_plots_and_text_as_text():
    told, _ = DisplayFormatter().format(TABLE)
    assert "&lt;class&gt;" in told["text/html"]
    assert "<class>" not in told["text/html"]
    assert "a &amp; b" in told["text/html"]
    assert "rgba(33,113,181,0.06)" in told["text/html"]  # 30 % is 10 of the 80 above chance
    below = replace(TABLE, scores={"a->b": Score.of([10.0])})  # half of chance
    assert "rgba(213,94,0,0.23)" in below._repr_html_()
    assert told["text/plain"].startswith("<transfer of '<class>' on 'test': mean across 40.0 %")
    shown, _ = DisplayFormatter().format(TABLE.plot())
    assert shown["image/svg+xml"].startswith("<svg")


def test_of_a_run_a_model_and_a_store(labeled, capsys):
    own = package.transfer_table(labeled)
    known = own.scores
    assert set(known) == {
        f"{a}->{b}" for a in ("eeg", "depth", "notes") for b in ("eeg", "depth", "notes")
    }
    model, store = package.load(labeled), package.open_clips(labeled.parent / "store")
    options = RunConfig().probe.model_copy(update={"epochs": 2, "seeds": 2})
    assert package.transfer_table(model, store, options=options).scores.keys() == known.keys()
    from cmg.evaluation.results import Results

    kept = Results.load(labeled / "results.json")
    assert {d: s.values for d, s in known.items()} == {
        d: s.values for d, s in kept.transfer.items()
    }
    assert capsys.readouterr() == ("", "")
    with pytest.raises(DataError, match="give a store, or the run's folder"):
        package.transfer_table(model)
    with pytest.raises(DataError, match=r"has no label 'clas'"):
        package.transfer_table(labeled, label="clas")


def test_reprs_are_short(labeled):
    model, clips = package.load(labeled), package.open_clips(labeled.parent / "store")
    batches = package.Batches(clips.split("train"), 8)
    assert repr(model).splitlines()[:2] == [
        "UnifiedModel: eeg (vectors 12), depth (maps 3×3×6), notes (tokens 8)",
        "  shared codebook, 16 codes, width 16",
    ]
    assert len(repr(model).splitlines()) == 3
    assert len(model.describe().splitlines()) > 30
    assert repr(batches).startswith("<3 batches of 8 of <24 clips of ")
    assert "<batch of 8 clips: eeg (8, 4, 12), depth (8, 4, 3, 3, 6)" in repr(batches.at(0, 0))
    assert repr(SCORES["a->a"]) == "Score(91 ± 1.414, n=2)"


class Handle:
    """What IPython's `display` gives back, and all that it was told."""

    def __init__(self):
        self.lines = []

    def update(self, told, raw):
        self.lines.append(told["text/plain"])


def test_a_notebook_has_one_line_that_is_replaced(labeled, monkeypatch, capsys):
    import IPython
    from IPython import display

    handle = Handle()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setattr(display, "display", lambda *_, **__: handle)
    package.probe(labeled, labeled.parent / "store", "eeg", "depth")
    assert handle.lines[-1].startswith("probe: 2/2, heads on eeg and depth (")
    handle.lines.clear()
    config = package.load_config(labeled / "config.yaml")
    package.pretrain(config)
    assert handle.lines[-1].startswith("pretrain: 3/3, epoch 2, loss ")
    handle.lines.clear()
    package.probe(labeled, labeled.parent / "store", "eeg", "depth", progress=False)
    assert (handle.lines, capsys.readouterr()) == ([], ("", ""))


def test_a_script_is_told_only_if_it_asks(labeled, capsys):
    assert "IPython" in sys.modules  # imported, and no notebook for that
    config = package.load_config(labeled / "config.yaml")
    package.pretrain(config)
    assert capsys.readouterr() == ("", "")
    package.pretrain(config, progress=True)
    out, err = capsys.readouterr()
    assert (out, "pretrain: 3/3" in err) == ("", True)
