"""The command line from end to end: real files, the real networks, what a user sees and gets."""

import io
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import av
import pytest

from feature_extract.extract import Extractor
from tests.support.media import counter_video, read_counter
from vmr.__main__ import main, read_options
from vmr.research.annotations import read_annotations

ROOT = Path(__file__).resolve().parents[2]


class Run(Protocol):
    """One command on a library: (exit status, what it printed, what it complained)."""

    def __call__(self, *arguments: object, library: Path = ...) -> tuple[int, str, str]: ...


KEYS = {"video", "path", "start", "end", "score", "strength"}


@pytest.fixture(scope="module", autouse=True)
def loaded_once(words_once: None) -> Iterator[None]:
    """Networks and word vectors are read once here, not by each command as in a process of its
    own: test_end_to_end.py and test_install.py have those."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("feature_extract.extract.Extractor", cache(Extractor))
        yield


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good videos in a tree, and everything that people call .mp4 by mistake."""
    folder = tmp_path_factory.mktemp("videos")
    counter_video(folder / "one.mp4", 4.0)
    (folder / "deep").mkdir()
    counter_video(folder / "deep" / "two words.mp4", 6.0)
    return folder


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "text.mp4").write_text("dear diary")
    (folder / "empty.mp4").touch()
    (folder / "line\nbreak.mp4").write_text("two lines")
    return folder


@pytest.fixture(scope="module")
def indexed(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("indexed") / "library"
    assert main(["index", str(videos), "--library", str(library)]) == 0
    return library


@pytest.fixture
def library(indexed: Path, tmp_path: Path) -> Path:
    """A copy, to change as one likes."""
    return Path(shutil.copytree(indexed, tmp_path / "library"))


@pytest.fixture
def run(library: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """One command on this library: (exit status, what it printed, what it complained)."""

    def run_command(*arguments: object, library: Path = library) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([*map(str, arguments), "--library", str(library)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run_command


# Indexing


def test_an_index_is_made_anew(library: Path, run: Run) -> None:
    (library / "index.clips").write_bytes(b"damaged")
    status, told, _ = run("library", "rebuild")
    assert (status, told) == (0, f"{library}: 10 clips of 2 videos\n")
    status, _, said = run("library", "rebuild", "--index", "milvus://db.local")
    assert status == 1
    assert "is a folder" in said


def test_index_takes_folders_and_says_what_it_did(run: Run, videos: Path, tmp_path: Path) -> None:
    status, out, err = run("index", videos, "--json", library=tmp_path / "new")
    assert (status, err.splitlines()[-1]) == (0, "2 indexed, 0 unchanged, 0 refused")
    files = json.loads(out)["files"]
    assert {Path(file["path"]).name for file in files} == {"one.mp4", "two words.mp4"}
    assert all((file["state"], file["reason"]) == ("ready", "") for file in files)
    status, out, err = run("index", videos, library=tmp_path / "new")
    assert (status, err.splitlines()[-1]) == (0, "0 indexed, 2 unchanged, 0 refused")


def test_bad_files_are_refused_by_name_and_the_others_go_on(
    run: Run, videos: Path, bad: Path, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    paths = [bad, tmp_path / "gone.mp4", tmp_path / "nothing", videos / "one.mp4"]
    status, out, err = run("index", *paths, library=tmp_path / "new")
    assert status == 3
    lines = err.splitlines()
    assert lines[-1] == "1 indexed, 0 unchanged, 5 refused"
    refused = [line for line in lines if line.startswith("refused: ")]
    for name in ("gone.mp4: no such file", "nothing: no video files", "empty.mp4", "text.mp4"):
        assert sum(name in line for line in refused) == 1, name
    assert sum("line\\nbreak.mp4" in line for line in refused) == 1
    _, out, _ = run("list", "--json", library=tmp_path / "new")
    states = {video["name"]: video for video in json.loads(out)["videos"]}
    assert states["one.mp4"]["state"] == "ready"
    assert states["text.mp4"]["state"] == "refused"
    assert states["text.mp4"]["reason"]


def test_a_path_that_is_not_there_is_refused_even_alone(run: Run, tmp_path: Path) -> None:
    status, _, err = run("index", tmp_path / "gone.mp4")
    assert (status, "gone.mp4: no such file or folder" in err) == (3, True)


# Asking


def test_search_json_is_the_contract(run: Run, videos: Path) -> None:
    status, out, _ = run("search", "white squares on a qzzqx black board", "--json")
    answer = json.loads(out)
    assert status == 0
    assert answer.keys() == {
        "query",
        "unknown_words",
        "hardly_seen",
        "there",
        "missing",
        "suggestions",
        "verdict",
        "moments",
    }
    assert answer["unknown_words"] == ["qzzqx"]
    assert answer["verdict"] in ("strong", "possible", "none")
    assert answer["moments"]
    for moment in answer["moments"]:
        assert moment.keys() >= KEYS
        assert 0 <= moment["start"] < moment["end"] <= 6
        assert 0 <= moment["strength"] <= 1
        assert Path(moment["path"]).parent in (videos, videos / "deep")
    scores = [moment["score"] for moment in answer["moments"]]
    assert scores == sorted(scores, reverse=True)


def test_search_inside_one_video_by_id_and_by_path(run: Run, videos: Path) -> None:
    _, out, _ = run("list", "--json")
    id = next(v["id"] for v in json.loads(out)["videos"] if v["name"] == "one.mp4")
    for name in (id, videos / "one.mp4"):
        _, out, _ = run("search", "a board", "--video", name, "--top", 1, "--json")
        (moment,) = json.loads(out)["moments"]
        assert moment["video"] == id


def test_the_other_forms_of_a_question(run: Run, videos: Path, tmp_path: Path) -> None:
    for form in ("a board AND a square", "a board -dog", "a board THEN a square WITHIN 3"):
        status, out, _ = run("search", form, "--json")
        assert (status, json.loads(out)["query"]) == (0, form)
    _, out, _ = run("search", "--like", "1@0.5", "--json")
    assert json.loads(out)["moments"]
    here = run("search", "--like", "1@0.5", "--video", videos / "one.mp4", "--json")[1]
    names = {Path(moment["path"]).name for moment in json.loads(here)["moments"]}
    assert names == {"one.mp4"}
    with av.open(str(videos / "one.mp4")) as film:
        next(film.decode(video=0)).to_image().save(tmp_path / "still.png")
    _, out, _ = run("search", "--picture", tmp_path / "still.png", "--top", 2, "--json")
    found = json.loads(out)["moments"]  # boards look alike: one may stand for another
    assert len(found) <= 2 <= sum(1 + len(moment["also"]) for moment in found)


def test_search_in_a_part_of_the_library(run: Run, videos: Path) -> None:
    def names(*scope: object) -> set[str]:
        moments = json.loads(run("search", "a board", "--json", *scope)[1])["moments"]
        # All boards look alike: those of one video may stand for those of the other.
        return {place["name"] for moment in moments for place in (moment, *moment["also"])}

    assert names() == {"one.mp4", "two words.mp4"}
    assert names("--folder", videos / "deep") == {"two words.mp4"}
    assert names("--min-length", 5) == {"two words.mp4"}
    assert names("--since", "2100-01-01") == set()
    assert names("--until", "2100-01-01") == {"one.mp4", "two words.mp4"}


def test_search_in_words(run: Run) -> None:
    status, out, _ = run("search", "a zzzqqx board")
    lines = out.splitlines()
    assert status == 0
    assert lines[-1] == "unknown words, not used: zzzqqx"
    assert any("00:00:0" in line and ".mp4" in line for line in lines)
    assert run("search", "red boardd")[1].splitlines()[-1].startswith("did you mean board")
    assert "did you mean board" in run("search", "a boardd")[2]
    assert (
        run("search", "a motocycle")[1].splitlines()[-1]
        == "did you mean motorcycle, not motocycle?"
    )
    _, out, _ = run("search", "a board", "--json")
    moment = json.loads(out)["moments"][0]
    lines = run("search", "a board")[1].splitlines()
    name = f"{moment['video']}@{moment['start']:.1f}-{moment['end']:.1f} "
    assert any(line.startswith(name) for line in lines[:2])  # as `export` takes it


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["search", "   "], "no words"),
        (["search", "qzzqx"], "qzzqx"),
        (["search", "..."], "no words"),
        (["search", "a dog THEN"], "both sides"),
        (["search", "--like", "99@0"], "no video 99"),
        (["search", "--picture", "gone.jpg"], "gone.jpg: no such file"),
        (["search", "a dog", "--video", "99"], "no video 99"),
        (["search", "a dog", "--video", "gone.mp4"], "gone.mp4: no such video"),
        (["search", "a dog", "--words", "gone.txt"], "gone.txt"),
        (["remove", "99"], "no video 99"),
        (["remove"], "--missing"),
        (["watch", "gone"], "gone: no such folder"),
    ],
)
def test_errors_are_one_line(run: Run, arguments: list[str], complaint: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert complaint in err
    assert err.count("\n") == 1


def test_no_library_is_an_error_and_none_is_made(run: Run, tmp_path: Path) -> None:
    for command in (["search", "a dog"], ["list"]):
        status, _, err = run(*command, library=tmp_path / "none")
        assert (status, "no library here" in err) == (1, True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["search"],
        ["nonsense"],
        ["index"],
        ["search", "a", "--top", "0"],
        ["search", "--like", "1"],
        ["search", "a", "--like", "1@0"],
        ["search", "a", "--since", "yesterday"],
        ["export", "1@5", "--to", "x.mp4"],
        ["rate", "a dog", "1@2-3", "perhaps"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(arguments)
    assert exit.value.code == 2


# Taking away


def counters(path: Path) -> list[int]:
    """The numbers that the frames of a clip spell."""
    with av.open(str(path)) as film:
        return [read_counter(frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)]


def test_export_takes_exactly_the_frames_of_a_moment(run: Run, tmp_path: Path) -> None:
    status, _, err = run("export", "1@1-2.5", "--to", tmp_path / "clip.mp4")
    assert (status, err) == (0, f"1 moments in {tmp_path / 'clip.mp4'}\n")
    fps = round(json.loads(run("list", "--json")[1])["videos"][0]["fps"])
    assert counters(tmp_path / "clip.mp4") == list(range(fps, round(2.5 * fps)))
    assert run("export", "1@1-2", "2@0-1", "--to", tmp_path / "film.mp4")[0] == 0
    assert counters(tmp_path / "film.mp4") == [*range(fps, 2 * fps), *range(fps)]
    assert run("export", "1@1-2", "--to", tmp_path / "still.png")[0] == 0
    assert counters(tmp_path / "still.png") == [fps]
    (tmp_path / "clips").mkdir()
    assert run("export", "1@1-2", "2@0-1", "--to", tmp_path / "clips")[0] == 0
    names = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert [name[:4] for name in names] == ["001 ", "002 "]


def test_export_writes_the_lists_of_what_search_prints(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run("search", "a board", "--json")[1]
    for ending in ("csv", "json", "edl", "otio"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(found))
        status, _, _ = run("export", "-", "--to", tmp_path / f"list.{ending}")
        assert status == 0
        text = (tmp_path / f"list.{ending}").read_text()
        assert all(moment["name"] in text for moment in json.loads(found)["moments"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["99@1-2"], "no video 99"),
        (["1@3-2"], "span"),
        (["1@0-1", "2@0-1", "--copy"], "--copy"),
    ],
)
def test_what_cannot_be_exported_is_said(
    run: Run, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    status, out, err = run("export", *arguments, "--to", tmp_path / "clip.mp4")
    assert (status, out, err.count("\n"), complaint in err) == (1, "", 1, True)
    assert not (tmp_path / "clip.mp4").exists()


def test_ratings_are_kept_used_and_written_for_training(run: Run, tmp_path: Path) -> None:
    assert run("rate", "a white square", "1@1-2.5", "right")[0] == 0
    assert run("rate", "a white square", "2@3-4", "wrong")[0] == 0
    rated = json.loads(run("search", "a white square", "--json")[1])["moments"]
    plain = json.loads(run("search", "a white square", "--no-feedback", "--json")[1])["moments"]
    assert plain != rated
    status, _, err = run("ratings", tmp_path / "ratings.jsonl")
    assert (status, err) == (0, f"1 lines in {tmp_path / 'ratings.jsonl'}\n")
    (query,) = read_annotations(tmp_path / "ratings.jsonl").queries
    assert query.spans == ((1.0, 2.5),)
    said = (tmp_path / "ratings.jsonl").read_text()
    (tmp_path / "ratings.jsonl").write_text("mine")  # nothing that exists is replaced unasked
    status, _, err = run("ratings", tmp_path / "ratings.jsonl")
    assert (status, err) == (0, f"1 lines in {tmp_path / 'ratings 2.jsonl'}\n")
    assert (tmp_path / "ratings.jsonl").read_text() == "mine"
    assert run("ratings", tmp_path / "ratings.jsonl", "--overwrite")[0] == 0
    assert (tmp_path / "ratings.jsonl").read_text() == said
    film = Path(json.loads(run("list", "--json")[1])["videos"][0]["path"])
    before = film.read_bytes()
    status, _, err = run("ratings", film, "--overwrite")
    assert (status, err) == (1, f"error: {film.name}: is read by the library; take another name\n")
    assert film.read_bytes() == before
    assert run("rate", "a dog", "99@1-2", "right")[0] == 1


# Looking after the library


def test_list_and_remove(run: Run) -> None:
    status, out, _ = run("list")
    assert status == 0
    assert len(out.splitlines()) == 2
    assert all("ready" in line and ".mp4" in line for line in out.splitlines())
    status, out, _ = run("remove", "1")
    assert (status, out.startswith("forgotten: ")) == (0, True)
    _, out, _ = run("list", "--json")
    assert len(json.loads(out)["videos"]) == 1


def test_list_json_has_the_fields_of_the_contract(run: Run) -> None:
    _, out, _ = run("list", "--json")
    for video in json.loads(out)["videos"]:
        assert video.keys() >= {"id", "name", "path", "state", "reason", "duration", "rows"}
        assert (video["state"], video["reason"]) == ("ready", "")
        assert video["rows"] == round(video["duration"])


def test_rescan_follows_moves_and_losses(run: Run, videos: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(videos, tmp_path / "tree"))
    library = tmp_path / "new"
    assert run("index", tree, library=library)[0] == 0
    (tree / "one.mp4").rename(tree / "moved.mp4")
    status, _, err = run("rescan", tree, library=library)
    assert (status, err.splitlines()[-1]) == (0, "0 indexed, 2 unchanged, 0 refused")
    (tree / "moved.mp4").unlink()
    status, _, err = run("rescan", library=library)
    assert (status, "missing: " in err) == (0, True)
    _, out, _ = run("list", "--json", library=library)
    states = {video["name"]: video["state"] for video in json.loads(out)["videos"]}
    assert states == {"moved.mp4": "missing", "two words.mp4": "ready"}
    _, out, _ = run("remove", "--missing", library=library)
    assert out == f"forgotten: {tree / 'moved.mp4'}\n"


def test_rescan_leaves_a_file_that_goes_on_growing_for_later(
    run: Run, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = [tmp_path / "tree" / "one.mp4"]
    monkeypatch.setattr("vmr.library.rescan.wait_for_copies", lambda files, **_: growing)
    tree = Path(shutil.copytree(videos, tmp_path / "tree"))
    library = tmp_path / "new"
    status, _, err = run("rescan", tree, library=library)
    assert (status, "one.mp4: still being written; rescan" in err) == (3, True)
    _, out, _ = run("list", "--json", library=library)
    states = {video["name"]: video["state"] for video in json.loads(out)["videos"]}
    assert states == {"one.mp4": "waiting", "two words.mp4": "ready"}
    monkeypatch.undo()
    assert run("rescan", tree, library=library)[0] == 0
    assert {
        v["state"] for v in json.loads(run("list", "--json", library=library)[1])["videos"]
    } == {"ready"}


def test_rescan_looks_through_the_folders_indexed_so_far(
    run: Run, videos: Path, tmp_path: Path
) -> None:
    tree = Path(shutil.copytree(videos, tmp_path / "tree"))
    library = tmp_path / "new"
    run("index", tree, library=library)
    counter_video(tree / "later.mp4", 2.0)
    status, _, err = run("rescan", library=library)
    assert (status, err.splitlines()[-1]) == (0, "1 indexed, 2 unchanged, 0 refused")
    shutil.rmtree(tree)
    status, _, err = run("rescan", library=library)
    assert (status, err.count("missing: "), "no such file or folder" in err) == (3, 3, True)


def test_features_of_other_networks_are_said_and_redone_on_request(
    run: Run, library: Path, videos: Path
) -> None:
    with sqlite3.connect(library / "library.db") as db:
        db.execute("UPDATE settings SET value = 'older' WHERE key = 'features'")
        db.execute("UPDATE videos SET fingerprint = 'older'")
    counter_video(videos.parent / "another.mp4", 2.0)
    status, _, err = run("index", videos.parent / "another.mp4")
    assert (status, err.count("\n"), "rescan --reindex" in err) == (1, 1, True)
    status, _, err = run("rescan", "--reindex")
    assert (status, err.splitlines()[-1]) == (0, "3 indexed, 0 unchanged, 0 refused")
    moments = json.loads(run("search", "a board", "--json")[1])["moments"]
    assert sum(1 + len(moment["also"]) for moment in moments) > 2


@pytest.fixture
def other_words(tmp_path: Path) -> Path:
    """Vectors of the right width that the weights were not trained with."""
    names = ["a", "board", "white", "square"]
    lines = [
        f"{name} {' '.join(str((i + k) % 7 - 3) for k in range(50))}"
        for i, name in enumerate(names)
    ]
    (tmp_path / "other.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "other.txt"


def test_other_word_vectors_are_said_and_results_come(run: Run, other_words: Path) -> None:
    assert run("search", "a board", "--json")[2] == ""
    status, out, err = run("search", "a board", "--words", other_words, "--json")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("note: word vectors: not those that the weights were trained with")
    assert json.loads(out)["moments"]
    status, out, _ = run("doctor", "--words", other_words)
    assert (status, "LACK  word vectors: not those" in out) == (1, True)
    assert "LACK" not in run("doctor")[1]


def test_bench_measures_recall_on_this_library(run: Run, library: Path) -> None:
    status, out, _ = run("bench", "--recall", "--queries", "5", "--json")
    measured = json.loads(out)
    assert (status, measured["recall"], len(measured["milliseconds"])) == (0, 1.0, 5)
    assert "recall@100 against comparing every clip: 1.0000" in run("bench", "--recall")[1]


def test_an_index_of_other_weights_is_said_and_made_anew(run: Run, library: Path) -> None:
    record = library / "index.json"
    stored = record.read_text()
    whole = (library / "index.clips").read_bytes()

    def pretend() -> None:
        """The vectors of other weights, under their name."""
        record.write_text(stored.replace(json.loads(stored)["model"], "older"))

    pretend()
    assert "LACK  index: the index was made with other weights" in run("doctor")[1]
    status, out, err = run("search", "a board", "--json")
    assert (status, err.count("\n"), err.startswith("note: index: ")) == (0, 1, True)
    assert (record.read_text(), (library / "index.clips").read_bytes()) == (stored, whole)
    assert run("search", "a board", "--json")[1:] == (out, "")
    pretend()
    assert run("rescan", "--reindex")[0] == 0
    assert record.read_text() == stored


def test_search_says_that_the_features_are_of_other_networks(run: Run, library: Path) -> None:
    with sqlite3.connect(library / "library.db") as db:
        db.execute("UPDATE settings SET value = 'older' WHERE key = 'features'")
    status, _, err = run("search", "a board")
    assert (status, err.count("\n"), "rescan --reindex" in err) == (0, 1, True)
    assert "LACK  features: " in run("doctor")[1]


def test_watch_indexes_what_comes_and_stops_on_interrupt(videos: Path, tmp_path: Path) -> None:
    folder, library = tmp_path / "films", tmp_path / "library"
    folder.mkdir()
    command = [sys.executable, "-m", "vmr", "watch", str(folder), "--library", str(library)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert "following" in process.stderr.readline()
            shutil.copy(videos / "one.mp4", folder)
            assert process.stdout.readline() == f"ready: {folder / 'one.mp4'}\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert process.stderr.read() == "stopped; what was finished is kept\n"
        finally:
            process.kill()


def test_doctor_says_what_is_there(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("doctor")
    for word in ("Python", "torch", "faiss", "device", "model", "ffmpeg", "library"):
        assert word in out
    assert status == 0
    status, out, _ = run("doctor", "--json", library=tmp_path / "none")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert (status, checks["library"]["good"]) == (1, False)
    assert "index" in checks["library"]["advice"]


def test_demo_passes_options_on_to_the_page() -> None:
    assert read_options(["demo", "--port", "7861", "--kiosk"]).rest == ["--port", "7861", "--kiosk"]
    assert read_options(["demo"]).rest == []
    with pytest.raises(SystemExit):
        read_options(["list", "--port", "7861"])


# The process


def test_help_is_fast_because_it_loads_nothing_heavy() -> None:
    command = [sys.executable, "-m", "vmr", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor seconds: the wall clock of a busy machine says nothing about us.
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 0.5
    script = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules))\n"
        "from vmr.__main__ import main; main(['--help'])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert "vmr.__main__" in loaded
    assert not {"torch", "numpy", "gensim", "faiss", "av", "tqdm"} & loaded


def test_the_module_runs_as_a_process(indexed: Path) -> None:
    command = [sys.executable, "-m", "vmr", "list", "--library", str(indexed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""
    environment = {**os.environ, "VMR_LIBRARY": str(indexed)}
    named = subprocess.run(command[:4], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert named.stdout == done.stdout
