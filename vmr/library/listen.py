"""The queue of videos whose words are wanted: one worker beside the one that indexes pictures.

    queue = WordQueue(library, busy=lambda: False)
    queue.wake()              # once videos are ready, or more is wanted
    queue.wait()
    queue.close()

A video is ready, and found by its pictures, before it is listened to. Text in pictures is read when
nothing else is left to do. What fails is a line in the list, and never fails a video.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feature_extract.networks.speech import find_model
from feature_extract.transcript import SENSES, Sense
from feature_extract.video.frames import VideoInfo, shown_name
from feature_extract.words import Found, WordFinder
from vmr.library.catalogue import Video
from vmr.library.content import ContentError
from vmr.library.film_cache import local_film
from vmr.library.locks import LibraryError
from vmr.library.store import Library, NoVideoError
from vmr.library.words import beside

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WordProgress:
    """Where the search for words stands, at one moment."""

    left: int
    "videos to look through, the one in work among them, once for each sense"
    video: int | None
    "the one in work"
    sense: Sense
    fraction: float
    "0..1 of it"
    note: str
    "why it does not go on, such as a model that is missing; empty otherwise"

    @property
    def running(self) -> bool:
        """Whether there is work left that can be done."""
        return self.left > 0 and not self.note


class _Cancelled(Exception):  # noqa: N818 - not an error: the way out of a running search
    pass


class WordQueue:
    """The worker that has words found; safe to use from any thread."""

    def __init__(self, library: Library, *, busy: Callable[[], bool]) -> None:
        """`busy` says whether pictures are being indexed, after which text is read."""
        self._library, self._busy = library, busy
        self._finder = WordFinder()
        self._changed = threading.Condition(threading.RLock())
        self._paused = self._closing = False
        self._passed: set[tuple[int, Sense]] = set()  # cancelled, or not to be read now
        self.faulty = False
        """Whether a disk, a network or a permission was in the way of some: `wake` tries again."""
        self._now: tuple[int, Sense] | None = None
        self._fraction, self._note = 0.0, ""
        self._thread: threading.Thread | None = None
        if not library.read_only:
            library.words.settle()

    def take(self, id: int, path: Path, info: VideoInfo) -> None:
        """Look for the words of a video that is ready now; not where it is plain from `info`
        that there are none. What the library refuses is left for the next `wake`."""
        words = self._library.words
        silent = not (info.has_audio or info.has_text)
        try:
            if silent and words.wanted().speech and not beside(path):
                words.record(id, "said", None, "no sound")
            self.wake()
        except LibraryError as error:  # its pictures are kept all the same
            logger.info("%s: words are left for later (%s)", path, error)

    def wake(self) -> None:
        """Look whether something is to be done; what was cancelled or stopped is tried again."""
        with self._changed:
            self._passed.clear()
            self._note, self.faulty = "", False
            if self._thread is None and not self._closing and self._next() is not None:
                self._thread = threading.Thread(target=self._work, name="words", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def want(self, *, text: bool) -> None:
        """Have text in pictures read from now on, what failed before among it, or no longer."""
        self._library.words.want(text=text)
        self._library.words.forget_failures()
        with self._changed:
            self._kill()
        self.wake()

    def progress(self) -> WordProgress:
        """Where it stands now."""
        with self._changed:
            video, sense = self._now or (None, SENSES[0])
            left = sum(len(self._left(each)) for each in SENSES)
            return WordProgress(left, video, sense, self._fraction, self._note)

    def pause(self) -> None:
        """Hold the worker, within the video in work."""
        with self._changed:
            self._paused = True

    def resume(self) -> None:
        """Go on after `pause`."""
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def cancel(self, video: int | None = None) -> None:
        """Leave one video, or all that are left, as they are, until `wake`."""
        with self._changed:
            chosen = {(id, sense) for sense in SENSES for id in self._left(sense)}
            self._passed |= {job for job in chosen if video in (None, job[0])}
            self._kill()
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until nothing is left; False when the time was not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, seconds)

    def close(self) -> None:
        """Stop the worker; what it had not finished is done another time."""
        with self._changed:
            self._closing = True
            self._kill()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _kill(self) -> None:
        """End what is in work at once, if it has been given up."""
        if self._now is not None and self._given_up(*self._now):
            self._finder.kill()

    def _left(self, sense: Sense) -> list[int]:
        left = self._library.words.left(sense)
        return [video for video in left if (video, sense) not in self._passed]

    def _next(self) -> tuple[int, Sense] | None:
        for sense in SENSES:
            if left := self._left(sense):
                return left[0], sense
        return None

    # The worker

    def _work(self) -> None:
        try:
            with self._finder:
                while (job := self._taken()) is not None:
                    self._try(*job)
        except Exception as error:  # videos are searchable without; the next `wake` tries again
            logger.info("looking for words stopped", exc_info=error)
            with self._changed:
                self._note = str(error)
        finally:
            with self._changed:
                if self._thread is threading.current_thread():
                    self._thread = None
                self._now = None
                self._changed.notify_all()

    def _try(self, id: int, sense: Sense) -> None:
        try:
            self._do(id, sense)
        except NoVideoError:  # removed meanwhile
            logger.info("video %d is gone; its words are not looked for", id)
        finally:
            with self._changed:
                self._now = None

    def _taken(self) -> tuple[int, Sense] | None:
        """The next video, once it may be begun; None when there is none, or no more."""
        with self._changed:
            while not self._closing:
                job = self._next()
                if job is None:
                    self._thread = None  # within the lock: the next `wake` starts another
                    return None
                if not self._paused and (job[1] == "said" or not self._busy()):
                    self._now, self._fraction = job, 0.0
                    return job
                self._changed.wait(0.5)
            return None

    def _do(self, id: int, sense: Sense) -> None:
        """Find the words of one video, while no other process does."""
        with self._library.lock("words", wait_seconds=0.5) as alone:
            if not alone or id not in self._left(sense):
                return
            video = self._library.video(id)
            stamp, began = beside(video.path), time.monotonic()
            if self._put_off(video, sense):
                return
            try:
                found = self._found(video, sense)
            except _Cancelled:
                return
            if self._given_up(id, sense):  # its process was killed, which is no finding
                return
            if self._put_off(video, sense, found.reason if found.passing else ""):
                return
            origin = found.transcript.origin if found.transcript else ""
            seconds = time.monotonic() - began
            said = origin or found.reason
            logger.info("%s: %s words in %.1f s: %s", video.path, sense, seconds, said)
            self._keep(video, sense, found, stamp)

    def _put_off(self, video: Video, sense: Sense, fault: str = "") -> bool:
        """Whether a file cannot be read now, by `fault` or because it is gone, or is another
        recording: its words would be those of another video. Both are left until `wake`."""
        same = True
        try:
            same = self._library.still_holds(video)
        except ContentError as error:
            fault = str(error).removeprefix(f"{shown_name(video.path)}: ")
        if same and not fault:
            return False
        why = f"could not be read now ({fault})" if fault else "another recording lies there now"
        logger.info("%s: %s words are left for later: %s", video.path, sense, why)
        with self._of_a_video(video):
            self._library.words.put_off(video.id, sense, why)
        with self._changed:
            self._passed.add((video.id, sense))
            self.faulty = self.faulty or bool(fault)
        return True

    def _keep(self, video: Video, sense: Sense, found: Found, stamp: str) -> None:
        words = self._library.words
        model = words.wanted().model(sense)
        if sense == "said" and not found.guessed:
            model = ""  # no other model would find anything else
        with self._of_a_video(video):
            words.record(video.id, sense, found.transcript, found.reason, model=model, beside=stamp)

    @contextmanager
    def _of_a_video(self, video: Video) -> Iterator[None]:
        """NoVideoError where something cannot be kept because the video was removed meanwhile."""
        try:
            yield
        except LibraryError:
            self._library.video(video.id)
            raise

    def _found(self, video: Video, sense: Sense) -> Found:
        def report(fraction: float) -> None:
            with self._changed:
                self._fraction = fraction
                self._changed.wait_for(lambda: not self._paused or self._given_up(video.id, sense))
                if self._given_up(video.id, sense):
                    raise _Cancelled

        try:
            with local_film(video.path, lambda _: report(0.0)) as file:
                return self._found_in(file, video, sense, report)
        except ContentError as error:  # of a film in a bucket
            why = str(error).removeprefix(f"{shown_name(video.path)}: ")
            return Found(None, why, passing=True)

    def _found_in(
        self, file: Path, video: Video, sense: Sense, report: Callable[[float], None]
    ) -> Found:
        if sense == "said":
            model = find_model(self._library.words.wanted().speech)
            return self._finder.said(file, end=video.duration, model=model, report=report)
        cuts = self._library.features(video.id).cuts.tolist()
        size = video.width, video.height
        return self._finder.written(file, end=video.duration, size=size, cuts=cuts, report=report)

    def _given_up(self, id: int, sense: Sense) -> bool:
        given_up = self._closing or (id, sense) in self._passed
        return given_up or not self._library.words.wanted().model(sense)
