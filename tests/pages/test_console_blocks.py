"""Every console block of the pages is run as it stands there, or says here why it is not.

Trainings are cut short; those, and what else takes seconds, are marked slow.
"""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.test_site import lines

import cmg as toolkit

NOT_RUN = {
    r"\.\.\.|\[--|\bLISTS\b": "a form, with parts to be filled in",
    r"hub:": "a hub: a small one answers in tests/sharing",
    r"^cmg (extract|encode clip|segment|retrieve (dog|\"a dog)|explore)": (
        "media of one's own, networks: tests/cli/test_extract, _encode_media, _segmentation, "
        "_retrieval_media; tests/browser"
    ),
    r"\.pt\b|runs/released|runs/avt|runs/mine/checkpoints|--official-checkpoints": (
        "files of the authors, or their sizes: tests/cli/test_convert, tests/interop"
    ),
    r"data (simulate|check|import data)|(--data |data=)data|stores/(official|simulated)": (
        "a folder of the authors, real or simulated: tests/cli/test_official_path"
    ),
    r"^cmg study (run|table|merge|best)": "hours: tests/studies run small ones",
    r"^cmg demo": "a minute or more: tests/cli/test_demo",
    r"embed-prompts": "an encoder that is downloaded: tests/text",
    r"--arrays": "files of one's own: tests/cli/test_import",
    r"dimensions": "wider codes: tests/tasks/test_commands",
    r"as-coded": "sizes of the authors: tests/golden",
    r"studies/ /data": "folders of somebody else",
    r"--copy-templates|--templates": "files of one's own: tests/text",
    r"runs/(fine|other|choice|a)\b": "as the lines beside it, with other values or one's own files",
}
"""Why a command is not run, by what is found in it."""
QUICK = r"presets|cmg (runs|compare|export)|retrieve test|study list"
"""What takes less than a second."""
SHORT = ["training.epochs=1", "data.fraction=0.3", "training.tensorboard=false", "probe.epochs=1"]
PLACES = {"store": "stores/mine", "STORE": "stores/mine", "PATH/TO/STORE": "stores/mine"}


def commands(path):
    """The commands of a page, and why each is not run; empty where it is."""
    for line in lines(path.read_text()):
        yield line, next((why for found, why in NOT_RUN.items() if re.search(found, line)), "")


def pages():
    """Pages by name, with what is run of them: what is quick, and the whole."""
    docs = Path(__file__).parents[2] / "docs"
    for path in sorted(docs.rglob("*.md")):
        run = [line for line, why in commands(path) if not why]
        name, quick = path.relative_to(docs).as_posix(), [x for x in run if re.search(QUICK, x)]
        if quick and name != "index.md":  # that one is run by tests/test_readme.py
            yield pytest.param(quick, id=name)
        if len(run) > len(quick) and name != "index.md":
            yield pytest.param(run, id=f"{name}-whole", marks=pytest.mark.slow)


@pytest.fixture
def world(run, tmp_path, monkeypatch):
    """A folder with the runs and the store that the pages speak of."""
    for name in ("digits", "one", "two", "one-0", "one-1", "two-0", "two-1"):
        shutil.copytree(run, tmp_path / "runs" / name)
    chance, kinds = np.random.default_rng(0), ("cat", "dog")
    shapes = {"audio": (6,), "video": (3, 3, 4), "text": (5,)}
    toolkit.write_store(
        tmp_path / "stores" / "mine",
        {m: chance.normal(size=(480, 4, *shape)) for m, shape in shapes.items()},
        split=["train"] * 400 + ["test"] * 80,
        labels={"kind": [kinds[i % 2] for i in range(480)]},
        kinds={"text": "tokens"},
    )
    told = "".join(f"clip-{i:05d},{kinds[i % 2]}\n" for i in range(480))
    (tmp_path / "labels.csv").write_text("id,label\n" + told)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("typed", list(pages()))
def test_the_commands_of_a_page_run(world, cmg, typed):
    for line in typed:
        words = [word for one in shlex.split(line, comments=True)[1:] for word in [placed(one)]]
        out = Path(words[words.index("--out") + 1]) if "--out" in words else None
        if out is not None and out.exists() and "--resume" not in words:
            shutil.rmtree(out)  # of another block of the page
        cut = SHORT if words[0] == "pretrain" and "--resume" not in words else []
        said = cmg(*words, *cut)
        assert said.code == 0, f"{line}\n{said.err}"


def placed(word):
    """A word with the places that stand for one's own."""
    key, mark, value = word.rpartition("=")
    return key + mark + PLACES.get(value, value)


def test_no_reason_is_idle(request):
    """A reason that fits no command any more goes."""
    every = [line for page in (request.config.rootpath / "docs").rglob("*.md")
             for line in lines(page.read_text())]  # fmt: skip
    assert [found for found in NOT_RUN if not any(re.search(found, x) for x in every)] == []
