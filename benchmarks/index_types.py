"""Recall of a Milvus server's types of index on rows of a real library.

    .venv-cluster/bin/python -m benchmarks.index_types --library DIR

Every type is asked the sentences that come with the weights, and compared with numpy over all rows.
Rows are put there as they are, and with one more column that makes their norms equal, which changes
no order of inner products: sqrt(longest ** 2 - norm ** 2), and 0 for a question. Without `--index`
a server is started here and ended again.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.large import exactly
from tests.support.servers import Milvus
from vmr.library.store import Library
from vmr.search.index_address import IndexAddress
from vmr.search.indexes import open_index
from vmr.search.model import model_of
from vmr.search.recall import COUNT

COLLECTION = "moments_index_types"
BUILD_SECONDS = 300.0


@dataclass(frozen=True)
class Kind:
    """A type of index, and what it is asked with."""

    name: str
    build: dict[str, int] = field(default_factory=dict)
    varied: str = ""
    "the setting of a question that trades time for recall"
    values: tuple[int, ...] = (0,)


KINDS = (
    Kind("FLAT"),
    Kind("HNSW", {"M": 16, "efConstruction": 128}, "ef", (100, 200, 500, 1000, 3000)),
    Kind("HNSW", {"M": 48, "efConstruction": 400}, "ef", (100, 200, 500, 1000)),
    Kind("IVF_FLAT", {"nlist": 64}, "nprobe", (4, 8, 16, 32, 64)),
    Kind("IVF_SQ8", {"nlist": 64}, "nprobe", (16, 32, 64)),
    Kind("SCANN", {"nlist": 64}, "nprobe", (16, 32, 64)),
    Kind("DISKANN", {}, "search_list", (100, 200, 500, 1000)),
)


@dataclass(frozen=True)
class Found:
    """Of one setting."""

    recall: float
    "mean share of the exactly best COUNT that were found"
    milliseconds: float
    "a question, median"


def equalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows (N, E) with one more column that gives all the norm of the longest, (N, E + 1)."""
    squares = np.einsum("ne,ne->n", rows, rows)
    more = np.sqrt(np.maximum(squares.max() - squares, 0))
    return np.concatenate([rows, more[:, None]], axis=1).astype(np.float32)


class Tried:
    """Rows (N, E) on a server, under one index after another."""

    def __init__(self, client: Any, rows: NDArray[np.float32], best: Sequence[set[int]]) -> None:
        from pymilvus import DataType  # here, as it is installed for servers alone

        from vmr.search.milvus import BATCH_ROWS

        self._client, self._count, self._best = client, len(rows), best
        if client.has_collection(COLLECTION):
            client.drop_collection(COLLECTION)
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("key", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=rows.shape[1])
        client.create_collection(COLLECTION, schema=schema)
        for first in range(0, len(rows), BATCH_ROWS):
            some = enumerate(rows[first : first + BATCH_ROWS], first)
            client.insert(COLLECTION, [{"key": key, "vector": row} for key, row in some])
        client.flush(COLLECTION)  # only what is sealed gets an index

    def build(self, kind: Kind) -> float:
        """Have this index; how many seconds it took."""
        client, began = self._client, time.monotonic()
        for name in client.list_indexes(COLLECTION):
            client.release_collection(COLLECTION)
            client.drop_index(COLLECTION, name)
        index = client.prepare_index_params()
        index.add_index(
            "vector", index_type=kind.name, metric_type="IP", params=kind.build, index_name="tried"
        )
        client.create_index(COLLECTION, index)
        while client.describe_index(COLLECTION, "tried")["indexed_rows"] < self._count:
            if time.monotonic() - began > BUILD_SECONDS:
                raise TimeoutError(f"{kind.name}: not built in {BUILD_SECONDS:.0f} s")
            time.sleep(0.5)
        taken = time.monotonic() - began
        client.load_collection(COLLECTION)
        return taken

    def ask(self, questions: NDArray[np.float32], kind: Kind, value: int) -> Found:
        """Every question (Q, E), one at a time."""
        params = {kind.varied: value} if kind.varied else {}
        how = {"metric_type": "IP", "params": params}
        shares, taken = [], []
        for question, best in zip(questions, self._best, strict=True):
            began = time.perf_counter()
            (hits,) = self._client.search(
                COLLECTION,
                data=[question],
                limit=COUNT,
                search_params=how,
                consistency_level="Bounded",
            )
            taken.append(1000 * (time.perf_counter() - began))
            shares.append(len(best & {hit["id"] for hit in hits}) / len(best))
        return Found(float(np.mean(shares)), median(taken))


def compare(
    client: Any, rows: NDArray[np.float32], questions: NDArray[np.float32], kinds: Sequence[Kind]
) -> Iterator[str]:
    """A line of Markdown for each setting."""
    from pymilvus.exceptions import MilvusException

    best = [set(places.tolist()) for places in exactly(rows.astype(np.float16), questions)]
    nothing = np.zeros((len(questions), 1), np.float32)
    forms = (rows, questions), (equalised(rows), np.concatenate([questions, nothing], axis=1))
    cells: dict[str, list[str]] = {}
    for number, (form, asked) in enumerate(forms):
        tried = Tried(client, form, best)
        for kind in kinds:
            built = " ".join(f"{name} {value}" for name, value in kind.build.items())
            try:
                seconds = tried.build(kind)
                for value in kind.values:
                    name = " ".join(filter(None, (kind.name, built, kind.varied))) + (
                        f" {value}" if kind.varied else ""
                    )
                    found = tried.ask(asked, kind, value)
                    cells.setdefault(name, ["-"] * 2)[number] = (
                        f"{found.recall:.3f}, {found.milliseconds:.1f} ms, built in {seconds:.0f} s"
                    )
            except (MilvusException, TimeoutError) as error:  # no such type, or refused
                said = str(error).splitlines()[0][:100]
                cells.setdefault(f"{kind.name} {built}".strip(), ["-"] * 2)[number] = said
    client.drop_collection(COLLECTION)
    yield f"| {len(rows):,} rows, {len(questions)} questions | as they are | norms equal |"
    yield "|---|---|---|"
    for name, (plain, equal) in cells.items():
        yield f"| {name} | {plain} | {equal} |"


@contextmanager
def served(address: str) -> Iterator[str]:
    """The address of a server; of one that is started here where none is named."""
    if address:
        yield address
        return
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory() as folder,
        Milvus(Path(folder), patch) as server,
    ):
        yield server.address


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_types", description=__doc__)
    parser.add_argument("--library", type=Path, required=True, metavar="DIR")
    parser.add_argument("--index", default="", metavar="milvus://HOST:PORT/DATABASE")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=sorted({kind.name for kind in KINDS}))
    options = parser.parse_args()
    from vmr.search.milvus import connect

    library = Library(options.library, read_only=True)
    model = model_of(library)
    index = open_index(library, model)
    rows = np.concatenate([index.vectors(id) for id in index.ids().tolist()]).astype(np.float32)
    kinds = [kind for kind in KINDS if options.only is None or kind.name in options.only]
    with served(options.index) as address:
        client = connect(IndexAddress.read(address))
        for line in compare(client, rows, model.sentences(options.questions), kinds):
            print(line)


if __name__ == "__main__":
    main()
