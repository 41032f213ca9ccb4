"""The Gradio page over a video library: `python app.py --library DIR` prints its address.

Gradio carries the page, the login, the share link and the public interface (search, list, clip).
The page itself is one HTML component whose scripts lie in assets/ui and whose server functions are
the methods of `vmr.page.Page`; the files it shows come over the routes of `vmr.media`.
"""

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import HTTPException, Request
from gradio.events import api

from feature_extract.extract import Extractor
from vmr.database import default_library
from vmr.guard import RateLimit, from_our_page, is_loopback, logged_in
from vmr.ingest import Ingest
from vmr.media import routes
from vmr.page import Page, Rights
from vmr.preview import Previews
from vmr.ranker import Ranker
from vmr.store import Library
from vmr.text import Words

TEMPLATE = '<div class="moments"><noscript>This page needs JavaScript.</noscript></div>'
# Dynamic, so that the scripts are ordinary modules in files, with no build step.
START = """
import(new URL("ui/page.js", document.baseURI).href)
  .then((page) => page.start(element.querySelector(".moments"), server));
"""
HEAD = '<link rel="stylesheet" href="ui/theme.css"><meta name="color-scheme" content="light dark">'
SEARCHES = (60, 10.0)  # calls in seconds for one visitor, where visitors are not at this computer


def build_app(page: Page, check: Callable[[gr.Request], None]) -> gr.Blocks:
    """The page and its public interface.

    Args:
        check: raises gr.Error for a request that may not be answered.
    """
    blocks = gr.Blocks(title="Moments", analytics_enabled=False, fill_width=True)
    with blocks:
        gr.HTML(
            html_template=TEMPLATE,
            js_on_load=START,
            server_functions=page_functions(page, check),
            apply_default_css=False,
        )
        _public_interface(page, check)
    return blocks


def page_functions(page: Page, check: Callable[[gr.Request], None]) -> list[Callable[..., Any]]:
    """What the page's scripts call: an object in, an object out, with `error` if it must be."""

    def answering(
        work: Callable[[dict[str, Any]], dict[str, Any]], name: str
    ) -> Callable[..., Any]:
        def call(asked: dict[str, Any], request: gr.Request) -> dict[str, Any]:
            try:
                check(request)
                return work(asked)
            except (ValueError, gr.Error) as error:
                return {"error": page.plain(error)}
            except (KeyError, TypeError, AttributeError):  # not what our scripts send
                return {"error": "the request was not understood"}

        call.__name__ = name
        return call

    functions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "search": lambda asked: page.search(asked["query"], video=asked.get("video")),
        "strip": lambda asked: page.strip(asked["query"], int(asked["video"])),
        "library": lambda _: page.library(),
        "preview": lambda asked: page.preview_address(
            int(asked["video"]), float(asked["start"]), float(asked["end"])
        ),
        "add": lambda asked: page.add_path(asked["path"]),
        "act": lambda asked: page.act(asked["what"], asked.get("id")),
    }
    return [answering(work, name) for name, work in functions.items()]


def _public_interface(page: Page, check: Callable[[gr.Request], None]) -> None:
    """The named endpoints, for gradio_client, curl and assistants; reading only."""

    def answered(work: Callable[[], dict[str, Any]], request: gr.Request) -> dict[str, Any]:
        check(request)
        try:
            return work()
        except ValueError as error:
            raise gr.Error(page.plain(error), print_exception=False) from error

    def search(
        query: str, request: gr.Request, top: int = 10, video: int | None = None
    ) -> dict[str, Any]:
        """Find moments of the video library by what happens in them.

        Args:
            query: what happens, in English, such as "a dog runs on the beach".
            top: how many moments at most.
            video: id of the only video to look into; all of them when left out.

        Returns:
            The verdict (strong, possible or none), words that are not known, and the moments, best
            first: video id, name, start and end in seconds, strength from 0 to 1.
        """
        return answered(lambda: page.search(query, video=video, top=top), request)

    def list_videos(request: gr.Request) -> dict[str, Any]:
        """List the videos of the library: id, name, state, duration in seconds, size in pixels."""
        return answered(lambda: {"videos": page.library()["videos"]}, request)

    def clip(video: int, start: float, end: float, request: gr.Request) -> dict[str, Any]:
        """Make a small copy (MP4) of one moment of a video.

        Args:
            video: its id, from search or list.
            start: seconds from the beginning of the video.
            end: seconds from the beginning of the video.

        Returns:
            The address of the copy on this server, and the second of the video it begins at.
        """
        return answered(lambda: page.preview_address(video, start, end), request)

    api(search, api_name="search", queue=False)
    api(list_videos, api_name="list", queue=False)
    api(clip, api_name="clip", concurrency_limit=2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the page until it is stopped."""
    options = read_options(arguments)
    open_to_others = options.share or not is_loopback(options.host)
    auth = account(options.auth, open_to_others)
    library = Library(options.library)
    rights = Rights() if not open_to_others else Rights(options.allow_changes, False, False)
    with Ingest(library, Extractor) as ingest:
        previews = Previews(library.folder / "previews", limit_bytes=options.preview_gb * 2**30)
        page = Page(library, Ranker.load(), Words.load(), ingest, previews, rights)
        serve(page, options, auth=auth, open_to_others=open_to_others).block_thread()


def serve(
    page: Page, options: argparse.Namespace, *, auth: tuple[str, str] | None, open_to_others: bool
) -> gr.Blocks:
    """Start the server and come back; `close()` the result to stop it."""
    limit = RateLimit(*SEARCHES) if open_to_others else None

    def check(request: gr.Request) -> None:
        if not from_our_page(request.headers, loopback=not open_to_others):
            raise gr.Error("this page may only be used from its own address", print_exception=False)
        if limit and not limit.allows(f"{request.client.host} {request.username}"):
            raise gr.Error("too many requests; wait a few seconds", print_exception=False)

    def allowed(request: Request) -> None:
        if not from_our_page(request.headers, loopback=not open_to_others):
            raise HTTPException(403, "this page may only be used from its own address")
        if not logged_in(request.app, request.cookies):
            raise HTTPException(401, "log in first")

    blocks = build_app(page, check)
    router = routes(page, allowed, upload_limit=options.upload_gb * 2**30)
    blocks.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        auth=auth,
        auth_message="A library of videos. The one who shared it has the password.",
        # Given at the start, so that there is no moment at which the page runs without them.
        app_kwargs={"routes": router.routes},
        theme=gr.themes.Default(primary_hue="teal", neutral_hue="stone"),
        head=HEAD,
        ssr_mode=False,
        footer_links=[],
        run_history=False,
        max_file_size=0,
        quiet=True,
        prevent_thread_lock=True,
    )
    _announce(blocks, options, auth)
    return blocks


def _announce(blocks: gr.Blocks, options: argparse.Namespace, auth: tuple[str, str] | None) -> None:
    print(f"Moments is at {blocks.local_url}  (Ctrl+C stops it)")
    if options.share and not blocks.share_url:
        print(
            "There is no share link: Gradio's relay cannot be reached, or its helper program "
            "(frpc) could not be fetched. The page runs on this computer only."
        )
    if auth and not options.auth:
        print(f"Password for visitors: name {auth[0]}, password {auth[1]}")
    sys.stdout.flush()


def account(given: str | None, open_to_others: bool) -> tuple[str, str] | None:
    """Name and password of the login; made up where others can reach the page and none is given."""
    if given:
        name, colon, password = given.partition(":")
        if not (name and colon and password):
            sys.exit("error: --auth wants NAME:PASSWORD")
        return name, password
    return ("guest", secrets.token_urlsafe(9)) if open_to_others else None


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line of the page."""
    parser = argparse.ArgumentParser(
        prog="python app.py", description="Open the page over a library of videos."
    )
    parser.add_argument(
        "--library",
        type=Path,
        default=default_library(),
        metavar="DIR",
        help="default: %(default)s",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: this computer only")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--share", action="store_true", help="make a public link, with a password")
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for this login")
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="let visitors of a shared page add and remove videos",
    )
    parser.add_argument("--upload-gb", type=int, default=4, help="limit for one upload")
    parser.add_argument("--preview-gb", type=int, default=1, help="limit for kept previews")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
