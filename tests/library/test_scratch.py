"""Nothing temporary survives a run: clean, failed, or killed and then started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.killed import killed_in, left
from tests.support.media import counter_video
from tests.support.planted_page import planted_page
from vmr.cli.samples import build_samples
from vmr.media.cut import Cut
from vmr.media.export import write_clip, write_film
from vmr.media.ffmpeg import FfmpegError, input_of, run
from vmr.media.preview import Previews

ROOT = Path(__file__).resolve().parents[2]


def test_exports_and_previews_leave_only_what_was_asked_for(tmp_path: Path) -> None:
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


def test_an_export_that_was_killed_is_tidied_by_the_next(tmp_path: Path) -> None:
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


def test_what_a_killed_page_left_goes_at_its_next_start(tmp_path: Path, noted: Path) -> None:
    page = planted_page(tmp_path)
    with page.editor().uploads.draft_folder() as coming:
        uploads = coming.parent
        (coming / "a.mp4").write_bytes(b"half")
        killed_in(uploads)
        taken = uploads / "taken" / "kept.mp4"
        taken.parent.mkdir()
        shutil.copy(page.files.source(1), taken)
        page.library.register(taken)
        lost = uploads / "lost" / "half.mp4"  # killed before it was registered
        lost.parent.mkdir()
        lost.write_bytes(b"half")
        page.files.previews.folder.mkdir()
        draft = killed_in(page.files.previews.folder)
        Previews(page.files.previews.folder, limit_bytes=1 << 20)
        page.drop_unfinished_uploads()
        assert not draft.exists()
        assert left(uploads) == [".lock", coming.name, "taken"]
        assert taken.exists()
    assert left(uploads) == [".lock", "taken"]
    page.ingest.close()


def test_a_killed_set_up_of_the_samples_is_tidied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmr.cli.samples.SAMPLES", {})
    assert killed_in(tmp_path).is_dir()
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    assert build_samples(tmp_path) == []
    assert left(tmp_path) == ["mine.mp4"]
