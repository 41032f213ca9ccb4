"""Whole or not at all, folders for a while, locks, and where a user's files lie."""

import errno
import os
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from feature_extract import files
from feature_extract.files import (
    PREFIX,
    assets_folder,
    cache_folder,
    data_folder,
    file_lock,
    replacing,
    scratch_folder,
    sweep,
    sweep_noted,
    write_bytes,
    write_text,
)
from tests.support.killed import killed_in, left

ROOT = Path(__file__).resolve().parents[2]


def test_it_goes_with_its_use_also_when_that_fails(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "half.mp4").touch()
        assert folder.parent == tmp_path
    assert left(tmp_path) == []
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path) as folder:
        (folder / "half.mp4").write_bytes(b"half" * (1 // 0))
    assert left(tmp_path) == []


def test_what_a_killed_process_left_goes_with_the_next_use_of_the_place(
    tmp_path: Path, noted: Path
) -> None:
    folder = killed_in(tmp_path)
    with scratch_folder(tmp_path):
        assert not folder.exists()
    assert left(tmp_path) == []


def test_what_a_killed_process_left_goes_at_the_next_start_wherever_it_is(
    tmp_path: Path, noted: Path
) -> None:
    """An export may go to a folder that is never exported to again."""
    place = tmp_path / "desk"
    place.mkdir()
    folder = killed_in(place)
    assert left(noted) == [folder.name]
    command = [sys.executable, "-m", "vmr", "list", "--library", str(tmp_path / "none")]
    subprocess.run(command, cwd=ROOT, capture_output=True)
    assert (left(place), left(noted)) == ([], [])


def test_clean_runs_leave_no_notes(tmp_path: Path, noted: Path) -> None:
    with scratch_folder(tmp_path):
        assert len(left(noted)) == 1
    assert left(noted) == []


def test_a_note_that_is_not_ours_deletes_nothing(tmp_path: Path, noted: Path) -> None:
    precious = tmp_path / "films"
    precious.mkdir()
    noted.mkdir(parents=True)
    (noted / "note").write_bytes(os.fsencode(precious))
    sweep_noted()
    assert precious.is_dir()


def test_where_nothing_can_be_noted_it_works_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "file" / "cache"))
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
    assert left(tmp_path) == ["file"]


def test_a_folder_that_is_swept_before_it_is_locked_is_made_anew(
    tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may sweep between the two."""
    taken: list[Path] = []

    def swept_first(path: Path, *, wait_seconds: float) -> AbstractContextManager[bool]:
        if not taken:
            taken.append(path.parent)
            sweep(tmp_path)
        return file_lock(path, wait_seconds=wait_seconds)

    monkeypatch.setattr("feature_extract.files.file_lock", swept_first)
    with scratch_folder(tmp_path) as folder:
        assert folder.is_dir()
        assert not taken[0].exists()
    assert left(tmp_path) == []


def test_what_is_not_ours_to_delete_stays(tmp_path: Path) -> None:
    elsewhere, named_alike = tmp_path / "elsewhere", tmp_path / "moments.of joy"
    for folder in (elsewhere, named_alike):
        folder.mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(elsewhere)
    (tmp_path / f"{PREFIX}file").touch()
    sweep(tmp_path)
    assert elsewhere.exists()
    assert named_alike.exists()
    assert (tmp_path / f"{PREFIX}file").exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"), scratch_folder(tmp_path / "nowhere"):
        pass


# Locks


LOCK = (
    "import sys, time; from pathlib import Path; from feature_extract.files import file_lock\n"
    "with file_lock(Path(sys.argv[1]), wait_seconds=0) as alone:\n"
    "    print(alone, flush=True); time.sleep(60)\n"
)


def test_a_lock_is_one_process_s_until_that_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    command = [sys.executable, "-c", LOCK, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        began = time.monotonic()
        with file_lock(lock, wait_seconds=0.3) as alone:
            assert not alone
        assert time.monotonic() - began >= 0.3
        process.kill()
        with file_lock(lock, wait_seconds=60) as alone:
            assert alone


def test_a_lock_is_one_thread_s_and_passed_on(tmp_path: Path) -> None:
    lock, order = tmp_path / "a.lock", []

    def wait() -> None:
        with file_lock(lock, wait_seconds=60) as alone:
            order.append(("second", alone))

    with file_lock(lock, wait_seconds=0) as alone:
        thread = threading.Thread(target=wait)
        thread.start()
        with file_lock(lock, wait_seconds=0) as twice:
            assert (alone, twice) == (True, False)
        order.append(("first", alone))
    thread.join()
    assert order == [("first", True), ("second", True)]


def test_a_lock_that_cannot_be_made_is_an_error_and_makes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "nowhere" / "a.lock", tmp_path / "folder"):
        with pytest.raises(OSError, match=r"nowhere|folder"), file_lock(path, wait_seconds=0):
            pass
    assert left(tmp_path) == ["folder"]


def test_what_fails_under_a_lock_is_said_as_it_is(tmp_path: Path) -> None:
    for held in (True, False):
        with file_lock(tmp_path / f"{held}.lock", wait_seconds=0):
            lock = tmp_path / f"{held}.lock" if not held else tmp_path / "other.lock"
            with pytest.raises(ZeroDivisionError) as raised, file_lock(lock, wait_seconds=0):
                raise ZeroDivisionError
            assert raised.value.__context__ is None


# Whole or not at all


def test_a_file_is_written_whole_with_the_ending_that_savers_look_at(tmp_path: Path) -> None:
    target = tmp_path / "a.b.npy"
    target.write_bytes(b"old")
    with replacing(target) as draft:
        assert (draft.suffix, draft.parent.parent) == (".npy", tmp_path)
        draft.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert (left(tmp_path), target.read_bytes()) == (["a.b.npy"], b"new")
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask()


def umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    for write in (lambda draft: draft.write_bytes(b"half" * (1 // 0)), lambda draft: None):
        with pytest.raises((ZeroDivisionError, FileNotFoundError)), replacing(target) as draft:
            write(draft)
        assert (left(tmp_path), target.read_bytes()) == (["a.json"], b"old")


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path, noted: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from feature_extract import files\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_bytes(Path(sys.argv[1]), b'new')\n"
    )
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    command = [sys.executable, "-c", program, str(target)]
    assert subprocess.run(command, cwd=ROOT).returncode == -9
    assert (len(left(tmp_path)), target.read_bytes()) == (2, b"old")
    sweep_noted()
    assert (left(tmp_path), left(noted)) == (["a.json"], [])


def test_the_content_is_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: done.append("fsync"))
    replace = os.replace

    def noted(draft: Path, target: Path) -> None:
        done.append("rename")
        replace(draft, target)

    monkeypatch.setattr(os, "replace", noted)
    write_bytes(tmp_path / "a", b"a")
    write_bytes(tmp_path / "b", b"b", sync=False)
    assert done == ["fsync", "rename", "rename"]


def test_text_is_utf_8_with_the_line_ends_it_has(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "é\r\nß\n")
    assert (tmp_path / "a.csv").read_bytes() == "é\r\nß\n".encode()


def test_a_link_stays_and_what_it_names_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.json").symlink_to(tmp_path / "there" / "a.json")
    write_text(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "there" / "a.json").read_text() == "new"


def test_threads_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [
        threading.Thread(target=write_bytes, args=(tmp_path / "a", content)) for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() in contents
    assert left(tmp_path) == ["a"]


def test_where_a_folder_is_missing_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_text(tmp_path / "nowhere" / "a.json", "")
    assert raised.value.filename == str(tmp_path / "nowhere")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP])
def test_a_disk_without_locks_is_written_all_the_same(
    tmp_path: Path, noted: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    write_text(tmp_path / "a.json", "new")
    assert (left(tmp_path), left(noted)) == (["a.json"], [])
    with (
        pytest.raises(OSError, match=os.strerror(number)),
        file_lock(tmp_path / "lock", wait_seconds=0),
    ):
        pass


# Where files lie


def test_the_environment_names_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VMR_LIBRARY", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "cache"
    assert data_folder("VMR_LIBRARY", "library") == tmp_path / "mine"


@pytest.mark.parametrize(
    ("system", "cache", "data"),
    [
        ("unix.Unix", ".cache/vmr", ".local/share/vmr"),
        ("macos.MacOS", "Library/Caches/vmr", "Library/Application Support/vmr"),
    ],
)
def test_caches_and_data_lie_where_the_system_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, cache: str, data: str
) -> None:
    """As version 0.1 had it for data; its cache is used where it is, and no other."""
    from importlib import import_module

    for variable in ("VMR_CACHE", "VMR_LIBRARY", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    module, _, name = system.partition(".")
    folders = getattr(import_module(f"platformdirs.{module}"), name)
    monkeypatch.setattr(
        platformdirs,
        "user_cache_path",
        lambda *names, **how: folders(*names, **how).user_cache_path,
    )
    monkeypatch.setattr(
        platformdirs, "user_data_path", lambda *names, **how: folders(*names, **how).user_data_path
    )
    assert data_folder("VMR_LIBRARY", "library") == tmp_path / data / "library"
    assert cache_folder() == tmp_path / cache
    earlier = tmp_path / ".cache" / "vmr"
    earlier.mkdir(parents=True)
    assert cache_folder() == earlier
    (tmp_path / cache).mkdir(parents=True, exist_ok=True)
    assert cache_folder() == tmp_path / cache


def test_assets_are_found_in_a_checkout_and_in_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (assets_folder() / "weights" / "base" / "config.json").is_file()
    monkeypatch.setattr(files, "ROOT", tmp_path)
    assert assets_folder() == tmp_path / "assets"
    (tmp_path / "vmr" / "assets").mkdir(parents=True)
    assert assets_folder() == tmp_path / "vmr" / "assets"


@pytest.mark.parametrize("writer", ["motion", "model"])
@pytest.mark.parametrize("failing", [1, 2])
def test_weights_and_their_config_are_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str, failing: int
) -> None:
    """Of a save that ends before either file is in place nothing is left; between the two, both
    are whole and do not fit, which is said when they are read."""
    import torch

    from feature_extract.motion import load_motion, save_motion
    from feature_extract.networks.c3d import C3D, SMALL, WeightsError
    from vmr.model.weights import ModelError, read_weights, write_weights

    def write(seed: int) -> None:
        torch.manual_seed(seed)
        if writer == "motion":
            save_motion(C3D(SMALL), tmp_path)
        else:
            write_weights(tmp_path, {"seed": seed}, {"a": torch.rand(3)})

    def read() -> Any:
        return load_motion(tmp_path) if writer == "motion" else read_weights(tmp_path)

    write(0)
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(old) == ["config.json", "weights.safetensors"]
    replace, count = os.replace, 0

    def fail(*names: Any) -> None:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(errno.ENOSPC, "disk full")
        replace(*names)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(1)
    assert left(tmp_path) == sorted(old)
    if failing == 1:
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old
        read()
    else:
        with pytest.raises((WeightsError, ModelError), match=r"config\.json"):
            read()
