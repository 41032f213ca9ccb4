"""The child process that finds words: subtitles, speech, or text in pictures, video after video.

`words.py` starts it as a program of its own, because Whisper and ONNX run native code that no
exception or thread can stop, and hold memory that only the end of a process gives back.

    python -m feature_extract.words_worker '{"threads": 2, "memory": 4294967296}'

It reads lines of JSON from standard input: {"find": "said", ...} asks for the words of one video,
{"go": true} for the next step of it. After each step it waits for that, so that whoever asks may
pause it; when the input ends, so does it. It writes messages as `video/child.py` says: "spans" as
they are found, "step" after each step, and "end".
"""

import contextlib
import json
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from feature_extract.networks.lettering import LetterReader, Look, Seen, looked_at, shown
from feature_extract.networks.speech import Listener, SpeechError, SpeechModel
from feature_extract.transcript import TextSpan, Transcript
from feature_extract.video.child import send
from feature_extract.video.frames import NotNowError, VideoError, read_frames, shown_name
from feature_extract.video.sound import read_words
from feature_extract.video.subtitles import SubtitleError, from_file, from_tracks, sidecars

NICENESS: Final = 10
"""Beneath whatever else computes, such as the pictures of the next video and a search."""
LARGEST_SIDE: Final = 1280
"""Pixels: pictures are read for text no larger than this."""
RATE: Final = 2
"""Sample times a second of what is read for text: so that each shot of half a second has one."""
EARLY: Final = 0.13
"""Seconds by which a shot may begin before its cut, which is placed to 1/8 s."""
SPANS: Final = 500
"""Sent in one message."""


class Worker:
    """Answers one request after the other; keeps the networks between them."""

    def __init__(self, out: Any, threads: int) -> None:
        self._out, self._threads = out, threads
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._listener: tuple[SpeechModel, Listener] | None = None
        self._reader: LetterReader | None = None
        threading.Thread(target=self._take_lines, daemon=True).start()

    def serve(self) -> None:
        """Answer what is asked, until the input ends."""
        while True:
            request = self._lines.get()
            try:
                if request["find"] == "said":
                    self._said(request)
                else:
                    self._written(request)
            except (VideoError, SpeechError) as error:
                reason = _without_name(error, Path(request["path"]))
                self._end(reason, guessed=True, passing=isinstance(error, NotNowError))

    def _take_lines(self) -> None:
        for line in sys.stdin.buffer:
            self._lines.put(json.loads(line))
        os._exit(1)  # nobody asks any more; the networks' threads may be busy in native code

    def _step(self, fraction: float) -> None:
        """Say how far this has come, and wait until the next step is asked for."""
        send(self._out, "step", fraction=round(min(1.0, fraction), 4))
        self._lines.get()

    def _said(self, request: dict[str, Any]) -> None:
        path, end = Path(request["path"]), request["end"]
        remarks = []
        for beside in sidecars(path):
            try:
                self._whole(from_file(beside, end=end))
                return
            except SubtitleError as error:
                remarks.append(str(error))
        model = request["model"]
        with read_words(path, 0.0, end) as words:
            tracked = from_tracks(words.tracks, end=end)
            if tracked is not None:
                self._whole(tracked)
                return
            if model is None:
                self._end(reason="; ".join([*remarks, "no subtitles"]))
                return
            listener = self._ready_listener(SpeechModel(model["name"], Path(model["folder"])))
            listened = 0.0
            try:
                for block in listener.listen(words):
                    self._spans(block.spans)
                    self._step(block.seconds / end)
                    listened = block.seconds
            except VideoError as error:
                if not listened or isinstance(error, NotNowError):
                    raise
                remarks.append(f"heard up to {listened:.0f} s: {_without_name(error, path)}")
        reason = "; ".join(filter(None, [*remarks, words.reason]))
        if words.reason:
            self._end(reason)
        else:
            origin = f"whisper {model['name']}"
            self._end(reason, origin=origin, language=listener.language, guessed=True)

    def _ready_listener(self, model: SpeechModel) -> Listener:
        if self._listener is None or self._listener[0] != model:
            self._listener = model, Listener(model, threads=self._threads)
        return self._listener[1]

    def _written(self, request: dict[str, Any]) -> None:
        if self._reader is None:
            self._reader = LetterReader(threads=self._threads)
        end, seen = request["end"], []
        wanted = looked_at(request["cuts"], end)
        for look, picture in pictures_at(Path(request["path"]), request, wanted):
            seen.append(Seen(look, self._reader.lines(picture)))
            self._step(look.seconds / end)
        self._spans(shown(seen))
        self._end("", origin="text in the picture")

    def _whole(self, transcript: Transcript) -> None:
        self._spans(transcript.spans)
        self._end("", origin=transcript.origin, language=transcript.language)

    def _spans(self, spans: tuple[TextSpan, ...]) -> None:
        for at in range(0, len(spans), SPANS):
            send(self._out, "spans", spans=[asdict(span) for span in spans[at : at + SPANS]])

    def _end(
        self,
        reason: str,
        *,
        origin: str = "",
        language: str | None = None,
        guessed: bool = False,
        passing: bool = False,
    ) -> None:
        fields = {"origin": origin, "language": language, "guessed": guessed}
        send(self._out, "end", reason=reason, passing=passing, **fields)


def _without_name(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{shown_name(path)}: ")


def pictures_at(
    path: Path, request: dict[str, Any], wanted: list[Look]
) -> Iterator[tuple[Look, NDArray[np.uint8]]]:
    """The pictures on the screen at some times, ascending; of shots too short to be met, none."""
    queue = deque(wanted)
    shown_last: tuple[float, NDArray[np.uint8]] | None = None
    width, height = request["size"]
    scale = min(1.0, LARGEST_SIDE / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    with read_frames(path, rate=RATE, size=size) as frames:
        for batch in frames:
            for seconds, picture in zip(batch.times.tolist(), batch.pixels, strict=True):
                while queue and shown_last is not None and queue[0].seconds < seconds:
                    look = queue.popleft()
                    if shown_last[0] >= look.start - EARLY:
                        yield look, shown_last[1]
                shown_last = seconds, picture
    for look in queue:
        if shown_last is not None and shown_last[0] >= look.start - EARLY:
            yield look, shown_last[1]


def limit_memory(count: int) -> None:
    """Let the system end this process when it asks for more bytes. Decoders, which it starts, have
    a limit of their own, so the hard one stays."""
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (count, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Serve what is asked on standard input, by the settings on the command line."""
    settings = json.loads(sys.argv[1])
    limit_memory(settings["memory"])
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    # Native libraries print to 1 as they like; the messages get a descriptor of their own.
    out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    os.dup2(2, 1)
    Worker(out, settings["threads"]).serve()


if __name__ == "__main__":
    main()
