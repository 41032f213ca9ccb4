"""The commands that measure encoders: calibrate and compare.

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vmr.cli.choosing import take_encoder
from vmr.cli.console import DONE, Commands

if TYPE_CHECKING:
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.search.searcher import Searcher
    from vmr.training.own_calibration import Fitted


FEWEST_ROWS = 30
"""Seconds of video that a calibration needs at least."""


def add_parsers(command: Commands) -> None:
    """Register the commands."""
    calibrate = command(
        "calibrate", _calibrate, "Fit strength and verdict for the encoder of a library."
    )
    calibrate.add_argument("--json", action="store_true")
    compare = command(
        "compare", _compare, "Index the same films with several encoders, and print one table."
    )
    compare.add_argument(
        "--encoders",
        required=True,
        metavar="NAMES",
        help="several with commas between; `default` is what comes with the project",
    )
    compare.add_argument(
        "--prompt",
        default="",
        metavar="TEXT",
        help="what a question becomes before an encoder reads it, such as 'a video of {}'",
    )
    compare.add_argument("films", nargs="+", type=Path, metavar="FILMS")
    compare.add_argument(
        "--questions",
        type=Path,
        metavar="FILE",
        help="lines of question, film, start and end in seconds, with tabs between",
    )
    compare.add_argument("--json", action="store_true")


# Calibrating


def _calibrate(options: argparse.Namespace) -> int:
    from vmr.library.encoders import chosen
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.search.model import basis_folder, basis_of, model_of, write_basis

    library = Library(options.library)
    choice = chosen(library)
    if choice is None:
        raise ValueError(
            f"{library.name} is searched with what comes with the project, which is calibrated"
        )
    fitted = fit_for(library, model_of(library))
    if fitted.calibration is None:
        raise ValueError(
            f"{choice.name}: nothing can be fitted, as it answers {fitted.right:.0%} of questions "
            "about packaged photographs right, and those with no higher scores than others; the "
            "library stays uncalibrated"
        )
    base = RetrievalModel.load()
    basis = replace(basis_of(library, choice, base), calibration=fitted.calibration)
    rows = sum(video.rows for video in library.videos() if video.searchable)
    worth = {name: value for name, value in asdict(fitted).items() if name != "calibration"}
    write_basis(basis_folder(library, choice), basis, rows, base, fit=worth)
    if options.json:
        print(json.dumps(worth))
        return DONE
    print(
        f"fitted on the library's {fitted.rows} rows and packaged photographs; of photographs left "
        f"out:\n{fitted.right:.0%} of questions are answered right, {fitted.verdicts:.0%} of "
        f"verdicts hold, strength is off by {fitted.error:.2f} on average"
    )
    return DONE


def fit_for(library: "Library", model: "RetrievalModel") -> "Fitted":
    """A calibration of a library's model, and what it is worth.

    Raises:
        ValueError: the library has next to nothing to make timelines of.
    """
    import numpy as np
    from PIL import Image

    from vmr.search.model import looks_of
    from vmr.search.picture import PictureReader
    from vmr.training.own_calibration import fit, views_of
    from vmr.training.packaged import PHOTOGRAPHS, picture_of

    footage = looks_of(library, model)
    if len(footage) < FEWEST_ROWS:
        raise ValueError(
            f"{library.name}: {len(footage)} s of video are too few to calibrate on; "
            f"index {FEWEST_ROWS} s or more"
        )
    reader, shown = PictureReader(model), []
    for photograph in PHOTOGRAPHS:
        with Image.open(picture_of(photograph)) as image:
            views = views_of(np.array(image.convert("RGB")))
        shown.append(np.stack([reader.row_of(Image.fromarray(view)) for view in views]))
    return fit(model, shown, footage)


# Comparing


@dataclass(frozen=True)
class Compared:
    """What one encoder does with some films."""

    encoder: str
    right: float
    "of questions about packaged photographs among the films' rows"
    verdicts: float | None
    films: float | None
    "of the questions that were given: the share whose best second is in the right span"
    seconds_an_hour: float
    "of indexing, for each hour of film"
    bytes_a_row: float
    milliseconds: float
    "of a question that was not asked before"
    megabytes: float
    "of memory, at most"


def _compare(options: argparse.Namespace) -> int:
    names = [name.strip() for name in options.encoders.split(",") if name.strip()]
    if len(names) == 1:
        found = [_measured(names[0], options.films, options.questions, options.prompt)]
    else:
        found = [_in_a_process_of_its_own(name, options) for name in names]
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
        return DONE
    print("encoder | right | verdicts | films | s an hour | bytes a row | ms a question | MB")
    for one in found:
        verdicts, films = (
            "-" if share is None else f"{share:.0%}" for share in (one.verdicts, one.films)
        )
        print(
            f"{one.encoder} | {one.right:.0%} | {verdicts} | {films} | "
            f"{one.seconds_an_hour:.0f} | {one.bytes_a_row:.0f} | {one.milliseconds:.0f} | "
            f"{one.megabytes:.0f}"
        )
    return DONE


def _in_a_process_of_its_own(name: str, options: argparse.Namespace) -> Compared:
    """The same command for one encoder, so that memory and start are its own."""
    command = [sys.executable, "-m", "vmr", "compare", "--json", "--encoders", name]
    command += ["--questions", str(options.questions)] if options.questions else []
    command += ["--prompt", options.prompt] if options.prompt else []
    done = subprocess.run(
        [*command, *map(str, options.films)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"{name}: could not be measured; the line above says why")
    return Compared(**json.loads(done.stdout)[0])


def _measured(
    name: str, films: Sequence[Path], questions: Path | None, prompt: str = ""
) -> Compared:
    from vmr.cli.library import ingest_files
    from vmr.library.folders import find_videos
    from vmr.library.store import Library
    from vmr.search.model import model_of
    from vmr.search.searcher import Searcher

    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder) / "library")
        take_encoder(library, name, prompt)
        begin = time.perf_counter()
        ingest_files(library, find_videos(films))
        seconds = time.perf_counter() - begin
        videos = [video for video in library.videos() if video.searchable]
        if not videos:
            raise ValueError(f"{films[0]}: no film in it that can be indexed")
        model = model_of(library)
        searcher = Searcher(library, model)
        searcher.search("something else")  # loads the text tower
        begin = time.perf_counter()
        asked = ["a dog runs", "two people talk", "a red car", "waves on a beach", "a night sky"]
        for question in asked:
            searcher.search(question)
        milliseconds = 1000 * (time.perf_counter() - begin) / len(asked)
        fitted = fit_for(library, model)
        size = sum(f.stat().st_size for f in (Path(folder) / "library" / "features").iterdir())
        compared = Compared(
            name,
            fitted.right,
            fitted.verdicts,
            None if questions is None else _answered(searcher, questions),
            3600 * seconds / sum(video.duration for video in videos),
            size / sum(video.rows for video in videos),
            milliseconds,
            _peak_megabytes(),
        )
        library.close()
    return compared


def _answered(searcher: "Searcher", questions: Path) -> float:
    """The share of questions of a file whose best second lies where the file says."""
    right = []
    lines = questions.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            question, film, start, end = line.split("\t")
            moments = searcher.search(question).moments[:1]
            here = [m for m in moments if film in (m.name, m.path.stem)]
            right.append(any(float(start) <= m.best < float(end) for m in here))
        except ValueError as error:
            raise ValueError(f"{questions}:{number}: {error}") from error
    if not right:
        raise ValueError(f"{questions}: no question in it")
    return sum(right) / len(right)


def _peak_megabytes() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)
