"""Other labels than those of the run's own evaluation."""

import csv
import shutil

import pytest

import cmg as package
from cmg.data.inmemory import write_store
from cmg.errors import ConfigError, DataError
from cmg.report.gather import gather
from cmg.report.run import write_report

from .conftest import EVIL, Page, read
from .test_report import as_dict, matrix


@pytest.fixture(scope="module")
def file(unlabeled):
    """Labels of the clips without any: their number's parity, and one name with markup for most."""
    path = unlabeled.parent / "labels.csv"
    rows = ((f"{EVIL} {i}", ("even", "odd")[i % 2], "<i>" if i % 3 else "b") for i in range(29))
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([("id", "parity", "other"), *rows])
    return path


def table_of(scores):
    return matrix({d: {"mean": s.mean, "std": s.std, "n": s.n} for d, s in scores.items()})


def numbers(html, title):
    shown = as_dict(Page(html).tables[title])
    return {key: text.removesuffix(" below chance") for key, text in shown.items()}


def test_a_file_of_labels_gives_the_tables_that_the_store_cannot(unlabeled, file, cmg, tmp_path):
    said = cmg("report", unlabeled, "--labels", file, "--out", tmp_path)
    assert said.code == 0, said.err
    html = (tmp_path / "report.html").read_text("utf-8")
    store = package.open_clips(unlabeled.parent / "unlabeled store").labelled(file)
    wanted = package.transfer_table(unlabeled, store, "parity")
    assert set(wanted) == {f"{a}->{b}" for a in ("eeg", "depth") for b in ("eeg", "depth")}
    assert numbers(html, "Classification") == table_of(wanted.scores)
    text = Page(html).text
    assert "(label parity)" in text
    assert "mostly in clips of" in text
    assert "labels.csv: 1 clips without a label" in text
    assert "The store has no labels" not in text
    assert "has changed since training" not in text
    assert str(unlabeled.parent) not in html
    assert not (unlabeled / "results.json").exists(), "the run's own evaluation is another"


def test_several_labels_have_a_table_each_and_the_first_leads(unlabeled, file, tmp_path):
    html = write_report(unlabeled, tmp_path, labels=file, label="other, parity")[0].read_text(
        "utf-8"
    )
    store = package.open_clips(unlabeled.parent / "unlabeled store").labelled(file)
    for title, label in (("Classification", "other"), ("Label parity", "parity")):
        assert numbers(html, title) == table_of(
            package.transfer_table(unlabeled, store, label).scores
        )
    assert "(label other)" in Page(html).text
    assert "&lt;i&gt;" in html
    assert "<i>" not in html.replace('<i style="', "")


@pytest.fixture(scope="module")
def two_labels(labeled):
    """The run of three classes, on a store that has a second label beside them."""
    root = labeled.parent / "two"
    own = package.open_clips(labeled.parent / "store")
    row = [r.labels["class"] for r in own.rows]
    clips = [own[i]["features"] for i in range(len(own))]
    names = list(own.modalities)
    write_store(
        root / "store",
        {m: [c.get(m) for c in clips] for m in names},
        split=[r.split for r in own.rows],
        ids=own.ids,
        kinds={"notes": "tokens"},
        labels={"class": row, "first": [int(x == 0) for x in row]},
        classes={"class": list(own.labels["class"].classes), "first": ["others", "zero"]},
    )
    package.pretrain(
        package.load_config(labeled / "config.yaml", [f"data.store={root / 'store'}"]), root / "run"
    )
    return root / "run"


def test_a_label_of_the_store_is_chosen_by_its_name(two_labels, cmg, tmp_path):
    read(two_labels, tmp_path)
    kept = (two_labels / "results.json").read_bytes()
    said = cmg("report", two_labels, "--label", "first", "--out", tmp_path)
    assert said.code == 0, said.err
    html = (tmp_path / "report.html").read_text("utf-8")
    wanted = package.transfer_table(two_labels, label="first")
    assert numbers(html, "Classification") == table_of(wanted.scores)
    assert "Chance is 50.0 %." in Page(html).text.replace("\xa0", " ")
    assert gather(two_labels, label="first").usage.used().any()
    assert (two_labels / "results.json").read_bytes() == kept


def test_labels_that_are_not_there_are_refused_as_by_probe(labeled, demo, file, cmg, tmp_path):
    asked = ("--model", labeled, "--train-on", "eeg", "--test-on", "depth")
    probed = cmg("probe", *asked, "--label", "clas")
    said = cmg("report", labeled, "--label", "clas", "--out", tmp_path / "out")
    assert said.code == probed.code == 2
    assert said.err == probed.err
    assert "has no label 'clas' (did you mean 'class'?)" in said.err.replace("\n", " ")
    for given, error, told in (
        ({"label": " ,"}, ConfigError, "--label names no label"),
        ({"labels": "class"}, ConfigError, "--labels is a file; --label class is a label"),
        ({"labels": tmp_path / "none.csv"}, DataError, "none.csv"),
        ({"labels": file}, DataError, "labels none of the 42 clips"),
    ):
        with pytest.raises(error, match=told):
            write_report(labeled, tmp_path / "out", **given)
    with pytest.raises(ConfigError, match=r"give one of its seed-\* folders"):
        write_report(demo, tmp_path / "out", label="class")
    assert not (tmp_path / "out").exists()


def test_baselines_of_another_label_are_left_out(two_labels, cmg, tmp_path):
    shutil.copytree(two_labels, tmp_path / "run")
    assert cmg("baselines", tmp_path / "run", "--only", "majority").code == 0
    same, _ = read(tmp_path / "run", tmp_path / "same")
    assert "majority" in Page(same).tables["Every direction"][0]
    html = write_report(tmp_path / "run", tmp_path / "out", label="first")[0].read_text("utf-8")
    assert "The baselines of the run are of another label, and not in this report." in html
    controls = [row[0] for row in Page(html).tables["Controls"][1:]]
    assert controls == ["codes", "continuous features", "chance"]
