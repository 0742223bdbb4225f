"""The pages and the HTTP interface, without a browser."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import wave
from dataclasses import replace
from io import BytesIO
from urllib.request import urlopen

import numpy as np
import pytest
from fastapi import UploadFile
from starlette.testclient import TestClient
from tests.paired import paired_store
from tests.report.conftest import MODALITIES, config, ragged

from cmg.errors import ConfigError, DataError
from cmg.explore.app import LARGEST, make_app, received
from cmg.explore.serve import bound
from cmg.explore.session import Session, link
from cmg.extract.clip import MediaClip
from cmg.recipes.pretrain import pretrain
from cmg.report.media import OwnMedia

HERE = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("explore")
    paired_store(root / "store", MODALITIES, {"train": 24, "test": 18}, 4, 3, lengths=(2, 4))
    pretrain(config(root / "store"), root / "run")
    return root / "run"


@pytest.fixture(scope="module")
def session(run):
    return Session.open(run)


@pytest.fixture(scope="module")
def client(session):
    return TestClient(make_app(session), base_url=HERE)


def test_every_page_answers_and_loads_nothing_from_elsewhere(client, session):
    clip, code = session.split.ids[0], session.codes()[0]
    found = f"/search?clip={clip}&source=eeg&target=depth"
    for address in ("/", f"/codes/{code}", "/clips/0", "/search", found):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        assert "http" not in answer.text.replace("http://www.w3.org", "")
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_page_of_a_code_counts_all_its_steps(client, session):
    code = session.codes()[0]
    places = session.steps(code)
    assert len(places) == int(session.coded.usage.counts[:, code].sum())
    assert f"{len(places)} steps took it" in client.get(f"/codes/{code}").text


def test_filters_keep_the_codes_that_a_modality_or_a_class_has(client, session):
    for m in session.coded.modalities:
        for code in session.codes(m):
            assert session.steps(code, m)
    label = session.classes()[0]
    name = session.split.about.first_label("clip")
    rows = (session.split.label(name) == 0).nonzero()[:, 0].tolist()
    codes = session.codes(label=label)
    seen = {p.clip for k in codes for p in session.steps(k)}
    assert codes
    assert set(rows) <= seen
    assert "No code matches" not in client.get("/", params={"label": label}).text
    assert "no code &#39;zzz&#39;" in client.get("/?code=zzz").text


def test_retrieve_finds_what_the_command_finds(client, session, run, cmg):
    clip = session.split.ids[0]
    form = {"source": "eeg", "target": "depth", "by": "codes", "top": "5", "clip": clip}
    told = client.post("/retrieve", data=form).json()
    said = cmg("retrieve", clip, "--model", run, "--from", "eeg", "--to", "depth", "--by", "codes",
               "--top", 5, "--json")  # fmt: skip
    assert said.code == 0, said.err
    assert [hit["id"] for hit in told["hits"]] == [hit["id"] for hit in said.json["hits"]]


@pytest.mark.parametrize(
    ("address", "form", "status", "says"),
    [
        ("/retrieve", {"source": "eeg", "target": "depth"}, 400, "either words or a file"),
        (
            "/retrieve",
            {"source": "eeg", "target": "dept", "clip": "x"},
            400,
            "did you mean 'depth'",
        ),
        ("/retrieve", {"source": "eeg", "target": "depth", "clip": "x"}, 400, "no clip 'x'"),
        ("/retrieve", {"source": "eeg", "target": "depth", "clip": "x", "top": "0"}, 422, "top"),
        ("/encode", {"modality": "eeg", "words": "a"}, 400, "does not say which extractors"),
        ("/encode", {"words": "a"}, 422, "modality"),
    ],
)
def test_what_does_not_fit_is_told_as_json(client, address, form, status, says):
    answer = client.post(address, data=form)
    assert answer.status_code == status
    assert says in answer.json()["message"]


def test_uploads_that_are_no_media_or_too_large_are_refused(client):
    form = {"modality": "eeg"}
    answer = client.post("/encode", data=form, files={"file": ("x.exe", b"MZ")})
    assert "x.exe is no video, sound, picture or text" in answer.json()["message"]
    with (
        pytest.raises(DataError, match=r"^film\.mp4 cannot"),
        received(UploadFile(BytesIO(b"none"), filename="film.mp4")) as path,
    ):
        raise DataError(f"{path} cannot be read")
    headers = {"content-length": str(LARGEST + 1)}
    answer = client.post("/encode", content=b"", headers=headers)
    assert answer.status_code == 413


def test_other_hosts_and_other_pages_are_refused(client):
    assert client.get("/", headers={"host": "evil.example:8765"}).status_code == 403
    assert client.get("/", headers={"origin": "http://evil.example"}).status_code == 403
    assert client.get("/", headers={"origin": "null"}).status_code == 403
    assert client.get("/", headers={"host": "localhost:1"}).status_code == 200


def test_markup_in_ids_labels_and_words_is_text(tmp_path):
    ragged(tmp_path / "store", labels=True)
    pretrain(config(tmp_path / "store"), tmp_path / "run")
    session = Session.open(tmp_path / "run")
    client = TestClient(make_app(session), base_url=HERE)
    evil = "<script>alert"
    for address in ("/", "/clips/0", f"/codes/{session.codes()[0]}", f"/search?words={evil}"):
        text = client.get(address).text
        assert evil not in text
        assert "&lt;script&gt;" in text


def own(session, folder):
    """The session's clips with a sound each of which the first has moved away."""
    clips = {}
    for place, id_ in enumerate(session.split.ids[:2]):
        path = folder / f"{place}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(np.arange(16000, dtype="<i2").tobytes())
        clips[id_] = MediaClip(id_, "test", {"eeg": path})
    (folder / "0.wav").unlink()
    media = OwnMedia(session.split, clips, link)
    media.takes = {"eeg": "sound"}
    return Session(session.checkpoint, session.coded, media)


def test_files_are_served_by_clip_in_parts_and_no_other(session, tmp_path):
    client = TestClient(make_app(own(session, tmp_path)), base_url=HERE)
    whole = client.get("/sound/eeg/1")
    assert whole.content == (tmp_path / "1.wav").read_bytes()
    part = client.get("/sound/eeg/1", headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert client.get("/sound/eeg/0").status_code == 400
    for address in ("/sound/eeg/..%2f..%2fetc%2fpasswd", "/sound/depth/1", "/sound/eeg/99"):
        assert client.get(address).status_code >= 400
    assert "0.wav has moved away since extraction" in client.get("/clips/0").text


def test_a_clip_out_of_a_longer_file_is_played_from_its_start_to_its_end(session, tmp_path):
    parts = own(session, tmp_path)
    id_ = session.split.ids[1]
    parts.media.clips[id_] = replace(parts.media.clips[id_], start=0.5, end=1.5)
    page = TestClient(make_app(parts), base_url=HERE).get("/clips/1")
    assert 'data-begins="-0.5" src="/sound/eeg/1#t=0.5,1.5"' in page.text
    # With no referrer at all a browser would send the page's own forms from origin "null".
    assert page.headers["referrer-policy"] == "same-origin"


def test_a_folder_without_the_clips_and_a_port_in_use_are_refused(run, tmp_path):
    (tmp_path / "other.png").write_bytes(b"")
    with pytest.raises(DataError, match="has none of the 18 clips"):
        Session.open(run, media=tmp_path)
    with bound("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: Address already in use"):
            bound("127.0.0.1", port)
    with bound("127.0.0.1", None) as one, bound("127.0.0.1", None) as two:
        assert one.getsockname() != two.getsockname()


def test_as_typed_until_ctrl_c_beside_another_explorer_of_the_run(run, client, cmg):
    """A process of its own, most of whose time is importing torch."""
    command = [sys.executable, "-m", "cmg", "explore", run, "--no-browser", "--json", "--port"]
    with subprocess.Popen([*command, "0"], stdout=subprocess.PIPE) as explorer:
        try:
            address = json.loads(explorer.stdout.readline())["address"]
            with urlopen(address) as page:
                assert page.read().decode() == client.get("/").text
            port = address.rstrip("/").rpartition(":")[2]
            said = cmg("explore", run, "--no-browser", "--port", port)
            assert said.code == 2
            assert f"port {port}: Address already in use" in said.err
            assert "leave --port out" in said.err
            explorer.send_signal(signal.SIGINT)
            assert explorer.wait(20) == 0
        finally:
            explorer.kill()
