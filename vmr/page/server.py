"""The page's server: Gradio carries the page, its login, share link and public interface.

    run(read_options(["--library", "films"]))       # prints the address; until Ctrl+C

The page itself is one HTML component whose scripts lie in assets/ui and whose server functions are
those of `vmr.page.calls`; the files it shows come over the routes of `vmr.page.routes`.
"""

import os
import secrets
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import gradio as gr
from gradio.events import api

from feature_extract.files import sweep_noted
from feature_extract.logs import shown
from vmr.library.encoders import extractor_of
from vmr.library.ingest import Ingest
from vmr.library.store import Library, LibraryError
from vmr.media.preview import Previews
from vmr.page.access import Access
from vmr.page.calls import Calls, View
from vmr.page.guard import Guard, RateLimit
from vmr.page.options import ServerOptions
from vmr.page.page import Page
from vmr.page.routes import ERROR_HANDLERS, routes
from vmr.page.viewer import Screen
from vmr.page.views import AnswerView, PreviewView, VideosView
from vmr.search.mismatch import mismatches, reading_note
from vmr.search.model import model_of

TEMPLATE = '<div class="moments"><noscript>This page needs JavaScript.</noscript></div>'
# Dynamic, so that the scripts are ordinary modules in files, with no build step.
START = """
import(new URL("ui/page.js", document.baseURI).href)
  .then((page) => page.start(element.querySelector(".moments"), server));
"""
HEAD = """<link rel="stylesheet" href="ui/theme.css">
<link rel="stylesheet" href="ui/transcript.css">
<link rel="stylesheet" href="ui/setup.css">
<meta name="color-scheme" content="light dark">"""
V = TypeVar("V")
SEARCHES = (60, 10.0)  # calls in seconds for one visitor, where visitors are not at this computer


def build_app(page: Page, guard: Guard) -> gr.Blocks:
    """The page and its public interface."""
    blocks = gr.Blocks(title="Moments", analytics_enabled=False, fill_width=True)
    with blocks:
        gr.HTML(
            html_template=TEMPLATE,
            js_on_load=START,
            server_functions=page_functions(Calls(page, guard)),
            apply_default_css=False,
        )
        public_interface(page, guard)
    return blocks


def page_functions(calls: Calls) -> list[Callable[..., View]]:
    """What the page's scripts call, in the form that Gradio takes: named functions."""

    def function(name: str) -> Callable[[Any, gr.Request], View]:
        def call(asked: Any, request: gr.Request) -> View:
            return calls.answer(name, asked, headers=request.headers, client=client_of(request))

        call.__name__ = name
        return call

    return [function(name) for name in calls.names]


def public_interface(page: Page, guard: Guard) -> None:
    """The named endpoints, for gradio_client, curl and assistants; reading only."""

    def answered(request: gr.Request, work: Callable[[], V]) -> V:
        try:
            guard.admit(request.headers)
            guard.count(client_of(request))
            return work()
        except ValueError as error:
            raise gr.Error(page.access.message(error), print_exception=False) from error

    # Assistants read these docstrings: Gradio takes one line of each argument, and joins the lines
    # of what comes back by commas.
    def search(
        query: str, request: gr.Request, top: int = 10, video: int | None = None
    ) -> AnswerView:
        """Find moments of the video library by what happens, is said or is written in them.

        Args:
            query: what happens ("a dog runs on the beach"), said:"thank you", or written:exit.
            top: how many moments at most.
            video: id of the only video to look into; all of them when left out.

        Returns:
            The verdict (strong, possible or none), words that are not known
            and the moments, best first, with times in seconds, strength, senses and words.
        """
        return answered(request, lambda: page.viewer.search(query, video=video, top=top))

    def list_videos(request: gr.Request) -> VideosView:
        """List the videos of the library: id, name, state, duration in seconds, size in pixels."""
        return answered(request, lambda: VideosView(videos=page.viewer.listing()["videos"]))

    def clip(video: int, start: float, end: float, request: gr.Request) -> PreviewView:
        """Make a small copy (MP4) of one moment of a video.

        Args:
            video: its id, from search or list.
            start: seconds from the beginning of the video.
            end: seconds from the beginning of the video.

        Returns:
            The address of the copy on this server, and the second of the video it begins at.
        """
        return answered(request, lambda: page.files.preview_address(video, start, end))

    api(search, api_name="search", queue=False)
    api(list_videos, api_name="list", queue=False)
    api(clip, api_name="clip", concurrency_limit=2)


def client_of(request: gr.Request) -> str:
    """Who asks, for counting: behind a relay everybody has one address, but maybe not one login."""
    return f"{request.client.host} {getattr(request, 'username', '')}"


def run(options: ServerOptions) -> None:
    """Serve the page until it is stopped."""
    with shown(options.verbose):
        try:
            _run(options)
        except LibraryError as error:  # such as one that was indexed with other networks
            sys.exit(f"error: {error}")


def _run(options: ServerOptions) -> None:
    sweep_noted()
    library = Library(options.library)
    library.check_presence()  # what went missing while the page was closed is shown as missing
    with Ingest(library, extractor_of(library)) as ingest:
        previews = Previews(library.folder / "previews", limit_bytes=options.preview_gb * 2**30)
        make_model = partial(model_of, sentences=not options.words_only)
        model = make_model(library)
        for note in (*mismatches(library, model), reading_note(model)):
            if note is not None:
                print(f"note: {note}", flush=True)
        screen = Screen(options.kiosk, tuple(options.example))
        page = Page(
            library,
            model,
            ingest,
            previews,
            access_of_visitors(options),
            screen,
            use_feedback=not options.no_feedback,
            make_model=make_model,
        )
        try:
            blocks = serve(page, options)
        except OSError as error:
            sys.exit(f"error: port {options.port} of {options.host} cannot be used ({error})")
        blocks.block_thread()


def serve(page: Page, options: ServerOptions) -> gr.Blocks:
    """Start the server and come back; `close()` the result to stop it."""
    auth = account(options)
    limit = RateLimit(*SEARCHES) if options.open_to_others else None
    guard = Guard(loopback=not options.open_to_others, limit=limit)
    # The relay of a share link connects from this computer, where uvicorn would believe anybody's
    # word on who is behind it. Who runs a proxy of their own sets this to its address.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    page.drop_unfinished_uploads()
    page.queue_unread()
    blocks = build_app(page, guard)
    router = routes(page, guard, upload_limit=options.upload_gb * 2**30)
    blocks.launch(
        server_name=options.host,
        server_port=options.port,
        share=options.share,
        auth=auth,
        auth_message="A library of videos. The one who shared it has the password.",
        # Given at the start, so that there is no moment at which the page runs without them.
        app_kwargs={
            "routes": router.routes,
            "exception_handlers": ERROR_HANDLERS,
            "openapi_url": None,
        },
        theme=gr.themes.Default(primary_hue="teal", neutral_hue="stone"),
        head=HEAD,
        ssr_mode=False,
        footer_links=[],
        run_history=False,
        max_file_size=0,
        mcp_server=options.mcp,
        quiet=True,
        prevent_thread_lock=True,
        # Has it ask itself no second time: on a busy computer an answer that took more than three
        # seconds was "localhost is not accessible", and no page.
        _frontend=False,
    )
    _announce(blocks, options, auth)
    return blocks


def _announce(blocks: gr.Blocks, options: ServerOptions, auth: tuple[str, str] | None) -> None:
    print(f"Moments is at {blocks.local_url}  (Ctrl+C stops it)")
    if options.share and not blocks.share_url:
        print(
            "There is no share link: Gradio's relay cannot be reached, or its helper program "
            "(frpc) could not be fetched. The page runs on this computer only."
        )
    if auth and not options.auth:
        print(f"Password for visitors: name {auth[0]}, password {auth[1]}")
    sys.stdout.flush()


def access_of_visitors(options: ServerOptions) -> Access:
    """Everything at this computer; elsewhere reading, and previews instead of the originals."""
    if options.open_to_others:
        return Access(change=options.allow_changes, paths=False, originals=False)
    return Access(change=not options.kiosk, paths=not options.kiosk)


def account(options: ServerOptions) -> tuple[str, str] | None:
    """Name and password of the login; made up where others can come and none is given."""
    if options.auth or not options.open_to_others:
        return options.auth
    return "guest", secrets.token_urlsafe(9)
