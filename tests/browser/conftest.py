"""What a real browser looks at: explorers of `digits` and of one's own media, and how it looks."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
import uvicorn
from playwright.sync_api import sync_playwright
from tests.cli.test_encode_media import CARDS, write_clip
from tests.extract.media import tone_wave, write_video
from tests.segmentation.conftest import QUICK, SMALL
from tests.tiny import TINY

from cmg.explore.app import make_app
from cmg.explore.serve import bound
from cmg.explore.session import Session
from cmg.extract import registry
from cmg.files import file_sha256
from cmg.runs.checkpoint import read_checkpoint
from cmg.saved import flat
from cmg.segmentation.checkpoint import Progress, SegmenterRecord, TrainingFolder, trained

CHROMIUM = Path("/usr/bin/chromium")
SHOTS = os.environ.get("CMG_SHOTS")
"""A folder for pictures of every page, to be looked at."""
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


@contextmanager
def looking(browser, scheme, width):
    """A page on which nothing fails, and what looks at it: a picture, its width, its contrast."""
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: said.append(str(one)))

    def looked_at(name: str, whole: bool = True) -> None:
        page.wait_for_load_state("networkidle")
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=whole)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(CONTRAST) == [], name

    yield page, looked_at
    assert said == []
    page.close()


@contextmanager
def served(session):
    """The address of an explorer for the block."""
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(session), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def digits(tmp_path_factory, cmg):
    """Where `digits` is explored, or the run of CMG_RUN and CMG_MEDIA."""
    run = os.environ.get("CMG_RUN")
    if run is None:
        run = tmp_path_factory.mktemp("browser") / "run"
        assert cmg("pretrain", "digits", "training.epochs=1", "--out", run).code == 0
    with served(Session.open(run, media=os.environ.get("CMG_MEDIA"))) as address:
        yield address


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """Nine clips of two seconds, and three that lie one after the other in a longer file."""
    root = tmp_path_factory.mktemp("media")
    rows = ["id,split,file,text,start,end,label:level"]
    for i in range(9):
        path = write_clip(root, i, caption=False)
        rows.append(f"clip{i},test,{path.name},a {'low middle high'.split()[i % 3]} one,,,{i % 3}")
    tones = torch.cat([torch.from_numpy(tone_wave(2.0, 200.0 * k, 16000)) for k in (1, 2, 3)])
    write_video(root / "long.mp4", 6.0, 10, (24, 32), wave=tones.numpy())
    for i in range(3):
        rows.append(f"part{i},test,long.mp4,a <b>part</b>,{2 * i},{2 * i + 2},{i}")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def own(media, tmp_path_factory, cmg):
    """Where one's own media are explored, by words, sounds, pictures and masks."""
    root = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "CARDS", CARDS)
        names = ["--video", "eyes", "--audio", "ears", "--text", "letters", "--workers", 1]
        said = cmg("extract", media / "clips.csv", "--out", root / "store", *names)
        assert said.code == 0, said.err
        keys = [f"data={root / 'store'}", "data.train_split=test", *TINY]
        said = cmg("pretrain", *keys, "--out", root / "run")
        assert said.code == 0, said.err
        checkpoint = read_checkpoint(root / "run")
        sha256 = file_sha256(checkpoint.path / "model.safetensors")
        told = ("audio", "clean", str(root / "run"), sha256)
        record = SegmenterRecord(SMALL, QUICK, 8, 10, 3, *told)
        model = record.new_model()
        optimizer = torch.optim.Adam([p for _, p in trained(model)])
        folder = TrainingFolder(root / "model", record)
        folder.keep(model, optimizer, Progress(1, 1.0, 1, [1.0], [1.0]), flat(model))
        session = Session.open(root / "run", media=media / "clips.csv", segmentation=root / "model")
        with served(session) as address:
            yield address


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[1400, 500])
def width(request):
    return request.param


@pytest.fixture
def opened(browser, scheme, width):
    """Open a page that is looked at in every scheme and width."""
    return partial(looking, browser, scheme, width)


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    assert CHROMIUM.is_file(), f"{CHROMIUM} is missing: apt-get install chromium"
    with sync_playwright() as play:
        sound = "--autoplay-policy=no-user-gesture-required"
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", sound])
        yield opened
        opened.close()
