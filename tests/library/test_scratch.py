"""Nothing temporary survives a run: clean, failed, or killed and then started again."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.support.media import counter_video
from tests.support.planted_page import planted_page
from vmr.cli.samples import build_samples
from vmr.library.locks import LibraryError, hold_lock
from vmr.library.scratch import PREFIX, scratch_folder, sweep, sweep_noted
from vmr.media.cut import Cut
from vmr.media.export import write_clip, write_film
from vmr.media.ffmpeg import FfmpegError, input_of, run
from vmr.media.preview import Previews
from vmr.page.changes import Intake

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "import sys, time; from pathlib import Path; from vmr.library.scratch import scratch_folder\n"
    "with scratch_folder(Path(sys.argv[1])) as folder:\n"
    "    (folder / 'half.mp4').write_bytes(b'half'); print(folder, flush=True); time.sleep(60)\n"
)


@pytest.fixture
def noted(tmp_path_factory, monkeypatch):
    """Where scratch folders are noted, apart from those of other tests."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VMR_CACHE", str(cache))
    return cache / "scratch"


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_it_goes_with_its_use_also_when_that_fails(tmp_path):
    with scratch_folder(tmp_path) as folder:
        (folder / "half.mp4").touch()
        assert folder.parent == tmp_path
    assert left(tmp_path) == []
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path) as folder:
        (folder / "half.mp4").write_bytes(b"half" * (1 // 0))
    assert left(tmp_path) == []


def killed_in(place):
    """The scratch folder of a process that was killed."""
    command = [sys.executable, "-c", HOLD, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        folder = Path(process.stdout.readline().strip())
        sweep(place)
        sweep_noted()
        assert left(folder)[0] == "half.mp4"  # while it lives, its folder stays
        process.kill()
        process.wait()
    assert left(folder)[0] == "half.mp4"
    return folder


def test_what_a_killed_process_left_goes_with_the_next_use_of_the_place(tmp_path, noted):
    folder = killed_in(tmp_path)
    with scratch_folder(tmp_path):
        assert not folder.exists()
    assert left(tmp_path) == []


def test_what_a_killed_process_left_goes_at_the_next_start_wherever_it_is(tmp_path, noted):
    """An export may go to a folder that is never exported to again."""
    place = tmp_path / "desk"
    place.mkdir()
    folder = killed_in(place)
    assert left(noted) == [folder.name]
    command = [sys.executable, "-m", "vmr", "list", "--library", str(tmp_path / "none")]
    subprocess.run(command, cwd=ROOT, capture_output=True)
    assert (left(place), left(noted)) == ([], [])


def test_clean_runs_leave_no_notes(tmp_path, noted):
    with scratch_folder(tmp_path):
        assert len(left(noted)) == 1
    assert left(noted) == []


def test_a_note_that_is_not_ours_deletes_nothing(tmp_path, noted):
    precious = tmp_path / "films"
    precious.mkdir()
    noted.mkdir(parents=True)
    (noted / "note").write_bytes(os.fsencode(precious))
    sweep_noted()
    assert precious.is_dir()


def test_where_nothing_can_be_noted_it_works_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "file" / "cache"))
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
    assert left(tmp_path) == ["file"]


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(tmp_path, noted, monkeypatch):
    """Another process may sweep between the two."""
    taken = []

    def swept_first(path, *, wait_seconds):
        if not taken:
            taken.append(path.parent)
            sweep(tmp_path)
        return hold_lock(path, wait_seconds=wait_seconds)

    monkeypatch.setattr("vmr.library.scratch.hold_lock", swept_first)
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert not taken[0].exists()
    assert left(tmp_path) == []


def test_what_is_not_ours_to_delete_stays(tmp_path):
    elsewhere, named_alike = tmp_path / "elsewhere", tmp_path / "moments-of-joy"
    for folder in (elsewhere, named_alike):
        folder.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").touch()
    sweep(tmp_path)
    assert elsewhere.exists()
    assert named_alike.exists()
    assert (tmp_path / f"{PREFIX}file").exists()


def test_exports_and_previews_leave_only_what_was_asked_for(tmp_path):
    film = tmp_path / "films" / "film.mp4"
    film.parent.mkdir()
    counter_video(film, 3.0)
    out = tmp_path / "out"
    out.mkdir()
    write_clip(Cut(film, 0, 1, 30), out / "clip.mp4")
    write_film([Cut(film, 0, 1, 30), Cut(film, 1, 2, 30)], out / "film.mp4")
    with pytest.raises(FfmpegError):
        write_clip(Cut(film, 50, 51, 30), out / "none.mp4")
    endless = ["-stream_loop", "-1", *input_of(film)]
    with pytest.raises(FfmpegError, match="not done within"):
        run(endless, [], out / "late.mp4", name="film.mp4", timeout_seconds=0.5)
    assert left(out) == ["clip.mp4", "film.mp4"]
    assert left(film.parent) == ["film.mp4"]
    with pytest.raises(FfmpegError, match="cannot be written"):
        write_clip(Cut(film, 0, 1, 30), tmp_path / "nowhere" / "clip.mp4")


def test_an_export_that_was_killed_is_tidied_by_the_next(tmp_path):
    film = tmp_path / "film.mp4"
    counter_video(film, 3.0)
    out = tmp_path / "out"
    out.mkdir()
    program = (
        "import sys; from pathlib import Path; from vmr.media.ffmpeg import input_of, run\n"
        "film, out = map(Path, sys.argv[1:])\n"
        "run(['-re', '-stream_loop', '-1', *input_of(film)], [], out / 'x.mp4', name='film')"
    )
    with subprocess.Popen([sys.executable, "-c", program, film, out], cwd=ROOT) as process:
        deadline = time.monotonic() + 20
        while not [*out.glob("*/draft.mp4")]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:  # ffmpeg itself would go on until it is done
            os.kill(int(child), signal.SIGKILL)
    write_clip(Cut(film, 0, 1, 30), out / "clip.mp4")
    assert left(out) == ["clip.mp4"]


def test_what_a_killed_page_left_goes_at_its_next_start(tmp_path, noted):
    page = planted_page(tmp_path)
    intake = Intake(page)
    with intake.upload_folder() as coming:
        uploads = coming.parent
        (coming / "a.mp4").write_bytes(b"half")
        killed_in(uploads)
        taken = uploads / "taken" / "kept.mp4"
        taken.parent.mkdir()
        shutil.copy(page.source(1), taken)
        page.store.register(taken)
        lost = uploads / "lost" / "half.mp4"  # killed before it was registered
        lost.parent.mkdir()
        lost.write_bytes(b"half")
        page.previews.folder.mkdir()
        draft = killed_in(page.previews.folder)
        Previews(page.previews.folder, limit_bytes=1 << 20)
        intake.drop_unfinished()
        assert not draft.exists()
        assert left(uploads) == [".lock", coming.name, "taken"]
        assert taken.exists()
    assert left(uploads) == [".lock", "taken"]
    page.ingest.close()


def test_a_killed_set_up_of_the_samples_is_tidied(tmp_path, monkeypatch):
    monkeypatch.setattr("vmr.cli.samples.SAMPLES", {})
    (tmp_path / "animals.part.mp4").write_bytes(b"half")
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    assert build_samples(tmp_path) == []
    assert left(tmp_path) == ["mine.mp4"]


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises((OSError, LibraryError)), scratch_folder(tmp_path / "nowhere"):
        pass


# Locks


LOCK = (
    "import sys, time; from pathlib import Path; from vmr.library.locks import hold_lock\n"
    "with hold_lock(Path(sys.argv[1]), wait_seconds=0) as alone:\n"
    "    print(alone, flush=True); time.sleep(60)\n"
)


def test_a_lock_is_one_process_s_until_that_is_killed(tmp_path):
    lock = tmp_path / "a.lock"
    command = [sys.executable, "-c", LOCK, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "True\n"
        began = time.monotonic()
        with hold_lock(lock, wait_seconds=0.3) as alone:
            assert not alone
        assert time.monotonic() - began >= 0.3
        process.kill()
        with hold_lock(lock, wait_seconds=60) as alone:
            assert alone


def test_a_lock_is_one_thread_s_and_passed_on(tmp_path):
    lock, order = tmp_path / "a.lock", []

    def wait():
        with hold_lock(lock, wait_seconds=60) as alone:
            order.append(("second", alone))

    with hold_lock(lock, wait_seconds=0) as alone:
        thread = threading.Thread(target=wait)
        thread.start()
        with hold_lock(lock, wait_seconds=0) as twice:
            assert (alone, twice) == (True, False)
        order.append(("first", alone))
    thread.join()
    assert order == [("first", True), ("second", True)]


def test_a_lock_that_cannot_be_made_is_an_error_and_makes_no_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "a.lock", tmp_path / "folder"):
        with pytest.raises(LibraryError), hold_lock(path, wait_seconds=0):
            pass
    assert left(tmp_path) == ["folder"]


def test_what_fails_under_a_lock_is_said_as_it_is(tmp_path):
    for held in (True, False):
        with hold_lock(tmp_path / f"{held}.lock", wait_seconds=0):
            lock = tmp_path / f"{held}.lock" if not held else tmp_path / "other.lock"
            with pytest.raises(ZeroDivisionError) as raised, hold_lock(lock, wait_seconds=0):
                raise ZeroDivisionError
            assert raised.value.__context__ is None
