"""`calibrate` and `compare`, with encoders of toy size and with one whose answers are known."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from feature_extract.networks.squash import squash
from tests.support.media import counter_video, ffmpeg
from tests.support.tiny_encoders import tiny_clip, tiny_wordless
from vmr.__main__ import main
from vmr.cli.comparing import HEADS, Compared, _answered, _line, _notes
from vmr.library.encoders import choose, chosen
from vmr.library.store import Library
from vmr.search.model import basis_folder, model_of
from vmr.search.searcher import Searcher
from vmr.training.own_calibration import views_of
from vmr.training.packaged import PHOTOGRAPHS, picture_of

WIDTH = 32
SECONDS = 8


class KnowsPhotographs:
    """Stands for an encoder that knows the packaged photographs and their captions, and nothing
    else: what it sees otherwise, and other words, are unit vectors of chance."""

    width, side, frames, prompt = WIDTH, 32, 1, "{}"

    def __init__(self, folder: Path) -> None:
        self.source = SimpleNamespace(name="knows", folder=folder, digest="0123456789ab")
        self.block = self.source.block = f"encoder-{self.source.digest}"

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        said = {text: place for place, p in enumerate(PHOTOGRAPHS) for text in p.captions}
        return np.stack([_meant(said.get(text), text.encode()) for text in texts])

    def see(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.stack([self.see_picture(one) for one in pixels])

    def see_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = _small(picture)
        distances = [np.abs(small - known).mean() for known, _ in _known()]
        nearest = int(np.argmin(distances))
        place = _known()[nearest][1] if distances[nearest] < 2 else None
        return _meant(place, small.tobytes())


class MeansTheOpposite(KnowsPhotographs):
    """One whose words mean what is least like them: the better it knows, the lower it scores."""

    def read(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return -super().read(texts)


def _meant(place: int | None, seed: bytes) -> NDArray[np.float32]:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(seed).digest()[:8], "big"))
    vector = rng.normal(0, 0.12 if place is not None else 1.0, WIDTH)
    if place is not None:
        vector[place] += 1
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.array(squash(Image.fromarray(picture)).resize((8, 8))).astype(np.float32)


@cache
def _known() -> list[tuple[NDArray[np.float32], int]]:
    found = []
    for place, photograph in enumerate(PHOTOGRAPHS):
        with Image.open(picture_of(photograph)) as image:
            found += [(_small(v), place) for v in views_of(np.array(image.convert("RGB")))]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    tiny_clip(folder / "clip")
    (folder / "knows").mkdir()
    (folder / "films").mkdir()
    counter_video(folder / "films" / "a.mp4", seconds=SECONDS, fps=8, size=(160, 90))
    return folder


@pytest.fixture(scope="module", autouse=True)
def few(words_once: None) -> Iterator[None]:
    """Fewer timelines than a fit for use is made of, and networks that are loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vmr.cli.encoders.FEWEST_ROWS", SECONDS)
        patch.setattr("vmr.training.own_calibration.TIMELINES", 60)
        patch.setattr("vmr.training.own_calibration.LONG_TIMELINES", 2)
        patch.setattr("vmr.training.own_orders.TIMELINES", 40)
        patch.setattr("vmr.training.own_orders.ROWS", (30, 80))
        patch.setattr("vmr.training.own_calibration.ROWS", (30, 80))
        patch.setattr("vmr.training.own_calibration.LONG_ROWS", (200, 250))
        yield


def knows(
    monkeypatch: pytest.MonkeyPatch, place: Path, kind: type[KnowsPhotographs] = KnowsPhotographs
) -> None:
    encoder = kind(place / "knows")

    def opened(*_: object, **__: object) -> Any:
        return encoder

    monkeypatch.setattr("feature_extract.encoders.open.open_encoder", opened)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


@pytest.fixture(scope="module")
def folder(place: Path) -> Path:
    """A library whose encoder knows nothing."""
    arguments = ["index", place / "films", "--no-speech", "--library", place / "library"]
    assert main([*map(str, arguments), "--encoder", str(place / "clip")]) == 0
    return place / "library"


def test_calibrate_refuses_what_cannot_be_fitted_in_one_line(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    knows(monkeypatch, place, MeansTheOpposite)
    rescan = ("rescan", "--encoder", place / "knows", "--library", folder)
    assert run(capsys, *rescan)[0] == 0
    status, _, said = run(capsys, "calibrate", "--library", folder)
    assert (status, said.count("\n")) == (1, 1)
    assert "nothing can be fitted" in said
    assert not model_of(Library(folder)).calibrated
    monkeypatch.setattr("vmr.cli.encoders.FEWEST_ROWS", SECONDS + 1)
    status, _, said = run(capsys, "calibrate", "--library", folder)
    assert (status, f"{SECONDS} s of video are too few" in said) == (1, True)
    choice = chosen(Library(folder))
    choose(Library(folder), None)
    status, _, said = run(capsys, "calibrate", "--library", folder)
    assert (status, "which is calibrated" in said) == (1, True)
    choose(Library(folder), choice)


def test_calibrate_fits_an_encoder_that_knows_what_it_is_asked(
    folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    knows(monkeypatch, place)
    library = ("--library", folder)
    assert run(capsys, "rescan", "--encoder", place / "knows", *library)[0] == 0
    in_parts = ("search", "a cat, then a rocket", *library)
    for asked in (("search", "a cat", *library), in_parts):
        status, printed, _ = run(capsys, *asked)
        assert (status, "uncalibrated: this encoder's strengths are" in printed) == (0, True)
    before = model_of(Library(folder))
    status, printed, _ = run(capsys, "calibrate", "--json", *library)
    fitted = json.loads(printed)
    assert status == 0
    assert fitted["right"] > 0.9
    assert fitted["verdicts"] > 0.8
    assert fitted["error"] < 0.25
    assert fitted["rows"] == SECONDS
    assert fitted["orders"] > 0.7
    assert fitted["orders_error"] < 0.3
    for kind in ("words", "captions"):
        assert fitted[kind] > 0.9
    after = model_of(Library(folder))
    assert (before.calibrated, after.calibrated) == (False, True)
    assert after.calibration != before.calibration
    assert after.fingerprint == before.fingerprint  # no vector is another: the index stays
    assert before.mix != after.mix
    answer = json.loads(run(capsys, "search", "a cat", "--json", *library)[1])
    assert "uncalibrated" not in answer
    assert "uncalibrated" not in json.loads(run(capsys, *in_parts, "--json")[1])
    forget_mix(Library(folder))  # as one that was calibrated before they were fitted
    assert "uncalibrated" not in run(capsys, "search", "a cat", *library)[1]
    assert "strengths of questions in two parts are guesses" in run(capsys, *in_parts)[1]
    assert json.loads(run(capsys, *in_parts, "--json")[1])["uncalibrated"]


def forget_mix(library: Library) -> None:
    """Take out of a kept calibration what is of questions in two parts."""
    choice = chosen(library)
    assert choice is not None
    settings = basis_folder(library, choice) / "config.json"
    said = json.loads(settings.read_text())
    assert said.pop("mix")
    settings.write_text(json.dumps(said))


def test_compare_measures_an_encoder_on_films_and_questions(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("vmr.training.own_calibration.TIMELINES", 8)
    asked = tmp_path / "asked.tsv"
    asked.write_text(f"# question\na number\ta\t0\t{SECONDS}\na number\tb\t0\t{SECONDS}\n")
    command = ("compare", "--json", "--questions", asked, "--encoders")
    status, printed, _ = run(capsys, *command, place / "clip", place / "films")
    assert status == 0
    (found,) = json.loads(printed)
    assert found["encoder"] == str(place / "clip")
    assert 0 <= found["right"] < 1  # it knows nothing
    assert found["films"] == 0.5
    assert found["seconds_an_hour"] > 0
    assert found["bytes_a_row"] > 2 * 24
    assert found["milliseconds"] > 0


def test_compare_measures_what_reads_no_words_by_its_rows(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside what comes with the project, called base, too; nothing is said of questions."""
    monkeypatch.setattr("vmr.cli.comparing._asked", lambda *_: {"right": 0.5})
    for name, rows in (("APART", 0), ("FEWEST", 1), ("MOST", 2)):  # so that four seconds will do
        monkeypatch.setattr(f"vmr.training.told_apart.{name}", rows)
    tiny_wordless(tmp_path / "mae", "videomae")
    films = tmp_path / "films"
    films.mkdir()
    still = ("-f", "lavfi", "-i", "testsrc=s=160x90:r=2:d=4")  # one shot
    ffmpeg(*still, "-pix_fmt", "yuv420p", films / "a.mp4")
    found = {}
    for name in ("base", "c3d", str(tmp_path / "mae")):
        status, printed, _ = run(capsys, "compare", "--json", "--encoders", name, films)
        assert status == 0
        (found[name],) = json.loads(printed)
        assert found[name]["encoder"] == name
        assert found[name]["among"] == 2
        assert found[name]["shots"] in (0, 0.5, 1)
        assert found[name]["reads"] is (name == "base")
    asked = ("right", "captions", "words", "verdicts", "films", "milliseconds")
    for name in ("c3d", str(tmp_path / "mae")):
        assert all(found[name][what] is None for what in asked)
    assert found["base"]["right"] == 0.5
    wider = found[str(tmp_path / "mae")]["bytes_a_row"] - found["c3d"]["bytes_a_row"]
    assert wider == pytest.approx(2 * 36, abs=20)
    c3d = Compared(**found["c3d"])
    assert re.fullmatch(r"c3d( \| -){4} \| \d+%( \| \d+){2} \| - \| \d+", _line(c3d))
    assert _notes([c3d])[1].startswith("c3d: without words, so no question can be asked")


def test_a_library_is_not_searched_with_what_reads_no_words(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_wordless(tmp_path / "jepa", "vjepa2")
    before = chosen(Library(folder))
    rescan = ("rescan", "--library", folder, "--encoder", tmp_path / "jepa")
    status, _, said = run(capsys, *rescan)
    assert (status, "a video network without words" in said) == (1, True)
    assert said.count("\n") == 1
    assert chosen(Library(folder)) == before


def test_questions_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    asked, searcher = tmp_path / "asked.tsv", cast(Searcher, None)  # not come to
    for content, said in (("a number\ta\n", f"{asked}:1: "), ("# none\n", "no question in it")):
        asked.write_text(content)
        with pytest.raises(ValueError, match=re.escape(said)):
            _answered(searcher, asked)


def test_compare_prints_a_line_for_each_encoder(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each in a process of its own; one that fails says why."""
    told = {"reads": True, "shots": 0.5, "among": 40, "seconds_an_hour": 90.4}
    told |= {"bytes_a_row": 6000.0, "milliseconds": 12.0, "megabytes": 800.0}
    told |= {"right": 0.25, "captions": 0.26, "words": 0.24}
    commands: list[list[str]] = []

    def other(command: list[str], **_: object) -> object:
        commands.append(command)
        name = command[command.index("--encoders") + 1]
        answer = json.dumps([{"encoder": name, **told}]) if name != "gone" else ""
        return subprocess.CompletedProcess(command, int(name == "gone"), answer)

    monkeypatch.setattr("subprocess.run", other)
    prompt = ["--prompt", "a video of {}"]
    assert main(["compare", "--encoders", "default, mine", *prompt, str(place / "films")]) == 0
    lines = capfd.readouterr().out.splitlines()
    figures = "26% | 24% | - | - | 50% | 90 | 6000 | 12 | 800"
    assert lines[:3] == [HEADS, *(f"{name} | {figures}" for name in NAMES)]
    assert "of 40, the share" in lines[3]
    assert "by chance 2.5%" in lines[3]
    assert len(lines) == 4
    assert [command[-3:] for command in commands] == [[*prompt, str(place / "films")]] * 2
    assert main(["compare", "--encoders", "default,gone,mine", str(place / "films")]) == 1
    printed = capfd.readouterr()
    assert printed.out.splitlines() == lines  # the others are compared all the same
    assert printed.err == "gone: could not be measured; the line above says why\n"
    monkeypatch.undo()
    assert main(["compare", "--encoders", "siglip2-bas,nobody", str(place / "films")]) == 1
    printed = capfd.readouterr()
    assert printed.out == ""
    said = printed.err
    assert "did you mean siglip2-base?" in said
    assert "siglip2-bas: could not be measured; the line above says why" in said


NAMES = ("default", "mine")
