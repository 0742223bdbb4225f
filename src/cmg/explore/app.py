"""The pages and the HTTP interface of an explorer, on FastAPI."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import FastAPI, File, Form, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel

from cmg.errors import CmgError, DataError
from cmg.explore import pages
from cmg.explore.segmenting import Query, masks, named, segmented, shares
from cmg.explore.session import Session, asked
from cmg.extract.extractor import Takes
from cmg.report.html import stylesheet
from cmg.report.media import OwnMedia
from cmg.report.samples import Place
from cmg.retrieval.representation import By
from cmg.suffixes import CAPTION, medium_of

LARGEST = 64 << 20
"""Bytes of an upload."""
MOST = 100
"""Hits of a search."""
STATIC = {"explore.js": "text/javascript", "explore.css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
"""Nothing is loaded from elsewhere, and no other page may show this one."""


class Codes(BaseModel):
    """What `/encode` answers.

    Attributes:
        modality: That was encoded.
        codes: One per step.
        step_seconds: Duration of a step; null for words.
    """

    modality: str
    codes: list[int]
    step_seconds: float | None


class FoundClip(BaseModel):
    """A clip that was found.

    Attributes:
        id: Of the clip.
        score: Cosine; 1 is the same.
    """

    id: str
    score: float


class Retrieved(BaseModel):
    """What `/retrieve` answers.

    Attributes:
        source: Modality of the query.
        target: Modality of the clips that were searched.
        by: What was compared.
        hits: The best first.
    """

    source: str
    target: str
    by: str
    hits: list[FoundClip]


class FoundMasks(BaseModel):
    """What `/segment` answers: of every second, from the first on.

    Attributes:
        id: Of the clip.
        query: Modality of the query.
        share_of_pixels: Within the mask, 0..1.
        masks: PNG files in base64, white where it is what the query is about.
    """

    id: str
    query: str
    share_of_pixels: list[float]
    masks: list[str]


def make_app(session: Session, hosts: tuple[str, ...] = ("127.0.0.1", "localhost")) -> FastAPI:
    """The application of a run, for any ASGI server.

    Args:
        session: What it shows.
        hosts: Names by which it may be asked. Others are refused, so that no page of the web
            reaches it by a name of its own that points to this machine.
    """
    # The framework's own pages of documentation load scripts from elsewhere.
    app = FastAPI(title="cmg explore", docs_url=None, redoc_url=None)
    _guard(app, hosts)
    _add_pages(app, session)
    _add_media(app, session)
    _add_api(app, session)
    return app


def _guard(app: FastAPI, hosts: tuple[str, ...]) -> None:
    """Refuse foreign hosts, foreign pages and large bodies; errors as JSON or as a page."""

    def refused(request: Request, status: int, kind: str, message: str) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(pages.error(message), status)
        return JSONResponse({"error": kind, "message": message}, status)

    async def checked(
        request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        origin = request.headers.get("origin")
        if _name_of("//" + request.headers.get("host", "")) not in hosts:
            return refused(request, 403, "Forbidden", f"ask by one of {', '.join(hosts)}")
        if origin is not None and _name_of(origin) not in hosts:
            return refused(request, 403, "Forbidden", "another page may not ask this one")
        if request.method == "POST":
            length = request.headers.get("content-length", "")
            if not length.isdecimal():
                return refused(request, 411, "DataError", "say the length of what is sent")
            if int(length) > LARGEST:
                told = f"the upload has {int(length) >> 20} MB, at most {LARGEST >> 20} are taken"
                return refused(request, 413, "DataError", f"{told}; cut the file")
        answer = await go_on(request)
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["X-Content-Type-Options"] = "nosniff"
        # Without any referrer a browser sends the forms of these pages as if from nowhere.
        answer.headers["Referrer-Policy"] = "same-origin"
        return answer

    def told(request: Request, error: Exception) -> Response:
        return refused(request, 400, type(error).__name__, str(error))

    def unfit(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        one = error.errors()[0]
        message = f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}"
        return refused(request, 422, "DataError", message)

    app.middleware("http")(checked)
    app.exception_handler(CmgError)(told)
    app.exception_handler(RequestValidationError)(unfit)


def _name_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _add_pages(app: FastAPI, session: Session) -> None:
    """Pages for people: made here, whole, from templates that escape."""

    @app.get("/", include_in_schema=False)
    def cards(modality: str = "", label: str = "", code: str = "", page: int = 1) -> Response:
        return HTMLResponse(pages.cards(session, modality, label, code, page))

    @app.get("/codes/{code}", include_in_schema=False)
    def steps(code: str, modality: str = "", page: int = 1) -> Response:
        return HTMLResponse(pages.steps(session, code, modality, page))

    @app.get("/clips/{place}", include_in_schema=False)
    def clip(place: int, query: str = "", words: str = "", clip: str = "") -> Response:
        asking = Query(query, words, clip.strip())
        return HTMLResponse(pages.clip(session, _row(session, place), asking))

    @app.post("/clips/{place}", include_in_schema=False)
    def segment_by_file(
        place: int,
        query: Annotated[str, Form()],
        file: Annotated[UploadFile | None, File()] = None,
    ) -> Response:
        with received(file) as path:
            return HTMLResponse(pages.clip(session, _row(session, place), Query(query, file=path)))

    @app.get("/search", include_in_schema=False)
    def search(
        clip: str = "", words: str = "", source: str = "", target: str = "", by: By = "mean"
    ) -> Response:
        return HTMLResponse(pages.search(session, clip.strip(), words, None, source, target, by))

    @app.post("/search", include_in_schema=False)
    def search_by_file(
        source: Annotated[str, Form()],
        target: Annotated[str, Form()],
        by: Annotated[By, Form()] = "mean",
        file: Annotated[UploadFile | None, File()] = None,
    ) -> Response:
        with received(file) as path:
            return HTMLResponse(pages.search(session, "", "", path, source, target, by))

    @app.get("/static/{name}", include_in_schema=False)
    def static(name: str) -> Response:
        if name == "style.css":
            return Response(stylesheet(), media_type="text/css")
        if name not in STATIC:
            raise DataError(f"no file {name!r}")
        text = resources.files("cmg.explore").joinpath("static", name).read_text("utf-8")
        return Response(text, media_type=STATIC[name])


def _row(session: Session, place: int) -> int:
    if not 0 <= place < len(session.split):
        raise DataError(f"no clip {place}; there are {len(session.split)}, from 0")
    return place


def _add_media(app: FastAPI, session: Session) -> None:
    """Frames and files of clips: by the clip's number, never by a path."""

    def found(place: int, modality: str, step: int, takes: Takes) -> tuple[OwnMedia, Place]:
        media = session.media
        at = Place(modality, _row(session, place), step)
        if not isinstance(media, OwnMedia) or media.takes.get(modality) != takes:
            raise DataError(f"no {takes} of {modality!r}")
        return media, at

    @app.get("/frame/{modality}/{place}/{step}", include_in_schema=False)
    def frame(modality: str, place: int, step: int) -> Response:
        media, at = found(place, modality, step, "frames")
        path = media.file(at)
        with named({} if path is None else {path: path.name}), session.decoding:
            picture = media.frame(at)
        if picture is None:
            raise DataError(f"clip {place} has no frame at step {step}")
        return Response(picture, media_type="image/jpeg")

    @app.get("/sound/{modality}/{place}", include_in_schema=False)
    def sound(modality: str, place: int) -> Response:
        media, at = found(place, modality, 0, "sound")
        path = media.file(at)
        if path is None or not path.is_file():
            raise DataError(f"the sound of clip {place} has moved away since extraction")
        return FileResponse(path)


def _add_api(app: FastAPI, session: Session) -> None:
    """The interface for programs; described in ``/openapi.json``."""

    @app.post("/encode")
    def encode(
        modality: Annotated[str, Form()],
        words: Annotated[str, Form()] = "",
        file: Annotated[UploadFile | None, File()] = None,
    ) -> Codes:
        """Codes of words or of a file."""
        with received(file) as path:
            codes, seconds = session.codes_of(asked(words, path, modality), modality)
        return Codes(modality=modality, codes=codes, step_seconds=seconds)

    @app.post("/retrieve")
    def retrieve(
        source: Annotated[str, Form()],
        target: Annotated[str, Form()],
        by: Annotated[By, Form()] = "mean",
        top: Annotated[int, Form(ge=1, le=MOST)] = 10,
        clip: Annotated[str, Form()] = "",
        words: Annotated[str, Form()] = "",
        file: Annotated[UploadFile | None, File()] = None,
    ) -> Retrieved:
        """The clips nearest to a clip, to words, or to a file, by a modality of theirs."""
        with received(file) as path:
            hits = session.found(clip, words, path, source, target, by, top)
        shown = [FoundClip(id=id_, score=score) for id_, score in hits]
        return Retrieved(source=source, target=target, by=by, hits=shown)

    @app.post("/segment")
    def segment(
        query: Annotated[str, Form()],
        clip: Annotated[str, Form()] = "",
        file: Annotated[UploadFile | None, File()] = None,
        words: Annotated[str, Form()] = "",
        query_clip: Annotated[str, Form()] = "",
        query_file: Annotated[UploadFile | None, File()] = None,
    ) -> FoundMasks:
        """Masks of a clip or a file, by its own sound, by words, by another clip or a file."""
        with received(file) as path, received(query_file) as by:
            found = segmented(session, Query(query, words, query_clip, by), clip, path)
        told = {"share_of_pixels": shares(found), "masks": masks(found)}
        return FoundMasks(id=found.id, query=query, **told)


@contextmanager
def received(upload: UploadFile | None) -> Iterator[Path | None]:
    """An upload as a file of its suffix, which is gone afterwards; None where there is none.

    Raises:
        DataError: it is no media by its suffix.
    """
    if upload is None or not upload.filename:
        yield None
        return
    suffix = Path(upload.filename).suffix.lower()
    if medium_of(Path("query" + suffix)) is None and suffix != CAPTION:
        raise DataError(
            f"{Path(upload.filename).name} is no video, sound, picture or text by its suffix"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"query{suffix}"
        path.write_bytes(upload.file.read())
        with named({path: Path(upload.filename).name}):
            yield path
