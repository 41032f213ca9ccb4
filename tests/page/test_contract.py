"""The page's contract: what the server answers is what views.py says, key by key, and no more.

That the page's scripts read no other keys is checked in every browser test (tests/conftest.py);
here is only the proof that such a check can fail.
"""

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from feature_extract.transcript import TextSpan, Transcript
from tests.support.browser import NEEDED
from tests.support.contract import CONTRACT, all_views, keys_of, misfits, watching_script
from tests.support.planted import random_rows
from tests.support.planted_page import DOG, planted_page
from vmr.model.network import MomentModel
from vmr.model.second_stage import SecondStage, second_stage_config
from vmr.page import views
from vmr.page.access import Access
from vmr.page.calls import Calls
from vmr.page.guard import Guard
from vmr.page.page import Page

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "assets" / "ui").glob("*.js"))
WELCOME = Transcript("said", "made up", "en", (TextSpan(1, 3, "Good evening."),))
SPAN = {"video": 1, "start": 6.0, "end": 10.0}
# Keys that no script reads: they are for programs, which use the public interface.
FOR_PROGRAMS = {"MomentView": {"score"}}
SCOPE = {"camera": "phone", "near": "52.5, 13.4, 20 km", "recorded_since": "2023-05-14"}
FROM_UPLOADS = {("UploadedView", "name")}  # answered by a route, see test_page.py


Call = Callable[[str, object], Any]
"""Of a function by its name with what is asked; its answer as it arrives, through JSON."""


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    page = planted_page(tmp_path_factory.mktemp("page"))
    page.ingest.pause()
    page.viewer._library.transcripts.replace(2, WELCOME)
    # The planted rows are narrower than those of the network that reads pictures.
    row = random_rows(1, 3)[0].astype(np.float32)
    reader: Any = SimpleNamespace(row=lambda _: row)
    page.viewer._pictures = reader
    yield page
    page.ingest.close()


@pytest.fixture(scope="module")
def call(page: Page) -> Call:
    """Calls a function as the scripts do; the answer as it arrives, through JSON."""
    calls = Calls(page, Guard(loopback=True, limit=None))

    def call(name: str, asked: object) -> Any:
        answer = calls.answer(name, asked, headers={"host": "127.0.0.1"}, client="test")
        return json.loads(json.dumps(answer))

    return call


def test_every_function_answers_its_view_and_every_key_is_sent(
    page: Page, call: Call, tmp_path: Path
) -> None:
    (tmp_path / "new.mp4").write_bytes(b"not read here")
    seen: set[tuple[str, str]] = set()
    asked = [
        ("search", {"query": DOG}),
        ("search", {"query": "a motocycle beachh", "video": 1, "scope": SCOPE}),
        ("rate", SPAN | {"query": DOG, "good": True}),
        ("search", {"query": DOG}),
        ("rate", SPAN | {"query": DOG, "good": None}),
        ("like", SPAN),
        ("picture", {"picture": picture()}),
        ("explain", {"query": DOG, "video": 1, "second": 7.0}),
        ("curve", {"query": DOG, "video": 1}),
        ("transcript", {"video": 2}),
        ("search", {"query": 'said:"good evening"'}),
        ("preview", SPAN),
        ("add", {"path": str(tmp_path)}),
        ("rescan", {}),
        ("library", {}),
        ("setup", {}),
        ("set_up", {"text": False}),
        ("act", {"what": "cancel"}),
    ]
    assert {name for name, _ in asked} == CONTRACT.keys()
    for name, request in asked:
        wanted, view = CONTRACT[name]
        assert misfits(request, wanted, where=name) == []
        assert misfits(call(name, request), view, seen, name) == []
    model = page.viewer._model
    config = second_stage_config(model.space, width=24)
    model.second_stage = SecondStage(MomentModel(config), model.space).eval()
    explained = call("explain", {"query": DOG, "video": 1, "second": 7.0})
    model.second_stage = None
    assert misfits(explained, views.ExplanationView, seen, "explain") == []
    refused = call("search", {"query": "beachh"})
    assert misfits(refused, views.ErrorView, seen, "error") == []
    videos = {"videos": call("library", {})["videos"]}
    assert misfits(videos, views.VideosView, seen, "list") == []
    expected = {(view.__name__, key) for view in all_views() for key in keys_of(view)}
    assert seen == expected - FROM_UPLOADS


def test_visitors_who_see_no_paths_get_the_same_view(
    tmp_path: Path, call: Call, page: Page
) -> None:
    shared = planted_page(tmp_path, access=Access(change=False, paths=False, originals=False))
    listed = shared.viewer.listing()
    shared.ingest.close()
    assert misfits(listed, views.LibraryView) == []
    assert keys_of(views.VideoView) - listed["videos"][0].keys() == {"file", "folder", "place"}


def test_every_key_is_read_by_a_script() -> None:
    """What is sent and never read is sent in vain."""
    text = "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    unread = {
        (view.__name__, key)
        for view in all_views()
        for key in keys_of(view) - FOR_PROGRAMS.get(view.__name__, set())
        if not re.search(rf"(\.|[{{,]\s*){key}\b", text)
    }
    assert unread == set()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda answer: answer.update(wrong=1), "search.wrong: not in AnswerView"),
        (lambda answer: answer.pop("verdict"), "search.verdict: missing"),
        (lambda answer: answer["moments"][0].update(wrong=1), "search.moments[0].wrong: not in"),
        (lambda answer: answer["moments"][1].pop("best"), "search.moments[1].best: missing"),
        (
            lambda answer: answer["moments"][0].update(start="6"),
            "start: '6' is no float",
        ),
        (lambda answer: answer["moments"][0].update(verdict="maybe"), "'maybe' is not in"),
        (lambda answer: answer["moments"][0].update(video=True), "video: True is no int"),
        (lambda answer: answer.update(unknown={}), "search.unknown: {} is no list"),
    ],
)
def test_a_planted_wrong_key_is_found(
    call: Call, change: Callable[[Any], object], complaint: str
) -> None:
    answer = call("search", {"query": DOG})
    assert misfits(answer, views.AnswerView) == []
    change(answer)
    (line,) = misfits(answer, views.AnswerView, where="search")
    assert complaint in line


class TestWatching:
    """The check of the browser tests sees wrong keys, deep, and nothing else."""

    pytestmark = NEEDED

    @pytest.fixture
    def errors(self, browser: Browser) -> Iterator[Callable[[str], list[str]]]:
        context = browser.new_context()
        tab = context.new_page()
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.add_init_script(watching_script())
        tab.goto("about:blank")

        def read(code: str) -> list[str]:
            errors.clear()
            tab.evaluate(
                """async (code) => {
                  const moment = { video: 1, start: 6, end: 10, wrong: 1 };
                  const answer = { query: "a dog", moments: [moment], unknown: [] };
                  const server = watched({ search: async () => answer, act: async () => ({}) });
                  const found = await server.search({ query: "a dog" });
                  await new Function("answer", "server", code)(found, server);
                  await new Promise((done) => setTimeout(done, 20));
                }""",
                code,
            )
            return errors

        yield read
        context.close()

    @pytest.mark.parametrize(
        ("code", "wrong"),
        [
            ("answer.mommets", "search.mommets"),
            ("answer.moments[0].wrong", "search.moments[].wrong"),
            ("answer.moments.map(({ wrong }) => wrong)", "search.moments[].wrong"),
            ("const [{ duration }] = answer.moments", "search.moments[].duration"),
            ("answer.moments[0].jugded = true", "search.moments[].jugded"),
            ("server.search({ querry: 'a dog' })", "search({querry})"),
        ],
    )
    def test_a_wrong_key_is_an_error_of_the_page(
        self, errors: Callable[[str], list[str]], code: str, wrong: str
    ) -> None:
        assert [wrong in error for error in errors(code)] == [True]

    def test_the_right_keys_are_none(self, errors: Callable[[str], list[str]]) -> None:
        code = """
          const [moment] = answer.moments;
          delete moment.wrong;
          if (!answer.moments.includes(moment) || moment !== answer.moments[0]) answer.wrong;
          JSON.stringify({ ...answer, more: 1 });
          moment.rated = answer.error ?? moment.start;
          return server.act({ what: "cancel", id: 1 });
        """
        assert errors(code) == []
