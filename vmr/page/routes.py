"""The page's files over HTTP: videos in ranges, pictures, previews, uploads and our scripts.

A video is named by its id only; no part of a request is ever used as a path. `routes` are added to
the application that carries the page; the guard and the login come before each of them.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final, ParamSpec, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi import Path as PathPart
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.background import BackgroundTask

from feature_extract.files import assets_folder, scratch_folder
from vmr.library.locks import LibraryError
from vmr.media.cut import ExportError
from vmr.media.export import write_still
from vmr.media.ffmpeg import FfmpegError
from vmr.page.changes import Intake
from vmr.page.download import make
from vmr.page.guard import Guard, RefusedError, logged_in
from vmr.page.page import Page, PageError

UI: Final = assets_folder() / "ui"
_KEEP: Final = {"Cache-Control": "private, max-age=86400", "X-Content-Type-Options": "nosniff"}
_FRESH: Final = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
# A type of our choosing: a browser must never take an upload for a page.
_TYPES: Final = {".webm": "video/webm", ".ogv": "video/ogg"}
_SCRIPTS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
P = ParamSpec("P")
T = TypeVar("T")
Row = Annotated[int, Query(ge=0)]
Seconds = Annotated[float, Query(ge=0, allow_inf_nan=False)]
Instant = Annotated[float, PathPart(allow_inf_nan=False)]


def routes(page: Page, intake: Intake, guard: Guard, *, upload_limit: int) -> APIRouter:
    """Every route of the page, for an application of Gradio's, which keeps the login.

    Args:
        upload_limit: bytes of one file.
    """

    def allowed(request: Request) -> None:
        try:
            guard.admit(request.headers)
        except RefusedError as error:
            raise HTTPException(403, str(error)) from error
        if not logged_in(request.app, request.cookies):
            raise HTTPException(401, "log in first")

    def counted(request: Request) -> None:
        try:
            guard.count(str(request.client and request.client.host))
        except RefusedError as error:
            raise HTTPException(429, str(error)) from error

    router = APIRouter(dependencies=[Depends(allowed)])
    interface = {file.name: file for file in UI.iterdir()}

    @router.get("/ui/{name}")
    def ui(name: str) -> Response:
        if name not in interface:
            raise HTTPException(404, "no such file")
        file = interface[name]
        return FileResponse(file, media_type=_SCRIPTS[file.suffix], headers=_FRESH)

    @router.get("/media/{id}")
    def media(id: int) -> Response:
        if not page.rights.originals:
            raise HTTPException(403, "previews only")
        source = _or_404(page.source, id)
        kind = _TYPES.get(source.suffix.lower(), "video/mp4")
        return FileResponse(source, media_type=kind, headers=_FRESH)

    @router.get("/thumbnail/{id}/{row}")
    def thumbnail(id: int, row: int) -> Response:
        picture = _or_404(page.thumbnail, id, row)
        return Response(picture, media_type="image/jpeg", headers=_KEEP)

    @router.get("/sprite/{id}")
    def sprite(id: int, first: Row, last: Row) -> Response:
        file = _or_404(page.sprite, id, first, last)
        return FileResponse(file, media_type="image/jpeg", headers=_KEEP)

    @router.get("/still/{id}/{seconds}")
    def still(id: int, seconds: Instant) -> Response:
        return _or_404(_still, page, id, seconds)

    @router.get("/preview/{id}", dependencies=[Depends(counted)])
    def preview(id: int, start: Seconds, end: Seconds) -> Response:
        file, _ = _or_404(page.moment_preview, id, start, end)
        return FileResponse(file, media_type="video/mp4", headers=_KEEP)

    @router.get("/export/{file}", dependencies=[Depends(counted)])
    def export(file: str, moments: str, copy: bool = False) -> Response:
        return _download(lambda folder: make(page, file, moments, folder, copy=copy))

    @router.get("/picture/{id}/{seconds}", dependencies=[Depends(counted)])
    def picture(id: int, seconds: Instant) -> Response:
        def still(folder: Path) -> Path:
            if not page.rights.originals:
                raise PageError("the original videos cannot be downloaded from here")
            write_still(page.source(id), max(0.0, seconds), folder / "picture.jpg")
            return folder / "picture.jpg"

        return _download(still)

    @router.put("/upload")
    async def upload(name: str, request: Request) -> Response:
        try:
            named = intake.upload_name(name)
            with intake.upload_folder() as folder:
                await _receive(request, folder / named, upload_limit)
                await asyncio.to_thread(intake.take_upload, folder / named)
        except PageError as error:
            raise HTTPException(422, str(error)) from error
        except (OSError, LibraryError) as error:
            raise HTTPException(507, f"{named}: cannot be kept here (disk full?)") from error
        return JSONResponse({"name": named})

    return router


def _download(write: Callable[[Path], Path]) -> Response:
    """What `write` puts into a folder of its own, which goes once the file has been sent."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        try:
            made = write(folder)
        except (PageError, ExportError, FfmpegError) as error:
            raise HTTPException(422, str(error)) from error
        clean = BackgroundTask(stack.pop_all().close)
    return FileResponse(made, filename=made.name, headers=_FRESH, background=clean)


def _or_404(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return function(*arguments, **named)
    except (PageError, FfmpegError) as error:
        raise HTTPException(404, str(error)) from error


def _still(page: Page, id: int, seconds: float) -> Response:
    """A sharp picture of the frame at `seconds`, or the stored thumbnail where none can be made."""
    try:
        file = page.previews.still(page.source(id), max(0.0, seconds))
        return FileResponse(file, media_type="image/jpeg", headers=_KEEP)
    except (PageError, FfmpegError):
        row = page.video(id).rows - 1
        picture = page.thumbnail(id, max(0, min(int(seconds), row)))
        return Response(picture, media_type="image/jpeg", headers=_KEEP)


async def _receive(request: Request, path: Path, limit: int) -> None:
    """Write the body of `request` to `path`."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                most = f"{limit / 2**30:.1f} GB"
                raise HTTPException(413, f"{path.name}: larger than {most}; index it by path")
            await asyncio.to_thread(file.write, chunk)
