"""A page over counter videos whose moments we planted, served for real on a free port.

    with served(planted_page(tmp_path)) as address: ...

Every frame of the videos spells its number, so that what is played, previewed or exported can be
checked to the frame; the rows behind them are chosen so that the queries below have known answers.
"""

import copy
import io
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from feature_extract.extract import Extraction, Extractor
from feature_extract.features import Features
from feature_extract.video.frames import probe
from tests.support.media import counter_frame, counter_video
from tests.support.planted import BLOCKS, FINGERPRINT, packaged_words, random_rows, tiny_model
from vmr.library.content import full_digest
from vmr.library.encoders import extractor_of
from vmr.library.ingest import Ingest
from vmr.library.store import Library
from vmr.media.preview import Previews
from vmr.model.retrieval import RetrievalModel
from vmr.model.strength import Calibration
from vmr.model.text import Words
from vmr.page.access import Access
from vmr.page.options import read_options
from vmr.page.page import Page
from vmr.page.server import serve
from vmr.page.viewer import Screen

DOG = "a dog runs on the beach"
GOAL = "football goal"
ABSENT = "zebra"
FPS = 25
SECONDS = 20
# Video id -> query -> the seconds [start, end) in which it shows.
MOMENTS = {1: {DOG: (6, 10)}, 2: {DOG: (12, 16), GOAL: (3, 7)}, 3: {}}
SHARPNESS = 4.0  # of the line between planted rows and all others


def planted_page(
    folder: Path,
    *,
    access: Access | None = None,
    screen: Screen | None = None,
    hostile: str = "plain",
    suffix: str = ".mp4",
    begins: float = 0.0,
    folders: tuple[str, str, str] = ("", "", ""),
) -> Page:
    """Three videos of 20 s in a library.

    Args:
        folders: of each, below the folder of videos.
        hostile: stem of the third one's name.
        begins: where the clock of the files starts, in seconds.
    """
    planted, pools = _planted()
    model = copy.copy(planted)  # a test may give its page another second stage
    library = Library((folder / "library").resolve())
    library.adopt(FINGERPRINT)
    stems = ("beach", "party", hostile)
    for number, (stem, place) in enumerate(zip(stems, folders, strict=True)):
        path = (folder / "videos" / place / f"{stem}{suffix}").resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        # An empty box at the end: files of the same content would be one video of the library.
        path.write_bytes(_film(suffix, begins) + b"\0\0\0\x0cfree" + stem[:4].encode())
        _plant(library, path, _rows(pools, number, len(stem)))
    previews = Previews(library.folder / "previews", limit_bytes=1 << 28)
    ingest = Ingest(library, Extractor)
    return Page(library, model, ingest, previews, access, screen)


@cache
def _film(suffix: str, begins: float) -> bytes:
    codecs = {".avi": "mpeg4", ".webm": "libvpx", ".hevc.mp4": "libx265"}
    codec = codecs.get(suffix, "libx264")
    times = (begins + np.arange(SECONDS * FPS) / FPS).tolist() if begins else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"film{suffix}")
        counter_video(path, SECONDS, FPS, codec=codec, times=times)
        return path.read_bytes()


def real_page(folder: Path, screen: Screen | None = None) -> Page:
    """An empty library, the shipped model, the real networks."""
    library = Library(folder / "library")
    previews = Previews(library.folder / "previews", limit_bytes=1 << 28)
    ingest = Ingest(library, extractor_of(library))
    return Page(library, RetrievalModel.load(), ingest, previews, screen=screen)


@cache
def _planted() -> tuple[RetrievalModel, dict[str, NDArray[np.float16]]]:
    """The model, and rows for each of the queries."""
    words, model = packaged_words(), tiny_model()
    pools = _pools(model, words)
    model.calibration = _calibration(model, words, pools)
    return model, pools


def _pools(model: RetrievalModel, words: Words) -> dict[str, NDArray[np.float16]]:
    """For every query two rows that look most like it, each its own way, and under "" rows that
    look like none."""
    rows = random_rows(6000, 5)
    clips = model.encode_clips(rows)
    queries = (DOG, GOAL, ABSENT)
    curves = [model.curve(clips, model.encode_query(words.query(text))) for text in queries]
    scores = np.stack(curves)  # (Q, N)
    pools = {"": rows[np.argsort(scores.max(axis=0))[:300]]}
    for number, text in enumerate(queries[:2]):
        others = np.delete(scores, number, axis=0).max(axis=0)
        best = np.argsort(0.75 * others - scores[number])
        looks = model.space.shared(clips[best])
        second = int(np.argmax(looks @ looks[0] < 0.9))  # no copy of the first: two footages
        pools[text] = rows[best[[second, 0]]]
    return pools


def _calibration(
    model: RetrievalModel, words: Words, pools: dict[str, NDArray[np.float16]]
) -> Calibration:
    """Strong for the planted rows of a query, none for every other row, with room on both sides."""
    clips = {text: model.encode_clips(rows) for text, rows in pools.items()}
    right: list[float] = []
    wrong: list[float] = []
    for query in (DOG, GOAL, ABSENT):
        vector = model.encode_query(words.query(query))
        for text, rows in clips.items():
            curve = model.curve(rows, vector)
            if text == query:
                right.append(float(curve.min()))
            else:
                wrong.append(float(curve.max()))
    line = (min(right) + max(wrong)) / 2
    return Calibration(slope=SHARPNESS, offset=-SHARPNESS * line, possible=0.4, strong=0.7)


def _rows(pools: dict[str, NDArray[np.float16]], number: int, seed: int) -> NDArray[np.float16]:
    """Those of the video of this number, from 0."""
    chosen = np.random.default_rng(seed).integers(0, len(pools[""]), size=SECONDS)
    rows = pools[""][chosen]
    for query, (start, end) in MOMENTS[1 + number].items():
        rows[start:end] = pools[query][number]
    return rows


def _plant(library: Library, path: Path, rows: NDArray[np.float16]) -> None:
    """Store the video as if these rows had been extracted from it."""
    count = len(rows)
    features = Features(
        rows=rows,
        starts=np.arange(count, dtype=np.float64),
        ends=np.arange(1, count + 1, dtype=np.float64),
        blocks=BLOCKS,
        cuts=np.array([6.0, 12.0]),
        duration=float(count),
        unreadable=(),
        fingerprint=FINGERPRINT,
    )
    pictures = tuple(_jpeg(counter_frame(FPS * row, 160, 90)) for row in range(count))
    video = library.register(path)
    library.store(video.id, Extraction(features, probe(path), pictures), full=full_digest(path))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@contextmanager
def served(page: Page, *arguments: str) -> Iterator[str]:
    """The address of a running server, ending in a slash."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = read_options(["--port", str(port), *arguments])
    blocks = serve(page, options)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        blocks.close(verbose=False)
        page.ingest.close()
