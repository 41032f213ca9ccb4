"""The library on the disk: states, identity by content, what survives damage."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.planted import (
    FINGERPRINT,
    as_made_by_version,
    plant,
    planted_extraction,
    random_rows,
    write_file,
)
from vmr.library.content import SAMPLE_BYTES, ContentError, FileStamp, full_digest, quick_digest
from vmr.library.scope import Scope
from vmr.library.store import Library, LibraryError, NoVideoError, Video


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(tmp_path / "library")
    yield library
    library.close()


def index(library: Library, path: Path, seed: int = 0) -> Video:
    """Register and store one existing file, as ingest does."""
    library.adopt(FINGERPRINT)
    video = library.register(path)
    if not video.searchable:
        extraction = planted_extraction(random_rows(5, seed))
        library.store(video.id, extraction, full=full_digest(path))
    library.drop_unnamed()
    return library.video(video.id)


# What is stored comes back


def test_a_stored_video_comes_back(library: Library, tmp_path: Path) -> None:
    rows = random_rows(12, 3)
    id = plant(library, tmp_path / "a.mp4", rows)
    video = library.video(id)
    assert (video.state, video.reason, video.rows, video.duration) == ("ready", "", 12, 12.0)
    assert (video.name, video.path, video.also) == ("a.mp4", tmp_path / "a.mp4", ())
    assert (video.width, video.height, video.fps, video.codec) == (320, 180, 25.0, "h264")
    assert video.size_bytes == (tmp_path / "a.mp4").stat().st_size
    assert library.videos() == [video]
    np.testing.assert_array_equal(library.features(id).rows, rows)
    assert library.thumbnails(id, [11, 0]) == [b"jpeg 11", b"jpeg 0"]


def test_it_is_the_same_after_opening_again(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    before = library.video(id)
    library.close()
    again = Library(library.folder)
    assert again.videos() == [before]
    assert again.thumbnails(id, [3]) == [b"jpeg 3"]
    assert again.fingerprint == FINGERPRINT


def test_partly_readable_says_where(library: Library, tmp_path: Path) -> None:
    video = library.register(write_file(tmp_path / "a.mp4"))
    whole = planted_extraction(random_rows(9, 0))
    damaged = replace(whole.features, unreadable=((2.0, 4.5), (7.0, 8.0)))
    library.store(video.id, replace(whole, features=damaged), full="x")
    video = library.video(video.id)
    assert (video.state, video.searchable) == ("partly readable", True)
    assert video.reason == "damaged from 2.0 to 4.5 s, 7.0 to 8.0 s"
    assert video.unreadable == ((2.0, 4.5), (7.0, 8.0))


def test_what_is_not_there_is_said(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    fresh = library.register(write_file(tmp_path / "b.mp4"))
    with pytest.raises(NoVideoError, match="no video 77"):
        library.video(77)
    with pytest.raises(LibraryError, match="not indexed yet"):
        library.features(fresh.id)
    for video, row in ((id, 4), (id, -1), (fresh.id, 0)):
        with pytest.raises(LibraryError, match="no thumbnail"):
            library.thumbnails(video, [0, row])


def test_remove_forgets_the_video_and_keeps_the_file(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    library.remove(id)
    assert library.videos() == []
    assert not [*library.folder.glob("*/*")]
    assert (tmp_path / "a.mp4").exists()
    assert plant(library, tmp_path / "a.mp4", random_rows(4, 0)) > id  # ids are not used again


# A video is its content


def test_unchanged_moved_renamed_copied(library: Library, tmp_path: Path) -> None:
    first = index(library, write_file(tmp_path / "a.mp4"))
    assert index(library, tmp_path / "a.mp4") == first
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    moved = index(library, tmp_path / "b.mp4")
    assert (moved.id, moved.state, moved.path, moved.also) == (
        first.id,
        "ready",
        tmp_path / "b.mp4",
        (),
    )
    shutil.copyfile(tmp_path / "b.mp4", tmp_path / "c.mp4")
    copied = index(library, tmp_path / "c.mp4")
    assert (copied.id, copied.also) == (first.id, (tmp_path / "c.mp4",))
    assert library.find(tmp_path / "c.mp4") == library.find(tmp_path / "b.mp4") == copied
    assert len(library.videos()) == 1


def test_a_changed_file_is_another_video_and_the_old_one_goes(
    library: Library, tmp_path: Path
) -> None:
    first = index(library, write_file(tmp_path / "a.mp4", b"one"))
    write_file(tmp_path / "a.mp4", b"two!")
    changed = library.register(tmp_path / "a.mp4")
    assert (changed.id != first.id, changed.state) == (True, "new")
    library.drop_unnamed()
    assert [video.id for video in library.videos()] == [changed.id]


def test_touched_but_equal_is_the_same(library: Library, tmp_path: Path) -> None:
    first = index(library, write_file(tmp_path / "a.mp4"))
    os.utime(tmp_path / "a.mp4", (1, 1))
    touched = index(library, tmp_path / "a.mp4")
    assert (touched.id, touched.state, touched.modified) == (first.id, "ready", 1.0)


def test_two_files_that_change_places_keep_their_features(library: Library, tmp_path: Path) -> None:
    a, b = (index(library, write_file(tmp_path / name)) for name in ("a.mp4", "b.mp4"))
    for source, target in (("a", "x"), ("b", "a"), ("x", "b")):
        (tmp_path / f"{source}.mp4").rename(tmp_path / f"{target}.mp4")
    assert library.register(tmp_path / "a.mp4").id == b.id
    assert library.register(tmp_path / "b.mp4").id == a.id
    library.drop_unnamed()
    assert {video.state for video in library.videos()} == {"ready"}


def test_the_full_digest_settles_doubt(library: Library, tmp_path: Path) -> None:
    """Same size, head, middle and tail, and yet another film."""
    size = 8 * SAMPLE_BYTES
    one = write_file(tmp_path / "one.mp4", bytes(size))
    first = index(library, one)
    content = bytearray(size)
    content[2 * SAMPLE_BYTES] = 1
    two = write_file(tmp_path / "two.mp4", bytes(content))
    os.utime(two, (5, 5))
    assert quick_digest(one) == quick_digest(two)
    assert full_digest(one) != full_digest(two)
    assert library.register(two).id != first.id
    three = write_file(tmp_path / "three.mp4", bytes(size))
    os.utime(three, (6, 6))
    assert library.register(three).id == first.id


def test_missing_until_it_comes_back(library: Library, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.mp4")
    first = index(library, path)
    path.rename(tmp_path / "away")
    library.check_presence()
    missing = library.video(first.id)
    assert (missing.state, missing.searchable) == ("missing", False)
    assert "no longer" in missing.reason
    (tmp_path / "away").rename(path)
    library.check_presence()
    assert library.video(first.id) == first


def test_what_cannot_be_read_is_listed_with_its_reason(library: Library, tmp_path: Path) -> None:
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name, reason in {
        "dangling.mp4": "a link to a file that is not there",
        "loop.mp4": "symbolic link",
        "pipe.mp4": "not a regular file",
        "folder.mp4": "not a regular file",
        "nothing.mp4": "no such file",
    }.items():
        with pytest.raises(ContentError, match=reason):
            library.register(tmp_path / name)
        id = library.register_unread(tmp_path / name, "refused", reason)
        assert library.register_unread(tmp_path / name, "refused", reason) == id
        assert (library.video(id).state, library.video(id).reason) == ("refused", reason)


@pytest.mark.parametrize(
    "name",
    ["a b.mp4", 'it\'s "q".mp4', "line\nbreak.mp4", "🎬.mp4", "x" * 250 + ".mp4", b"\xff\xfe.mp4"],
)
def test_any_file_name(library: Library, tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    video = index(library, write_file(path, b"content"))
    assert library.find(path) == video
    assert Library(library.folder, read_only=True).videos() == [video]


# Never two kinds of features


def test_features_of_another_extractor_are_refused_until_reindex(
    library: Library, tmp_path: Path
) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    with pytest.raises(LibraryError, match="rescan --reindex"):
        library.adopt("other")
    assert library.video(id).state == "ready"
    library.adopt("other", reindex=True)
    video = library.video(id)
    assert (video.state, video.rows, library.fingerprint) == ("new", 0, "other")
    library.store(id, planted_extraction(random_rows(4, 0), "other"), full="x")
    assert library.video(id).fingerprint == "other"


def test_a_feature_file_of_another_fingerprint_is_not_used(
    library: Library, tmp_path: Path
) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    other = planted_extraction(random_rows(4, 1), "other").features
    other.save(library.folder / "features" / f"{id}.safetensors")
    with pytest.raises(LibraryError, match="not the one that was stored"):
        library.features(id)
    assert library.video(id).state == "new"


# Damage


@pytest.mark.parametrize("kind", ["features/1.safetensors", "thumbnails/1.zip"])
@pytest.mark.parametrize("keep", [0, 100, -1])
def test_cut_files_send_the_video_back_to_be_indexed(
    library: Library, tmp_path: Path, kind: str, keep: int
) -> None:
    plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    plant(library, tmp_path / "b.mp4", random_rows(4, 1))
    library.close()
    file = library.folder / kind
    file.write_bytes(file.read_bytes()[:keep])
    again = Library(library.folder)
    assert [video.state for video in again.videos()] == ["new", "ready"]
    assert not file.exists()


def test_left_over_files_and_states_are_put_right(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    begun = library.register(write_file(tmp_path / "b.mp4"))
    library.mark(begun.id, "indexing", progress=0.5)
    left = ["features/.9.safetensors.1.tmp", "features/9.safetensors", "thumbnails/9.zip"]
    for name in (*left, "index.faiss.77.tmp"):
        (library.folder / name).write_bytes(b"half")
    library.close()
    again = Library(library.folder)
    assert [video.state for video in again.videos()] == ["ready", "new"]
    assert sorted(file.name for file in again.folder.glob("*/*")) == [
        f"{id}.safetensors",
        f"{id}.zip",
    ]
    assert not [*again.folder.glob("*.tmp")]


def test_files_of_others_are_never_deleted(library: Library, tmp_path: Path) -> None:
    for name in ("features/talk.mp4.safetensors", "thumbnails/holiday.jpg", "draft.tmp"):
        (library.folder / name).write_bytes(b"mine")
    Library(library.folder)
    assert len([*library.folder.glob("*/*"), *library.folder.glob("*.tmp")]) == 3
    project = tmp_path / "project"
    (project / "features").mkdir(parents=True)
    (project / "features" / "7.safetensors").write_bytes(b"mine")
    with pytest.raises(LibraryError, match="features/ holds files already"):
        Library(project)
    assert (project / "features" / "7.safetensors").read_bytes() == b"mine"
    assert [*project.iterdir()] == [project / "features"]


def test_nothing_is_put_right_while_somebody_is_indexing(library: Library, tmp_path: Path) -> None:
    begun = library.register(write_file(tmp_path / "b.mp4"))
    with library.exclusive() as alone:
        assert alone
        library.mark(begun.id, "indexing", progress=0.5)
        (library.folder / "features" / ".2.safetensors.5.tmp").write_bytes(b"half")
        other = Library(library.folder)
        assert (other.video(begun.id).state, other.video(begun.id).progress) == ("indexing", 0.5)
        assert [*other.folder.glob("features/.*")]
        with other.exclusive() as also:
            assert not also


def test_the_lock_goes_with_its_process(library: Library) -> None:
    script = (
        "import sys, time; from pathlib import Path; from vmr.library.store import Library\n"
        "with Library(Path(sys.argv[1])).exclusive() as alone:\n"
        "    print(alone, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(library.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with library.exclusive() as alone:
            assert not alone
        child.kill()
        child.wait()
    with library.exclusive(wait_seconds=1) as alone:
        assert alone


def test_a_damaged_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "library.db").write_bytes(b"not a database at all" * 99)
    with pytest.raises(LibraryError, match="is damaged"):
        Library(tmp_path)


def test_another_version_is_one_line(library: Library) -> None:
    library.close()
    with sqlite3.connect(library.folder / "library.db") as db:
        db.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        with pytest.raises(LibraryError, match="version 99"):
            Library(library.folder, read_only=read_only)


def test_an_older_version_is_brought_up_to_date(library: Library, tmp_path: Path) -> None:
    """Version 2 did not know where the clock of a file begins."""
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    library.close()
    as_made_by_version(library.folder, 2)
    content = (library.folder / "library.db").read_bytes()
    older = Library(library.folder, read_only=True)
    assert (older.video(id).origin, len(older.changes())) == (0, 1)
    older.close()
    assert (library.folder / "library.db").read_bytes() == content
    assert Library(library.folder).video(id).origin == 0
    assert Library(library.folder, read_only=True).video(id).rows == 4


def test_changes_say_what_became_of_every_video(library: Library, tmp_path: Path) -> None:
    """Each once, whatever was done to it, to its paths, or by another process; progress too."""
    first, second = (plant(library, tmp_path / f"{n}.mp4", random_rows(4, n)) for n in (1, 2))
    seen = library.changes()
    assert ([video.id for video in seen.videos], seen.gone) == ([first, second], ())
    assert seen.videos == tuple(library.videos())
    assert not library.changes(seen.number)
    assert library.has_change(seen.number)
    other = Library(library.folder)
    done: list[Callable[[], object]] = [
        lambda: other.mark(first, "indexing", progress=0.5),
        lambda: [(tmp_path / "1.mp4").unlink(), other.check_presence()],  # type: ignore[func-returns-value]
        lambda: library.register(write_file(tmp_path / "copy.mp4", b"1.mp4" * 50)),
        lambda: other.store(first, planted_extraction(random_rows(6, 3)), full="x"),
    ]
    for change in done:
        change()
        found = library.changes(seen.number)
        assert [video.id for video in found.videos] == [first]
        assert found.videos[0] == library.video(first)
        assert found.number > seen.number
        seen = found
    for nothing in (library.check_presence, library.drop_unnamed, library.videos):
        nothing()
    assert not library.changes(seen.number)
    library.remove(second)
    assert library.changes(seen.number).gone == (second,)
    assert len(library.changes()) == 2
    assert [len(library.changes(0, at_most=1)), len(library.changes(0, at_most=9))] == [1, 2]
    other.close()


def test_an_opening_looks_at_every_file_only_where_something_has_changed(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmr.library import recovery

    id, looked, size = plant(library, tmp_path / "a.mp4", random_rows(4, 0)), [0], recovery._size

    def counting(file: Path) -> int:
        looked[0] += 1
        return size(file)

    monkeypatch.setattr(recovery, "_size", counting)
    for times in (2, 2):  # both of its files, at the first of the openings
        Library(library.folder).close()
        assert looked == [times]
    library.mark(id, "indexing")  # and then it was killed
    draft = library.folder / "thumbnails" / "9.zip"
    draft.touch()
    again = Library(library.folder)
    assert (again.video(id).state, looked, draft.exists()) == ("new", [4], False)
    again.close()


def test_a_copy_that_goes_its_own_way_gives_out_other_numbers(
    library: Library, tmp_path: Path
) -> None:
    """A number of one is none of the other's, so that an index knows whose changes it follows."""
    for seed in range(3):
        plant(library, tmp_path / f"{seed}.mp4", random_rows(4, seed))
    other = Library(Path(shutil.copytree(library.folder, tmp_path / "copy")))
    shared = library.changes().number
    for one in (library, other):
        plant(one, tmp_path / f"{one.folder.name}.mp4", random_rows(4, 9))
    assert library.has_change(shared)
    assert other.has_change(shared)
    assert not library.has_change(other.changes().number)
    assert not other.has_change(library.changes().number)
    other.close()


def test_a_library_of_before_inodes_learns_them_and_reads_no_video_again(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    id = plant(library, path, random_rows(4, 0))
    library.close()
    as_made_by_version(library.folder, 5)
    assert Library(library.folder, read_only=True).video(id).rows == 4
    opened = Library(library.folder)
    with monkeypatch.context() as patched:
        patched.setattr("vmr.library.naming.quick_digest", lambda path: 1 / 0)
        assert opened.register(path).state == "ready"
    assert opened._naming.stamp(path) == FileStamp.of(path)


def test_another_recording_of_the_same_name_size_and_date_is_another_video(
    library: Library, tmp_path: Path
) -> None:
    path, size = tmp_path / "loop.mp4", 4 * SAMPLE_BYTES
    for replaced in (False, True):  # written over, as a dashcam does, or moved there
        write_file(path, b"first".ljust(size, b"\0"))
        os.utime(path, ns=(10**18, 10**18))
        id = index(library, path).id
        assert library.register(path).id == id
        other = path.with_name("new") if replaced else path
        write_file(other, b"other".ljust(size, b"\0"))
        os.utime(other, ns=(10**18, 10**18))
        other.replace(path)
        found = library.register(path)
        assert (found.state, found.id != id) == ("new", True)


def test_another_mode_or_name_of_the_file_is_no_other_content(
    library: Library, tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    id = plant(library, path, random_rows(4, 0))
    path.chmod(0o600)
    assert (library.register(path).id, library.register(path).state) == (id, "ready")
    moved = path.replace(tmp_path / "b.mp4")
    assert (library.register(moved).id, library.register(moved).state) == (id, "ready")


def test_no_library_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no library here"):
        Library(tmp_path, read_only=True)
    write_file(tmp_path / "file")
    with pytest.raises(LibraryError, match="file"):
        Library(tmp_path / "file")


def test_reading_only_refuses_to_write(library: Library, tmp_path: Path) -> None:
    id = plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    reader = Library(library.folder, read_only=True)
    assert reader.features(id).rows.shape[0] == 4
    for write in (
        lambda: reader.remove(id),
        lambda: reader.register(write_file(tmp_path / "b.mp4")),
        lambda: reader.mark(id, "new"),
    ):
        with pytest.raises(LibraryError, match="reading only"):
            write()
    assert library.video(id).state == "ready"


def test_a_busy_database_is_one_line(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.library.database.BUSY_SECONDS", 0.2)
    library.close()
    library = Library(library.folder)
    other = sqlite3.connect(library.folder / "library.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LibraryError, match="another program holds"):
        library.register(write_file(tmp_path / "a.mp4"))
    assert library.videos() == []  # reading goes on
    other.execute("ROLLBACK")
    assert library.register(tmp_path / "a.mp4").state == "new"


def test_many_threads_and_two_connections(library: Library, tmp_path: Path) -> None:
    paths = [write_file(tmp_path / f"{i}.mp4") for i in range(24)]
    other = Library(library.folder)
    failures = []

    def work(which: Library, part: list[Path]) -> None:
        try:
            for seed, path in enumerate(part):
                index(which, path, seed)
                which.videos()
        except Exception as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=(which, paths[i::4]))
        for i, which in enumerate((library, library, other, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(v.path for v in library.videos()) == sorted(paths)
    assert {video.state for video in other.videos()} == {"ready"}


def test_the_digests_see_every_byte_of_a_small_file(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a", bytes(3 * SAMPLE_BYTES))
    before = quick_digest(path)
    for place in (0, SAMPLE_BYTES, 2 * SAMPLE_BYTES - 1, 3 * SAMPLE_BYTES - 1):
        content = bytearray(3 * SAMPLE_BYTES)
        content[place] = 1
        path.write_bytes(content)
        assert quick_digest(path) != before
    assert FileStamp.of(path).size_bytes == 3 * SAMPLE_BYTES


def test_a_row_is_json(library: Library, tmp_path: Path) -> None:
    plant(library, tmp_path / "a.mp4", random_rows(4, 0))
    assert json.dumps(library.videos()[0].unreadable) == "[]"


# Any order of events


class Shelf(RuleBasedStateMachine):
    """Files come, change, move and go; the library always shows exactly what is on the disk."""

    names = st.sampled_from(["a", "b", "c", "d"])
    contents = st.sampled_from([b"red", b"green", b"blue"])

    def __init__(self) -> None:
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = Path(tempfile.mkdtemp())
        self.library = Library(self.folder / "library")
        self.features: dict[
            bytes, int
        ] = {}  # content -> the id it was first indexed under, while it stays known

    def teardown(self) -> None:
        self.library.close()
        shutil.rmtree(self.folder)

    def files(self) -> dict[str, Path]:
        return {path.name: path for path in self.folder.iterdir() if path.is_file()}

    @rule(name=names, content=contents)
    def write(self, name: str, content: bytes) -> None:
        write_file(self.folder / name, content)
        self.scan()

    @rule(source=names, new=names)
    def move(self, source: str, new: str) -> None:
        if source in self.files():
            (self.folder / source).replace(self.folder / new)
            self.scan()

    @rule(name=names)
    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self.scan()

    @precondition(lambda self: self.library.videos())
    @rule()
    def reopen(self) -> None:
        self.library.close()
        self.library = Library(self.folder / "library")

    def scan(self) -> None:
        for path in self.files().values():
            index(self.library, path)
        self.library.check_presence()

    @invariant()
    def shows_what_is_there(self) -> None:
        shown: dict[str, int] = {}
        for video in self.library.videos():
            present = [path for path in (video.path, *video.also) if path.exists()]
            assert video.state == ("ready" if present else "missing")
            assert len({path.read_bytes() for path in present}) <= 1
            shown |= {path.name: video.id for path in present}
        assert shown.keys() == self.files().keys()
        contents = {path.read_bytes() for path in self.files().values()}
        assert len(set(shown.values())) == len(contents)  # the same content is stored once


Shelf.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestShelf = Shelf.TestCase


Form = Literal["NFC", "NFD"]


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_a_folder_is_the_same_in_whichever_form_its_accents_are_written(
    library: Library, tmp_path: Path, stored: Form, asked: Form
) -> None:
    folder = "caf\u00e9 \u00fc \uac01"
    inside = plant(
        library, tmp_path / unicodedata.normalize(stored, folder) / "a.mp4", random_rows(4, 0)
    )
    plant(library, tmp_path / "cafe" / "b.mp4", random_rows(4, 1))
    scope = Scope(folder=tmp_path / unicodedata.normalize(asked, folder))
    assert library.within(scope) == [inside]
