"""The browser and the page that the browser tests share, started when a test needs them.

In every tab the scripts are watched: what they read of an answer has to be in vmr/page/views.py.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Page as Tab

from tests.support.browser import CHROMIUM, FLAGS, HOSTILE, OpenTab
from tests.support.contract import watching_script
from tests.support.planted import packaged_words
from tests.support.planted_page import planted_page, served
from vmr.model.text import Words
from vmr.page.server import START

# A busy machine is slow at any example: that is no finding.
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
PATIENCE = 30_000  # milliseconds: a busy machine answers late; only one that hangs may fail a test


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--no-skips`: a run in which something could not be tried has failed."""
    parser.addoption("--no-skips", action="store_true", help="fail where a test is skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """See `--no-skips`."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Soak tests take as long as they take; all others have the limit of pyproject.toml."""
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(0))


@pytest.fixture
def noted(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where scratch folders are noted, apart from those of other tests."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VMR_CACHE", str(cache))
    return cache / "scratch"


@pytest.fixture(scope="session")
def words() -> Words:
    """The word vectors that come with the product."""
    return packaged_words()


@pytest.fixture(scope="module")
def words_once() -> Iterator[None]:
    """Word vectors are read once in a file that loads many models: nobody changes them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Words, "load", cache(Words.load))
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE)
    # A tab that was not made by `open_tab` has no `watched`.
    watched = START.replace("server)", "(globalThis.watched ?? ((plain) => plain))(server))")
    assert watched != START
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setattr("vmr.page.server.START", watched)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(planted_page(tmp_path_factory.mktemp("browser"), hostile=HOSTILE)) as address:
        yield address


@pytest.fixture
def open_tab(browser: Browser, address: str) -> Iterator[OpenTab]:
    """Opens a tab of a visitor of its own; any error of the page's scripts fails the test."""
    contexts, errors = [], []

    def open_(query: str = "", *, base: str = "", **options: Any) -> Tab:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        context.add_init_script(watching_script())
        tab = context.new_page()
        tab.set_default_timeout(PATIENCE)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto((base or address) + query)
        tab.wait_for_selector("body[data-view]")
        return tab

    yield open_
    for context in contexts:
        context.close()
    assert errors == []
