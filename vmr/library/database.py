"""The library's SQLite file: its tables, and how it is opened, also where nothing may be written.

db = open_database(folder / "library.db")
with plain_errors(folder):
    db.execute("SELECT ...")
"""

import logging
import os
import shutil
import sqlite3
import unicodedata
from pathlib import Path
from typing import Final

from feature_extract.files import data_folder, scratch_folder
from vmr.library.locks import LibraryError, plain_errors

logger = logging.getLogger(__name__)


BUSY_SECONDS: Final = 10.0

_FIRST: Final = """
CREATE TABLE IF NOT EXISTS videos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice: the index relies on it
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', progress REAL NOT NULL DEFAULT 0,
    quick TEXT NOT NULL DEFAULT '', full TEXT NOT NULL DEFAULT '', added REAL NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '', rows INTEGER NOT NULL DEFAULT 0,
    features_bytes INTEGER NOT NULL DEFAULT 0, thumbnails_bytes INTEGER NOT NULL DEFAULT 0,
    duration REAL NOT NULL DEFAULT 0, width INTEGER NOT NULL DEFAULT 0,
    height INTEGER NOT NULL DEFAULT 0, fps REAL NOT NULL DEFAULT 0,
    codec TEXT NOT NULL DEFAULT '', unreadable TEXT NOT NULL DEFAULT '[]',
    origin REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS paths (
    path BLOB PRIMARY KEY,                  -- bytes: a file name need not be text
    video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    size_bytes INTEGER NOT NULL, modified_ns INTEGER NOT NULL,
    present INTEGER NOT NULL DEFAULT 1);
CREATE INDEX IF NOT EXISTS videos_quick ON videos (quick);
CREATE INDEX IF NOT EXISTS paths_video ON paths (video);
CREATE TABLE IF NOT EXISTS folders (path BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judgements (
    query TEXT NOT NULL, video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    start REAL NOT NULL, end REAL NOT NULL, good INTEGER NOT NULL);
"""
"""The tables of version 3, with what versions 1 and 2 had not."""

# What is said and written; transcripts.py. A passage is a run of spans, and what is searched. Its
# words lie in the index by a trigger, so that they go with the video, whoever deletes it.
_TRANSCRIPTS: Final = """
CREATE TABLE IF NOT EXISTS transcripts (
    video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE, sense TEXT NOT NULL,
    origin TEXT NOT NULL, language TEXT, passages INTEGER NOT NULL,
    PRIMARY KEY (video, sense)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spans (
    video INTEGER NOT NULL, sense TEXT NOT NULL, place INTEGER NOT NULL,
    start REAL NOT NULL, end REAL NOT NULL, text TEXT NOT NULL,
    words TEXT NOT NULL DEFAULT '', confidence REAL,
    PRIMARY KEY (video, sense, place),
    FOREIGN KEY (video, sense) REFERENCES transcripts ON DELETE CASCADE) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passages (
    id INTEGER PRIMARY KEY,                 -- says of which video and sense it is
    video INTEGER NOT NULL, sense TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    said TEXT, written TEXT,                -- one of them: a search may be for either
    FOREIGN KEY (video, sense) REFERENCES transcripts ON DELETE CASCADE);
CREATE INDEX IF NOT EXISTS passages_video ON passages (video, sense);
CREATE VIRTUAL TABLE IF NOT EXISTS passage_words USING fts5 (
    said, written, content = 'passages', content_rowid = 'id', prefix = '3',
    tokenize = 'porter unicode61 remove_diacritics 2');   -- as tokens.py has it
CREATE TRIGGER IF NOT EXISTS passages_come AFTER INSERT ON passages BEGIN
    INSERT INTO passage_words (rowid, said, written)
    VALUES (new.id, new.said, new.written); END;
CREATE TRIGGER IF NOT EXISTS passages_go AFTER DELETE ON passages BEGIN
    INSERT INTO passage_words (passage_words, rowid, said, written)
    VALUES ('delete', old.id, old.said, old.written); END;
"""

_CHANGES: Final = """
CREATE TABLE changes (                      -- a row a video, also of those that are gone
    number INTEGER PRIMARY KEY,             -- of the last change, always rising
    video INTEGER NOT NULL);
CREATE INDEX changes_video ON changes (video);
INSERT INTO changes (video) SELECT id FROM videos;
"""
_CHANGED: Final = """
    -- By leaps, so that no copy of a library that went its own way has given out the same number.
    INSERT INTO changes VALUES (
        (SELECT coalesce(max(number), 0) FROM changes) + 1 + abs(random() % 1048576), {video});
    DELETE FROM changes WHERE video = {video} AND number < (SELECT max(number) FROM changes);
"""
_TOUCHED: Final = (
    ("INSERT ON videos", "NEW.id"),
    ("UPDATE ON videos", "NEW.id"),
    ("DELETE ON videos", "OLD.id"),
    ("INSERT ON paths", "NEW.video"),
    ("UPDATE ON paths", "OLD.video", "NEW.video"),
    ("DELETE ON paths", "OLD.video"),
)
_TRIGGERS: Final = "".join(
    f"CREATE TRIGGER changed_{event.lower().replace(' ', '_')} AFTER {event} BEGIN "
    + "".join(_CHANGED.format(video=video) for video in videos)
    + "END;\n"
    for event, *videos in _TOUCHED
)
"""Whatever is done to a video or to its paths gives the video a new number."""

_IDENTITY: Final = """
ALTER TABLE paths ADD COLUMN inode INTEGER NOT NULL DEFAULT 0;       -- both 0: not known yet
ALTER TABLE paths ADD COLUMN changed_ns INTEGER NOT NULL DEFAULT 0;
"""
_RECORDINGS: Final = """
ALTER TABLE videos ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;     -- the file, for these:
ALTER TABLE videos ADD COLUMN recorded REAL;                        -- POSIX seconds
ALTER TABLE videos ADD COLUMN recorded_offset INTEGER;              -- minutes ahead of UTC
ALTER TABLE videos ADD COLUMN latitude REAL;
ALTER TABLE videos ADD COLUMN longitude REAL;
ALTER TABLE videos ADD COLUMN make TEXT NOT NULL DEFAULT '';
ALTER TABLE videos ADD COLUMN model TEXT NOT NULL DEFAULT '';
"""

# What was looked at for words, by what, and why there are none; words.py.
_LOOKED: Final = """
CREATE TABLE looked (
    video INTEGER NOT NULL REFERENCES videos (id) ON DELETE CASCADE, sense TEXT NOT NULL,
    model TEXT NOT NULL, beside TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (video, sense)) WITHOUT ROWID;
"""

_STEPS: Final = {
    3: "ALTER TABLE videos ADD COLUMN origin REAL NOT NULL DEFAULT 0;",
    4: _TRANSCRIPTS,
    5: _CHANGES + _TRIGGERS,
    6: _IDENTITY,
    7: _RECORDINGS,
    8: _LOOKED,
}
"""What each version has that the one before had not."""
SCHEMA_VERSION: Final = max(_STEPS)


def default_library() -> Path:
    """$VMR_LIBRARY, or a folder of the user's data."""
    return data_folder("VMR_LIBRARY", "library")


def make_folders(library: Path, *inside: Path) -> None:
    """Make what is missing of a library's folders.

    Raises:
        LibraryError: they cannot be made, or one holds files of somebody else, as there is no
            library yet.
    """
    with plain_errors(library):
        taken = [folder for folder in inside if folder.is_dir() and any(folder.iterdir())]
        if taken and not (library / "library.db").exists():
            raise LibraryError(
                f"{library}: no library, but its {taken[0].name}/ holds files already; choose "
                "another folder, or delete that one"
            )
        for folder in inside:
            folder.mkdir(parents=True, exist_ok=True)


def open_database(path: Path) -> sqlite3.Connection:
    """The database for reading and writing, made when missing.

    Raises:
        LibraryError: it cannot be opened, is damaged, or is of another version.
    """
    with plain_errors(path.parent):
        db = _connect(f"{path.absolute().as_uri()}?mode=rwc")
        # FULL: a power cut must not undo a video that was reported as ready.
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
        db.execute("PRAGMA foreign_keys = ON")
        _bring_up_to_date(db)
        _check_version(db, path)
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The database without a right to write, even to its folder; one of an older version as a copy
    in memory, brought up to date.

    Raises:
        LibraryError: there is none, it is damaged, or of another version.
    """
    if not path.is_file():
        raise LibraryError(f"{path.parent}: no library here; `index` makes one")
    with plain_errors(path.parent):
        try:
            db = _connect(f"{path.absolute().as_uri()}?mode=ro")
            older = 0 < _version(db) < SCHEMA_VERSION
        except sqlite3.OperationalError as error:
            logger.info("%s: read as a copy in memory: %s", path, error)
            # WAL wants to write a file of shared memory beside the database; where it may not, a
            # copy serves: a folder that nobody can write does not change under us.
            db = _copy_in_memory(path)
        else:
            if older:
                logger.info("%s: of an older version; read as a copy in memory", path)
                db.close()
                db = _copy_in_memory(path)
        _check_version(db, path)
    return db


def composed(path: bytes) -> bytes:
    """A path with accents and letters in one, where it is text; statements call it, too."""
    return os.fsencode(unicodedata.normalize("NFC", os.fsdecode(path)))


def _connect(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    db.create_function("composed", 1, composed, deterministic=True)
    db.create_function("lowered", 1, bytes.lower, deterministic=True)
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Make what is missing: of a new library everything, of an older one what came later."""
    version = _version(db)
    if version >= SCHEMA_VERSION:
        return
    # A new library has all of version 3 by its first tables.
    later = [step for number, step in _STEPS.items() if number > (version or 3)]
    script = "".join([_FIRST, *later])
    try:
        db.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.rollback()
        if _version(db) < SCHEMA_VERSION:
            raise  # otherwise another process was first, with the same tables


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version != SCHEMA_VERSION:
        raise LibraryError(
            f"{path.parent}: made by another version of this program (library version {version}, "
            f"expected {SCHEMA_VERSION}); index into a new folder"
        )


def _copy_in_memory(path: Path) -> sqlite3.Connection:
    with scratch_folder() as folder:
        for suffix in ("", "-wal"):
            source = Path(f"{path}{suffix}")
            if source.is_file():
                shutil.copyfile(source, folder / f"library.db{suffix}")
        copy = _connect((folder / "library.db").as_uri())
        memory = _connect("file::memory:")
        copy.backup(memory)
        copy.close()
    if _version(memory):
        _bring_up_to_date(memory)
    return memory
