"""A running decoder process, seen from its parent: one message after the other, or that it is lost.

Below `frames.py` and `spans.py`, which say what is read; above nothing but `decoder.py`, which runs
on the other side of the pipe.

    child = Child({"path": "/a.mp4", "rate": 4, "size": [224, 224], "after": None})
    kind, fields, content = child.next(seconds=60)       # LostError when it hangs or crashes
    child.close()
"""

import contextlib
import io
import json
import logging
import math
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[2]
LOOK_SECONDS: Final = 0.25
"""Between two looks at whether a message is still wanted."""
QUEUE: Final = 4
"""Messages taken ahead of their use."""
LONGEST_HEADER: Final = 1 << 24
"""Bytes: the damaged spans of a very damaged long file, with room to spare."""
LARGEST_CONTENT: Final = 1 << 31
"""Bytes of one message: more is a child out of step."""
NOTHING: Final = np.empty((0, 1, 1, 3), np.uint8)

Message = tuple[str, dict[str, Any], NDArray[np.uint8]]
"""Its kind, its fields, and bytes in the shape that it states, none in most."""


class LostError(Exception):
    """The child process hung or ended without a word; the text says which."""


class Child:
    """A running decoder process and the thread that takes its messages."""

    def __init__(self, request: dict[str, Any]) -> None:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # One thread for numpy: its idle ones would cost memory and time to start.
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment = os.environ | one | {"PYTHONPATH": os.pathsep.join(paths)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "feature_extract.video.decoder", json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.held_seconds = 0.0
        """Spent in what was called while nothing came."""
        self._messages: queue.Queue[Message | None] = queue.Queue(QUEUE)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def next(self, seconds: float, on_wait: Callable[[], None] | None = None) -> Message:
        """The next message, waiting so long at most; LostError when there is none.

        Args:
            on_wait: called some times a second while nothing comes; what it raises ends the
                waiting, and what it takes does not count.
        """
        until = time.monotonic() + seconds
        while True:
            left = max(0.0, until - time.monotonic())
            try:
                message = self._messages.get(timeout=min(left, LOOK_SECONDS) if on_wait else left)
            except queue.Empty:
                if time.monotonic() >= until:
                    raise LostError(f"the decoder hung for {seconds:.0f} s") from None
                if on_wait is not None:
                    began = time.monotonic()
                    on_wait()
                    self.held_seconds += time.monotonic() - began
                    until += time.monotonic() - began
                continue
            if message is None:
                raise LostError("the decoder crashed")
            kind, fields, _ = message
            if kind != "log":
                return message
            logging.getLogger(fields["name"]).info("%s", fields["text"])

    def close(self) -> None:
        """Kill the process and take back everything it held."""
        self._process.kill()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):  # the thread may be waiting for room
                self._messages.get(timeout=0.01)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _receive(self) -> None:
        assert isinstance(self._process.stdout, io.BufferedReader)
        with self._process.stdout as stream:
            try:
                while True:
                    self._messages.put(_message(stream))
            except (EOFError, ValueError, MemoryError):
                self._messages.put(None)


def _message(stream: io.BufferedReader) -> Message:
    (length,) = struct.unpack("<Q", _exactly(stream, 8))
    if length > LONGEST_HEADER:
        raise EOFError  # out of step: as good as lost
    fields = json.loads(_exactly(stream, length))
    shape = tuple(fields.pop("shape", ()))
    content = NOTHING
    if shape:
        if math.prod(shape) > LARGEST_CONTENT:
            raise EOFError
        content = np.empty(shape, np.uint8)
        if content.size and stream.readinto(content.data) < content.nbytes:
            raise EOFError
    return fields.pop("kind"), fields, content


def _exactly(stream: io.BufferedReader, count: int) -> bytes:
    content = stream.read(count)
    if len(content) < count:
        raise EOFError
    return content
