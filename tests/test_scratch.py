"""Nothing temporary survives a run: clean, failed, or killed and then started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.media import counter_video
from tests.planted_page import planted_page
from vmr.database import LibraryError
from vmr.export import Cut, write_clip, write_film
from vmr.ffmpeg import FfmpegError, input_of, run
from vmr.intake import Intake
from vmr.preview import Previews
from vmr.samples import build_samples
from vmr.scratch import PREFIX, YOUNG_SECONDS, scratch_folder, sweep

ROOT = Path(__file__).parent.parent
HOLD = (
    "import sys, time; from pathlib import Path; from vmr.scratch import scratch_folder\n"
    "with scratch_folder(Path(sys.argv[1])) as folder:\n"
    "    (folder / 'half.mp4').write_bytes(b'half'); print(folder, flush=True); time.sleep(60)\n"
)


def age(*paths, seconds=3600):
    for path in paths:
        os.utime(path, (time.time() - seconds,) * 2)


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


def test_what_a_killed_process_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        folder = Path(process.stdout.readline().strip())
        age(folder)
        sweep(tmp_path)
        assert left(folder)[0] == "half.mp4"
        process.kill()
        process.wait()
    assert left(folder)[0] == "half.mp4"
    with scratch_folder(tmp_path):
        assert not folder.exists()
    assert left(tmp_path) == []


def test_what_is_not_ours_to_delete_stays(tmp_path):
    young, old = tmp_path / f"{PREFIX}young", tmp_path / "moments-of-joy"
    for folder in (young, old):
        folder.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    age(old, elsewhere)
    sweep(tmp_path)
    assert young.exists()
    assert old.exists()
    assert elsewhere.exists()
    assert YOUNG_SECONDS < 60


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
        "import sys; from pathlib import Path; from vmr.ffmpeg import input_of, run\n"
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
    (folder,) = out.iterdir()
    age(folder)
    write_clip(Cut(film, 0, 1, 30), out / "clip.mp4")
    assert left(out) == ["clip.mp4"]


def test_what_a_killed_page_left_goes_at_its_next_start(tmp_path):
    page = planted_page(tmp_path)
    uploads = Intake(page).upload_place("a.mp4").parent.parent
    (folder,) = uploads.iterdir()
    (folder / "half.mp4").write_bytes(b"half")
    kept = Intake(page).upload_place("kept.mp4")
    shutil.copy(page.source(1), kept)
    page.store.register(kept)
    coming = Intake(page).upload_place("coming.mp4")
    coming.write_bytes(b"half")
    draft = page.previews.folder / f"{PREFIX}killed"
    draft.mkdir(parents=True)
    age(folder / "half.mp4", kept, draft)
    Previews(page.previews.folder, limit_bytes=1 << 20)
    Intake(page).drop_unfinished()
    assert not draft.exists()
    assert not folder.exists()
    assert kept.exists()
    assert coming.exists()
    age(coming)
    Intake(page).drop_unfinished()
    assert left(uploads) == [kept.parent.name]
    page.ingest.close()


def test_a_killed_set_up_of_the_samples_is_tidied(tmp_path, monkeypatch):
    monkeypatch.setattr("vmr.samples.SAMPLES", {})
    (tmp_path / "animals.part.mp4").write_bytes(b"half")
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    assert build_samples(tmp_path) == []
    assert left(tmp_path) == ["mine.mp4"]


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises((OSError, LibraryError)), scratch_folder(tmp_path / "nowhere"):
        pass
