"""Which tests cost most, by the clock of the processor: a busy machine changes little.

    OMP_NUM_THREADS=1 python -m pytest -p tests.support.processor_seconds

Programs that a test starts count when they have ended; fixtures count with the test that first
needs them.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest

SHOWN: Final = 15
_SPENT: dict[str, float] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what one test spends, with what it sets up."""
    before = sum(os.times()[:4])
    try:
        return (yield)
    finally:
        _SPENT[item.nodeid] = sum(os.times()[:4]) - before


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the dearest."""
    total = sum(os.times()[:4])
    terminalreporter.section(f"processor seconds: {total:.0f} in all")
    for name in sorted(_SPENT, key=_SPENT.__getitem__, reverse=True)[:SHOWN]:
        terminalreporter.write_line(f"{_SPENT[name]:7.1f} s  {name}")
