"""A running child process, seen from its parent: one message after the other, or that it is lost.

Below `frames.py` and `spans.py`, which say what is read; above nothing but `decoder.py`, which runs
on the other side of the pipe. What finds words (`feature_extract/words.py`) is such a child, too.

    child = Child({"path": "/a.mp4", "rate": 4, "size": [224, 224], "after": None})
    kind, fields, content = child.next(seconds=60)       # LostError when it hangs or crashes
    child.close()

Both ends of the pipe are here: a message is 8 bytes of length, a JSON object, and bytes in the
shape that it states, if any.
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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

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


def send(out: BinaryIO, kind: str, **fields: Any) -> None:
    """Send a message of this kind, with its fields, to the parent process."""
    header = json.dumps({"kind": kind, **fields}).encode()
    out.write(struct.pack("<Q", len(header)) + header)
    out.flush()


class Child:
    """A running process and the thread that takes its messages.

    Args:
        request: what it is asked for, on its command line.
        program: the module that it runs.
        called: what it is called where it is lost.
        environment: variables on top of those that this process has.
    """

    def __init__(
        self,
        request: dict[str, Any],
        *,
        program: str = "feature_extract.video.decoder",
        called: str = "the decoder",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._called = called
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # One thread for numpy: its idle ones would cost memory and time to start.
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        variables = (
            os.environ | one | dict(environment or {}) | {"PYTHONPATH": os.pathsep.join(paths)}
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", program, json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=variables,
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
                    raise LostError(f"{self._called} hung for {seconds:.0f} s") from None
                if on_wait is not None:
                    began = time.monotonic()
                    on_wait()
                    self.held_seconds += time.monotonic() - began
                    until += time.monotonic() - began
                continue
            if message is None:
                raise LostError(f"{self._called} crashed")
            kind, fields, _ = message
            if kind != "log":
                return message
            logging.getLogger(fields["name"]).info("%s", fields["text"])

    def tell(self, line: dict[str, Any]) -> None:
        """Send a line of JSON to a child that reads what it is told, such as one that finds words.

        Raises:
            LostError: it is not there any more.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise LostError(f"{self._called} crashed") from error

    def kill(self) -> None:
        """End the process; what it had sent can still be taken, and after that it is lost."""
        self._process.kill()

    def close(self) -> None:
        """Kill the process and take back everything it held."""
        self._process.kill()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):  # the thread may be waiting for room
                self._messages.get(timeout=0.01)
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # what was told and never read
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
