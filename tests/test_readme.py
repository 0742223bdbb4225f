"""What README and the first page of the docs say runs, as it stands there."""

import re
import subprocess
import sys

import pytest

from cmg.evaluation.results import Results
from cmg.report.tables import score_text


@pytest.fixture(scope="module")
def readme(request):
    return (request.config.rootpath / "README.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_console_and_python_blocks_run(readme, request, cmg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    index = (request.config.rootpath / "docs/index.md").read_text()
    (digits,) = [block for block in blocks(index, "console") if "pretrain digits" in block]
    lines = [line for line in digits.splitlines() if line]
    assert [line.split()[1] for line in lines] == [
        "pretrain", "probe", "encode", "report", "evaluate", "retrieve",
    ]  # fmt: skip
    shorter = {"pretrain": ["training.epochs=6"]}  # of 14: enough for all that is asked below
    for line in lines:
        name, *words = line.split()
        assert name == "cmg"
        done = cmg(*words, *shorter.get(words[0], []))
        assert done.code == 0, f"{line}\n{done.err}"
    assert (tmp_path / "runs" / "digits" / "report.html").stat().st_size > 10_000

    (tmp_path / "runs" / "demo").mkdir()
    (tmp_path / "runs" / "digits").rename(tmp_path / "runs" / "demo" / "seed-0")
    (code,) = blocks(readme, "python")
    assert len([line for line in code.splitlines() if line.strip()]) < 10
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 90


def test_every_place_the_map_names_exists(readme, request):
    root = request.config.rootpath
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(links) > 15
    missing = [link for link in links if "://" not in link and not (root / link).exists()]
    assert missing == []


def test_tables_are_the_recorded_ones(readme, request):
    docs = request.config.rootpath / "docs"
    digits = (docs / "digits.md").read_text()
    for text, place, name in [
        (readme, "demo-sets", "sets"),
        (digits, "default", "default"),
        (digits, "published", "published"),
    ]:
        begin, end = f"<!-- {place}: begin -->\n", f"<!-- {place}: end -->"
        shown = text[text.index(begin) + len(begin) : text.index(end)]
        assert shown == (docs / "results" / f"demo-{name}.md").read_text()
        if name == "sets":
            continue
        results = Results.load(docs / "results" / f"demo-{name}.json")
        assert score_text(results.transfer["audio->video"]) in shown
        assert f"perplexity {results.codebook.perplexity:.1f}" in shown
