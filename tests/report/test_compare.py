"""`cmg compare`: pairs and intervals by hand, golden tables, and runs as a user types them."""

import json
import shutil

import pytest

from cmg.config.load import load_config
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score
from cmg.places import public_text
from cmg.report.charts import in_lines
from cmg.report.compared_runs import (
    MEAN,
    Compared,
    ComparedRow,
    SideBySide,
    of_one_kind,
    paired,
    rows_of,
    short_names,
)
from cmg.report.comparison import compare_document
from cmg.report.gather import RunLog
from cmg.report.latex import latex
from cmg.report.write import csv_text
from cmg.runs.checkpoint import Checkpoint, Position
from cmg.runs.cost import Cost
from cmg.types import Modality

MODALITIES = [Modality(name=m, kind="vectors", shape=(2,)) for m in ("a", "b")]


def run(folder, there, back, seed=0, **changes):
    """A run whose heads reached `there` from a to b, and `back`; values by head's seed."""
    config = load_config("digits", [f"training.seed={seed}"], changes)
    scores = {"a->a": Score.of([90.0] * len(there)), "a->b": Score.of(there)}
    scores["b->a"] = Score.of(back)
    chance = {direction: Score.fixed(10.0, len(there)) for direction in scores}
    results = Results(scores, {}, {"chance": chance}, CodebookStats(64, 32.0, 20.5, 0.5))
    log = RunLog(folder, {}, [{"step": s, "loss/total": 4.0 / s} for s in (1, 2)])
    checkpoint = Checkpoint(folder, config, MODALITIES, Position(38, 1), "hash", {}, ())
    return Compared(log, checkpoint, results, Cost(2.0 + seed, 80, 0, 10**6), 1234)


@pytest.fixture
def single(tmp_path):
    """Two runs of one seed, with three heads each."""
    first = run(tmp_path / "x", [50.0, 52.0, 54.0], [30.0, 30.0, 30.0])
    wide = run(tmp_path / "y", [53.0, 56.0, 59.0], [29.0, 29.0, 29.0], **{"optimizer.lr": 0.01})
    return SideBySide(rows_of({"x": first, "y": wide}), ())


def test_differences_are_taken_head_by_head(single):
    apart = single.differences()["y"]
    assert apart["a->b"].values == (3.0, 4.0, 5.0)
    assert apart["b->a"].values == (-1.0, -1.0, -1.0)
    assert apart[MEAN].values == (1.0, 1.5, 2.0)  # of 3 - 1, 4 - 1 and 5 - 1
    low, high = apart[MEAN].interval  # t of two degrees of freedom is 4.303
    assert (low, high) == pytest.approx(
        (1.5 - 4.3027 * 0.5 / 3**0.5, 1.5 + 4.3027 * 0.5 / 3**0.5), abs=1e-3
    )
    assert single.changes() == {"optimizer.lr": [0.001, 0.01]}


def test_tables_are_as_they_were(single):
    parts = compare_document(single).parts()
    assert csv_text(parts["transfer"].texts) == (
        ",mean across,a → b,b → a\n"
        "x,41.0 ± 1.0,52.0 ± 2.0,30.0 ± 0.0\n"
        "y,42.5 ± 1.5,56.0 ± 3.0,29.0 ± 0.0\n"
        "chance,10.0,10.0,10.0\n"
    )
    assert csv_text(parts["transfer-mean-across-less-that-of-x"].texts) == (
        ",difference,95 % interval,n,directions above,pairs\n"
        'y,+1.5,+0.3 to +2.7,3,1 of 2,"seeds of heads, one training each"\n'
    )
    told = latex(parts["configuration"]).splitlines()
    assert told[3:] == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"key & x & y \\",
        r"\midrule",
        r"optimizer.lr & 0.001 & 0.01 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert csv_text(parts["cost"].texts).splitlines()[1] == 'x,2.0,1,38,80,"1,234",1,–'
    assert csv_text(parts["codebook"].texts).splitlines()[2] == "y,64,32,20.5,50"


def test_runs_that_differ_in_their_seed_alone_are_one_row(tmp_path):
    def of(name, seed, there, **changes):
        return run(tmp_path / name, [there], [20.0], seed, **changes)

    runs = {f"x{i}": of(f"x{i}", i, 50.0 + i) for i in (2, 0, 1)}
    runs |= {f"y{i}": of(f"y{i}", i, 60.0 + 3 * i, **{"optimizer.lr": 0.01}) for i in (0, 1)}
    runs["again"] = of("again", 0, 40.0)
    one, two, again = rows_of(runs)
    assert (one.name, one.seeds) == ("x2 (×3 seeds)", [0, 1, 2])
    assert (two.name, two.seeds, again.name) == ("y0 (×2 seeds)", [0, 1], "again")
    assert one.scores()["a->b"].values == (50.0, 51.0, 52.0)
    found = SideBySide((one, two, again), ())
    assert found.differences()[two.name]["a->b"].values == (10.0, 12.0)  # seeds 0 and 1
    assert found.changes()["training.seed"] == [[0, 1, 2], [0, 1], [0]]
    told = csv_text(
        compare_document(found).parts()["transfer-mean-across-less-that-of-x2-3-seeds"].texts
    ).splitlines()
    assert told[1] == 'y0 (×2 seeds),+5.5,–,2,1 of 2,"training seeds 0, 1"'  # two are too few
    assert of_one_kind(runs["x0"], runs["again"])


def test_without_a_seed_in_common_means_are_compared():
    apart = paired({3: {"a->b": 5.0}, 4: {"a->b": 7.0}}, {0: {"a->b": 1.0, "b->a": 2.0}})
    assert apart == {"a->b": Score.of([5.0])}
    assert apart["a->b"].interval is None
    assert paired({}, {0: {"a->b": 1.0}}) == {}
    assert ComparedRow("x", ()).evaluated == []


def test_a_legend_takes_the_lines_that_it_needs():
    colors = {"one": "c1", "two": "c2", "a" * 40: "c3", "b": "c4"}
    assert [list(line) for line in in_lines(colors, 284)] == [["one", "two"], ["a" * 40], ["b"]]
    assert in_lines({}, 284) == []


def test_names_tell_folders_apart(tmp_path):
    folders = [tmp_path / "one" / "s-0", tmp_path / "two" / "s-0", tmp_path / "two" / "s-1"]
    assert short_names(folders) == ["one/s-0", "two/s-0", "two/s-1"]
    assert short_names(folders[1:]) == ["s-0", "s-1"]


def test_a_user_compares_runs(cmg, labeled, tmp_path):
    """Of the second the results are gone: it is evaluated. Everything is written, or nothing."""
    other = tmp_path / "evil <b>"
    shutil.copytree(labeled, other)
    (other / "results.json").unlink()
    out = tmp_path / "out"
    said = cmg("compare", labeled, other, "--out", out, "--json")
    assert said.code == 0, said.err
    assert said.json == json.loads((out / "compare.json").read_text())
    row = said.json["differences"]["evil <b>"][MEAN]
    assert (row["mean"], row["n"]) == (pytest.approx(0.0), 2)
    assert said.json["rows"][0]["cost"][0]["clips"] == 24
    assert said.json["configuration"] == {}
    page = (out / "report.html").read_text()
    assert "evil &lt;b&gt;" in page
    assert "<b>" not in page.replace("evil &lt;b&gt;", "")
    assert str(tmp_path) not in page
    names = {p.name for p in (out / "report").iterdir()}
    assert {"transfer.csv", "transfer.tex", "cost.csv", "curves-total-loss.svg"} <= names
    again = cmg("compare", labeled, other, "--out", out)
    assert (again.code, "overwrite" in again.err) == (2, True)


def test_of_paths_the_last_part_is_told():
    said = "/home/me/my takes/a.npy: see https://x.org/a/b, and/or C:\\me\\takes, ~/takes"
    told = "a.npy: see https://x.org/a/b, and/or takes, takes"
    assert public_text(said, "/home/me/my takes/a.npy", None) == told


def test_other_data_are_told_and_no_path_of_them(cmg, labeled, tmp_path):
    """Of the second the store is gone, so that it cannot be evaluated either."""
    other, out = tmp_path / "my run", tmp_path / "out"
    shutil.copytree(labeled, other)
    (other / "results.json").unlink()
    text = (other / "config.yaml").read_text()
    store = next(line for line in text.splitlines() if line.strip().startswith("store: "))
    gone = f"  store: {tmp_path}/private place/takes"
    (other / "config.yaml").write_text(text.replace(store, gone))
    told = next((other / "checkpoints").glob("*/checkpoint.json"))
    read = json.loads(told.read_text())
    told.write_text(json.dumps(read | {"data_hash": "f" * 64}))
    said = cmg("compare", labeled, other, "--out", out, "--json")
    assert said.code == 0, said.err
    (remark,) = [one for one in said.json["remarks"] if "It is not evaluated" in one]
    assert "my run: It is not evaluated: the report of my run needs the store" in remark
    assert "no store at takes" in remark
    (differ,) = [one for one in said.json["remarks"] if "trained on different data" in one]
    assert f"(content hash: labeled {read['data_hash'][:12]}, my run ffffffffffff)" in differ
    for name in ("compare.json", "report.html", "report.md"):
        text = (out / name).read_text()
        assert (str(tmp_path) in text, "private place" in text) == (False, False), name
        assert "no store at takes" in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["RUN"], "`cmg report RUN` tells of one"),
        (["RUN", "RUN"], "is given twice"),
        (["RUN", "RUN/../labeled"], "is given twice"),
        (["RUN", "absent"], "absent does not exist; give run folders of `cmg pretrain --out`"),
        (["RUN", "STORE"], "is no cmg run; it is a feature store"),
        (["RUN", "CHECKPOINT"], "is a checkpoint; give the folder of its run"),
        (["RUN", "EMPTY"], "has no checkpoint yet"),
    ],
)
def test_what_cannot_be_compared(cmg, labeled, root, tmp_path, words, told):
    (tmp_path / "empty").mkdir()
    shutil.copy(labeled / "config.yaml", tmp_path / "empty")
    step = next((labeled / "checkpoints").iterdir())
    known = {"STORE": root / "store", "CHECKPOINT": step, "EMPTY": tmp_path / "empty"}
    given = [known.get(word, word.replace("RUN", str(labeled))) for word in words]
    said = cmg("compare", *given, "--out", tmp_path / "out")
    assert said.code == 2
    assert told in said.err
    assert not (tmp_path / "out").exists()
