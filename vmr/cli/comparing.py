"""`compare`: the same films indexed with several encoders, and one table.

Each is measured in a process of its own, so that memory and start are its own. What reads no words,
such as C3D, VideoMAE or V-JEPA 2, is measured by how well its rows tell shots apart.

Heavy modules are imported inside the commands that need them, so that `--help` answers at once.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmr.cli.choosing import take_encoder
from vmr.cli.console import DONE, FAILED, Commands

if TYPE_CHECKING:
    from feature_extract.encoded_rows import Eyes
    from vmr.library.store import Library
    from vmr.model.retrieval import RetrievalModel
    from vmr.search.searcher import Searcher

BASE = "base"
"""Another name for what comes with the project."""
C3D = "c3d"
"""The motion network that comes with the project: its rows are in every index."""
SPORTS_1M = "c3d-sports1m"
"""C3D with the weights that `vmr weights add` was given."""
HEADS = "encoder | captions | words | verdicts | films | shots | s an hour | bytes a row | "
HEADS += "ms a question | MB"


def add_parsers(command: Commands) -> None:
    """Register the command."""
    compare = command(
        "compare", _compare, "Index the same films with several encoders, and print one table."
    )
    compare.add_argument(
        "--encoders",
        required=True,
        metavar="NAMES",
        help="several with commas between; `base` or `default` is what comes with the project, and "
        "networks without words may be among them: `c3d` that comes with it, too, `c3d-sports1m`, "
        "torchvision's (r2plus1d_18, mvit_v2_s, swin3d_t), VideoMAE and V-JEPA 2 by folder or name",
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


@dataclass(frozen=True)
class Compared:
    """What one encoder does with some films."""

    encoder: str
    reads: bool
    "whether a question can be asked of it; else nothing is said of questions"
    shots: float | None
    "of the films' shots: the share whose end is found by their beginning, by rows alone"
    among: int
    "shots that were told apart"
    seconds_an_hour: float
    "of indexing, for each hour of film"
    bytes_a_row: float
    megabytes: float
    "of memory, at most"
    right: float | None = None
    "of questions about packaged photographs among the films' rows"
    captions: float | None = None
    words: float | None = None
    "of these the ones that are a sentence, and those that only name a thing"
    verdicts: float | None = None
    films: float | None = None
    "of the questions that were given: the share whose best second is in the right span"
    milliseconds: float | None = None
    "of a question that was not asked before"


def _compare(options: argparse.Namespace) -> int:
    names = [name.strip() for name in options.encoders.split(",") if name.strip()]
    if not names:
        raise ValueError("--encoders: names none; several with commas between, such as base,c3d")
    if len(names) == 1:
        found = [_measured(names[0], options.films, options.questions, options.prompt)]
    else:
        found = [one for name in names for one in _in_a_process_of_its_own(name, options)]
    if options.json:
        print(json.dumps([asdict(one) for one in found]))
    elif found:
        print("\n".join([HEADS, *map(_line, found), *_notes(found)]))
    return DONE if len(found) == len(names) else FAILED


def _line(one: Compared) -> str:
    shares = (one.captions, one.words, one.verdicts, one.films, one.shots)
    cells = [one.encoder, *("-" if share is None else f"{share:.0%}" for share in shares)]
    cells += [f"{one.seconds_an_hour:.0f}", f"{one.bytes_a_row:.0f}"]
    cells.append("-" if one.milliseconds is None else f"{one.milliseconds:.0f}")
    return " | ".join([*cells, f"{one.megabytes:.0f}"])


def _notes(found: Sequence[Compared]) -> list[str]:
    """What a table does not say by itself."""
    among = max((one.among for one in found), default=0)
    notes = []
    if among > 1:
        notes.append(
            f"shots: of {among}, the share whose last seconds are the nearest to their first, by "
            f"rows alone (by chance {1 / among:.1%})"
        )
    if mute := [one.encoder for one in found if not one.reads]:
        notes.append(
            f"{', '.join(mute)}: without words, so no question can be asked; time and bytes are "
            "those of the whole index, with such rows in it"
        )
    return notes


def _in_a_process_of_its_own(name: str, options: argparse.Namespace) -> list[Compared]:
    """The same command for one encoder; nothing, and a line that says so, if it fails: what was
    measured of the others stands."""
    command = [sys.executable, "-m", "vmr", "compare", "--json", "--encoders", name]
    command += ["--questions", str(options.questions)] if options.questions else []
    command += ["--prompt", options.prompt] if options.prompt else []
    done = subprocess.run(
        [*command, *map(str, options.films)], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        print(f"{name}: could not be measured; the line above says why", file=sys.stderr)
        return []
    return [Compared(**one) for one in json.loads(done.stdout)]


def _measured(
    name: str, films: Sequence[Path], questions: Path | None, prompt: str = ""
) -> Compared:
    from feature_extract.extract import Extractor
    from vmr.cli.library import finish
    from vmr.library.encoders import extractor_of
    from vmr.library.folders import find_videos
    from vmr.library.ingest import Ingest
    from vmr.library.store import Library
    from vmr.model.retrieval import MOTION
    from vmr.search.model import model_of

    eyes = _without_words(name)
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Path(folder) / "library")
        if eyes is None and name not in (BASE, C3D):
            take_encoder(library, name, prompt)
        begin = time.perf_counter()
        make = extractor_of(library) if eyes is None else lambda: Extractor(encoder=eyes)
        with Ingest(library, make) as ingest:
            ingest.add(find_videos(films))
            finish(library, ingest)
        seconds = time.perf_counter() - begin
        videos = [video for video in library.videos() if video.searchable]
        if not videos:
            raise ValueError(f"{films[0]}: no film in it that can be indexed")
        model, reads = model_of(library), eyes is None and name != C3D
        asked = _asked(library, model, questions) if reads else {}
        shots, among = _shots(library, model, "" if reads else eyes.block if eyes else MOTION)
        size = sum(f.stat().st_size for f in (Path(folder) / "library" / "features").iterdir())
        compared = Compared(
            name,
            reads,
            shots,
            among,
            3600 * seconds / sum(video.duration for video in videos),
            size / sum(video.rows for video in videos),
            _peak_megabytes(),
            **asked,
        )
        library.close()
    return compared


def _without_words(name: str) -> "Eyes | None":
    """The network of this name, if it is one that reads no words and is in no index by itself.

    Raises:
        ValueError: it is named, and cannot be used; or nothing is called so.
    """
    from vmr.library.encoders import DEFAULT

    if name in (BASE, DEFAULT, C3D):
        return None
    from feature_extract.encoders.encoder import Encoder
    from feature_extract.encoders.open import find
    from feature_extract.networks.device import chosen_device
    from feature_extract.row_networks import C3D_NAME, NAMES, AsEyes, network_of

    if name == SPORTS_1M or name in NAMES:
        device = chosen_device("auto")
        return AsEyes(network_of(C3D_NAME if name == SPORTS_1M else name, device=device)[0])
    source = find(name)
    return Encoder(source, device="auto", texts=False) if source.wordless else None


def _asked(
    library: "Library", model: "RetrievalModel", questions: Path | None
) -> dict[str, float | None]:
    """What is said of questions."""
    from vmr.cli.encoders import fit_for
    from vmr.search.searcher import Searcher

    searcher = Searcher(library, model)
    searcher.search("something else")  # loads the text tower
    begin = time.perf_counter()
    asked = ["a dog runs", "two people talk", "a red car", "waves on a beach", "a night sky"]
    for question in asked:
        searcher.search(question)
    milliseconds = 1000 * (time.perf_counter() - begin) / len(asked)
    fitted = asdict(fit_for(library, model))
    return {name: fitted[name] for name in ("right", "captions", "words", "verdicts")} | {
        "films": None if questions is None else _answered(searcher, questions),
        "milliseconds": milliseconds,
    }


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


def _shots(library: "Library", model: "RetrievalModel", block: str) -> tuple[float | None, int]:
    """How well rows tell the films' shots apart, and how many those are.

    Args:
        block: the columns of features that count; empty for what the model sees in a picture.
    """
    from vmr.training.told_apart import ends_of, share_found

    shots = []
    for video in (video for video in library.videos() if video.searchable):
        seen = library.features(video.id)
        rows = seen.columns([block] if block else model.blocks)
        told = rows if block else model.space.looks(model.encode_clips(rows))
        shots += ends_of(told, seen.starts, seen.ends, seen.cuts)
    return share_found(shots), len(shots)


def _peak_megabytes() -> float:
    if sys.platform == "win32":
        return float("nan")
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)
