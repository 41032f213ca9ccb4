"""The page's files over HTTP: our scripts, videos in ranges, pictures, downloads and uploads.

A video is named by its id only; no part of a request is ever used as a path. `routes` are added to
the application that carries the page; the guard and the login come before each of them, and what
goes wrong in one is answered by `ERROR_HANDLERS`, one line with its status.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi import Path as PathPart
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from feature_extract.files import assets_folder, scratch_folder
from vmr.library.blobs import Entry
from vmr.library.films import BucketPath, one_look
from vmr.library.store import LibraryError
from vmr.media.cut import ExportError
from vmr.media.ffmpeg import FfmpegError
from vmr.page.access import AccessError, NotFoundError, PageError
from vmr.page.download import make
from vmr.page.files import MediaFiles
from vmr.page.guard import Guard, OriginError, RateError, logged_in
from vmr.page.page import Page
from vmr.page.ranges import pieces, read_range
from vmr.page.uploads import safe_name
from vmr.page.views import UploadedView

UI: Final = assets_folder() / "ui"
AT_ONCE: Final = 4
"""Exports, previews and pictures that are made at a time."""
_KEEP: Final = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
_FRESH: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
# A type of our choosing: a browser must never take an upload for a page.
_TYPES: Final = {".webm": "video/webm", ".ogv": "video/ogg"}
_SCRIPTS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_STATUS: Final[dict[type[Exception], int]] = {
    AccessError: 403,
    OriginError: 403,
    NotFoundError: 404,
    PageError: 422,
    ExportError: 422,
    FfmpegError: 422,
    RateError: 429,
}
Row = Annotated[int, Query(ge=0)]
Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False)]
Instant = Annotated[float, PathPart(allow_inf_nan=False)]


def _handler(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(_: Request, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status)

    return handle


ERROR_HANDLERS: Final[dict[Any, Callable[[Request, Exception], Awaitable[Response]]]] = {
    error: _handler(status) for error, status in _STATUS.items()
}
"""For the application: how an error that leaves a route is answered."""


def routes(page: Page, guard: Guard, *, upload_limit: int) -> APIRouter:
    """Every route of the page, for an application of Gradio's, which keeps the login.

    Args:
        upload_limit: bytes of one file.
    """

    def allowed(request: Request) -> None:
        guard.admit(request.headers)
        if not logged_in(request.app, request.cookies):
            raise HTTPException(401, "log in first")

    def counted(request: Request) -> None:
        guard.count(str(request.client and request.client.host))

    router = APIRouter(dependencies=[Depends(allowed)])
    router.include_router(_interface())
    router.include_router(_pictures(page.files))
    router.include_router(_made_to_order(page.files), dependencies=[Depends(counted)])
    router.include_router(_uploads(page, upload_limit))
    return router


def _interface() -> APIRouter:
    """Our scripts and looks."""
    router = APIRouter()
    interface = {file.name: file for file in UI.iterdir()}

    @router.get("/ui/{name}")
    def ui(name: str) -> Response:
        if name not in interface:
            raise NotFoundError("no such file")
        file = interface[name]
        return FileResponse(file, media_type=_SCRIPTS[file.suffix], headers=_FRESH)

    return router


def _pictures(files: MediaFiles) -> APIRouter:
    """What players and cards show: it costs little, so nobody is counted."""
    router = APIRouter()

    @router.get("/media/{id}")
    def media(id: int, request: Request) -> Response:
        with one_look():
            source = files.original(id)
            kind = _TYPES.get(source.suffix.lower(), "video/mp4")
            if isinstance(source, BucketPath):
                return _of_object(source, files.entry(source), request, kind)
        return FileResponse(source, media_type=kind, headers=_FRESH)

    @router.get("/thumbnail/{id}/{row}")
    def thumbnail(id: int, row: int) -> Response:
        return Response(files.thumbnail(id, row), media_type="image/jpeg", headers=_KEEP)

    @router.get("/sprite/{id}")
    def sprite(id: int, first: Row, last: Row) -> Response:
        return FileResponse(files.sprite(id, first, last), media_type="image/jpeg", headers=_KEEP)

    @router.get("/still/{id}/{seconds}")
    def still(id: int, seconds: Instant) -> Response:
        made = files.still(id, seconds)
        if isinstance(made, bytes):
            return Response(made, media_type="image/jpeg", headers=_KEEP)
        return FileResponse(made, media_type="image/jpeg", headers=_KEEP)

    return router


def _of_object(path: BucketPath, entry: Entry, request: Request, kind: str) -> Response:
    size = entry.size_bytes
    headers = _FRESH | {"Accept-Ranges": "bytes"}
    try:
        part = read_range(request.headers.get("range", ""), size)
    except ValueError:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    start, end = (0, size) if part is None else (part.start, part.stop)
    headers["Content-Length"] = str(end - start)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    content = pieces(path, entry, start, end)
    status = 200 if part is None else 206
    return StreamingResponse(content, status, headers=headers, media_type=kind)


def _made_to_order(files: MediaFiles) -> APIRouter:
    """What ffmpeg has to make first: a few at a time. Who waits for one holds no thread, so that
    nobody's question waits for an export."""
    router, few = APIRouter(), asyncio.Semaphore(AT_ONCE)

    async def in_turn(work: Callable[[], Response]) -> Response:
        async with few:
            return await run_in_threadpool(work)

    @router.get("/preview/{id}")
    async def preview(id: int, start: Seconds, end: Seconds) -> Response:
        def made() -> Response:
            file, _ = files.preview(id, start, end)
            return FileResponse(file, media_type="video/mp4", headers=_KEEP)

        return await in_turn(made)

    @router.get("/export/{file}")
    async def export(file: str, moments: str, copy: bool = False) -> Response:
        write = partial(make, files, file, moments, copy=copy)
        return await in_turn(lambda: _download(write))

    @router.get("/picture/{id}/{seconds}")
    async def picture(id: int, seconds: Instant) -> Response:
        write = partial(files.picture, id, seconds)
        return await in_turn(lambda: _download(write))

    return router


def _uploads(page: Page, limit: int) -> APIRouter:
    """Files from visitors, for those who may change the library."""
    router = APIRouter()

    @router.put("/upload")
    async def upload(name: str, request: Request) -> UploadedView:
        editor, named = page.editor(), safe_name(name)
        try:
            with editor.uploads.draft_folder() as folder:
                await _receive(request, folder / named, limit)
                await asyncio.to_thread(editor.take_upload, folder / named)
        except (OSError, LibraryError) as error:
            raise HTTPException(507, f"{named}: cannot be kept here (disk full?)") from error
        return {"name": named}

    return router


def _download(write: Callable[[Path], Path]) -> Response:
    """What `write` puts into a folder of its own, which goes once the file has been sent."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        made = write(folder)
        clean = BackgroundTask(stack.pop_all().close)
    return FileResponse(made, filename=made.name, headers=_FRESH, background=clean)


async def _receive(request: Request, path: Path, limit: int) -> None:
    """Write the body of `request` to `path`."""
    size = 0
    with path.open("wb") as file:  # written in place: a draft of the caller's
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                most = f"{limit / 2**30:.1f} GB"
                raise HTTPException(413, f"{path.name}: larger than {most}; index it by path")
            await asyncio.to_thread(file.write, chunk)
