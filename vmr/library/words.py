"""Which words a library is to have of its videos, and where they were looked for already.

    library.words.want(speech="tiny.en")             # kept with the library
    for id in library.words.left("said"): ...        # searchable videos not yet listened to
    library.words.record(3, "said", transcript, "")  # kept whole, or not at all

What was looked at is kept beside the transcripts, so that no video is listened to twice, one
without sound is not tried again, and everybody can be told why a video has no words.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from feature_extract.transcript import Sense, Transcript
from feature_extract.video.subtitles import sidecars
from vmr.library.catalogue import SEARCHABLE, Video
from vmr.library.connection import Catalogue
from vmr.library.settings import KEEP
from vmr.library.transcripts import Transcripts

DEFAULT: Final = "tiny.en"
"""The speech model of a new library; it lies in a package."""
TEXT: Final = "rapidocr"
"""What reads text in pictures: there is one."""
NOT_NOW: Final = "not now"
"""In the place of a model, of a look that a disk, a network or a permission was in the way of."""
_LOOKED: Final = (
    "INSERT INTO looked VALUES (?, ?, ?, ?, ?) ON CONFLICT (video, sense) DO UPDATE "
    "SET model = excluded.model, beside = excluded.beside, reason = excluded.reason"
)


@dataclass(frozen=True)
class Wanted:
    """What a library's videos are looked through for."""

    speech: str = ""
    "name or folder of the speech model; empty: neither listened to nor looked for subtitles"
    text: bool = False
    "whether text in the pictures is read"

    def model(self, sense: Sense) -> str:
        """What finds the words of a sense; empty where they are not wanted."""
        if sense == "said":
            return self.speech
        return TEXT if self.text else ""


@dataclass(frozen=True)
class Look:
    """What came of looking for words in a video."""

    origin: str
    "where its words come from; empty where it has none"
    reason: str
    "why it has none, or not the best; else empty"


class Words:
    """The words wanted of a library, and those had. `Library.words` is the one to use."""

    def __init__(self, db: Catalogue, transcripts: Transcripts) -> None:
        self._db = db
        self._transcripts = transcripts

    def wanted(self) -> Wanted:
        """What is looked for; nothing in a library that was made before words were."""
        kept = dict(
            self._db.fetch("SELECT key, value FROM settings WHERE key IN ('speech', 'text')")
        )
        return Wanted(kept.get("speech", ""), kept.get("text", "") == TEXT)

    def want(self, *, speech: str | None = None, text: bool | None = None) -> None:
        """Change what is looked for from now on; None leaves it as it is."""
        rows = [] if speech is None else [("speech", speech)]
        if text is not None:
            rows.append(("text", TEXT if text else ""))
        with self._db.transaction() as db:
            db.executemany(KEEP, rows)

    def settle(self) -> None:
        """Have a library that has no video yet listen by default; others stay as they are."""
        said = self._db.fetch("SELECT 1 FROM settings WHERE key = 'speech'")
        if not said and not self._db.fetch("SELECT 1 FROM videos WHERE rows > 0 LIMIT 1"):
            self.want(speech=DEFAULT)

    def left(self, sense: Sense) -> list[int]:
        """The searchable videos in which a wanted sense has not looked for words, oldest first."""
        model = self.wanted().model(sense)
        if not model:
            return []
        query = (
            "SELECT id FROM videos LEFT JOIN looked ON looked.video = id AND sense = ? "  # noqa: S608  # no part of it comes from outside
            f"WHERE state IN {SEARCHABLE} "
            "AND (looked.model IS NULL OR looked.model NOT IN ('', ?)) AND EXISTS "
            "(SELECT 1 FROM paths WHERE video = id AND present = 1) ORDER BY id"
        )
        return [int(id) for (id,) in self._db.fetch(query, sense, model)]

    def record(
        self,
        video: int,
        sense: Sense,
        transcript: Transcript | None,
        reason: str,
        *,
        model: str = "",
        beside: str = "",
    ) -> None:
        """Keep what was found in a video, or why nothing was; all of it, or nothing.

        Args:
            model: what guessed at it, so that another model looks again; empty where none did.
            beside: what `beside` said of the subtitle files when they were looked at.

        Raises:
            LibraryError: the video is gone, or the library cannot be written.
        """
        with self._db.transaction() as db:
            if transcript is None:
                self._transcripts.remove(video, sense)
            else:
                self._transcripts.replace(video, transcript)
            db.execute(_LOOKED, (video, sense, model, beside, reason))

    def put_off(self, video: int, sense: Sense, reason: str) -> None:
        """Say why a video cannot be looked at now; it is looked at again, and what it has stays."""
        with self._db.transaction() as db:
            db.execute(_LOOKED, (video, sense, NOT_NOW, "", reason))

    def looks(self) -> dict[int, dict[Sense, Look]]:
        """Where words were looked for, and what came of it, by video."""
        query = (
            "SELECT looked.video, looked.sense, reason, coalesce(origin, ''), coalesce(passages, 0)"
            " FROM looked LEFT JOIN transcripts ON transcripts.video = looked.video "
            "AND transcripts.sense = looked.sense"
        )
        found: dict[int, dict[Sense, Look]] = {}
        for video, sense, reason, origin, passages in self._db.fetch(query):
            if origin and not passages:  # it looked, and there was nothing
                reason = "; ".join(filter(None, [f"no words ({origin})", reason]))
            found.setdefault(video, {})[sense] = Look(origin if passages else "", reason)
        return found

    def forget_failures(self) -> None:
        """Have what failed tried again."""
        with self._db.transaction() as db:
            db.execute(
                "DELETE FROM looked WHERE reason != '' AND NOT EXISTS (SELECT 1 FROM transcripts "
                "WHERE transcripts.video = looked.video AND transcripts.sense = looked.sense)"
            )

    def forget_changed(self, videos: Iterable[Video]) -> None:
        """Have videos looked at again whose subtitle files came, changed or went."""
        folders: dict[Path, list[str]] = {}
        rows = self._db.fetch("SELECT video, beside FROM looked WHERE sense = 'said'")
        known = dict(rows)
        changed = []
        for video in videos:
            if video.searchable and video.id in known:
                folder = video.path.parent
                if folder not in folders:
                    folders[folder] = _names(folder)
                if beside(video.path, folders[folder]) != known[video.id]:
                    changed.append((video.id,))
        if changed:
            with self._db.transaction() as db:
                db.executemany("DELETE FROM looked WHERE video = ? AND sense = 'said'", changed)


def beside(video: Path, names: list[str] | None = None) -> str:
    """The subtitle files of a video with their sizes and times, as text; empty: none."""
    said = []
    for file in sidecars(video, names):
        try:
            state = file.stat()
        except OSError:  # gone since the folder was listed
            continue
        said.append(f"{file.name}:{state.st_size}:{state.st_mtime_ns}")
    return "/".join(said)


def _names(folder: Path) -> list[str]:
    try:
        return [file.name for file in folder.iterdir()]
    except OSError:
        return []
