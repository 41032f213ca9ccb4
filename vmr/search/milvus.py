"""Clip vectors on a Milvus server: the home of pymilvus.

    address = IndexAddress.read("milvus://vectors.local:19530/moments")
    rows = MilvusRows(address, "moments_5f3a_9c21", width=577)
    rows.prepare()
    rows.add(3, name, clips)                            # (T, E); complete once it returns
    keys, scores = rows.nearest(vector, 100, fresh=True)
    video, row = split(keys)

The index is FLAT: every row is compared, so that answers are exact. Whoever adds a video puts its
first row last; a video is there once that row is.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from pymilvus.exceptions import MilvusException

from vmr.library.locks import AwayError, LibraryError
from vmr.search.clips import merged
from vmr.search.index_address import IndexAddress

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
"""How long one request may take."""
MOST: Final = 16_384
"""Rows that the server gives in one answer."""
BATCH_ROWS: Final = 4096
"""Put there at once: some 10 MB."""
NAMED_VIDEOS: Final = 8192
"""Videos that one filter names; more are asked for one after another."""
PATIENCE: Final = (0.5, 1.0, 2.0)
"""Seconds until rows that are missing are counted again."""
_ROW_BITS: Final = 32
_SIGNED: Final = 1 << 63

Found = TypeVar("Found")


class Held(NamedTuple):
    """What the server has of a video."""

    name: int
    "of content and networks, see `known_as`"
    rows: int


class MilvusRows:
    """The rows of one library and model, in a collection of their own.

    Raises:
        LibraryError: the address is none, or the server refuses.
        AwayError: the server does not answer.
    """

    def __init__(self, address: IndexAddress, collection: str, width: int) -> None:
        self.name = str(address)
        self._collection = collection
        self._width = width
        self._encrypted = "encrypted" if address.encrypted else "not encrypted"
        self._client = connect(address)
        self._was_away = False

    def about(self) -> str:
        """What it is; it has been asked just now."""
        version = self._asked(self._client.get_server_version)
        return f"{self.name}: Milvus {str(version).lstrip('v')}, {self._encrypted}"

    def prepare(self) -> None:
        """Have the collection there, and in the memory of the server."""
        self._asked(self._prepare)

    def held(self, videos: Collection[int] | None = None) -> dict[int, Held]:
        """What is there, as of now, of these videos; by default of all.

        Raises:
            AwayError: of all, rows are missing: the server was started just now, and has not read
                all of them yet.
        """
        if videos is None:
            return self._held_of_all()
        found: dict[int, Held] = {}
        for few in _chunks(sorted(videos)):
            keys = [video << _ROW_BITS for video in few]
            fields = ["key", "name", "rows"]
            rows = self._ask("query", filter=f"key in {keys}", output_fields=fields, fresh=True)
            found |= _records(rows)
        return found

    def add(self, video: int, name: int, clips: NDArray[np.float16]) -> None:
        """Put a video there, of which there must be nothing: clips (T, E), T at least 1."""
        wide = clips.astype(np.float32)
        last = len(clips)
        for start in [*range(1, last, BATCH_ROWS), 0]:
            end = min(start + BATCH_ROWS, last) if start else 1
            rows = [
                {
                    "key": (video << _ROW_BITS) + row,
                    "video": video,
                    "name": name - _SIGNED,
                    "rows": 0 if row else last,
                    "vector": wide[row],
                }
                for row in range(start, end)
            ]
            self._ask("insert", data=rows)

    def delete(self, videos: Iterable[int]) -> None:
        """Let these go; their first rows first, so that none looks whole that is not."""
        for few in _chunks(sorted(videos)):
            self._ask("delete", ids=[video << _ROW_BITS for video in few])
            self._ask("delete", filter=f"video in {few}")

    def nearest(
        self,
        vector: NDArray[np.float32],
        count: int,
        *,
        videos: NDArray[np.int64] | None = None,
        fresh: bool,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Keys (K,) and scores (K,) of the best rows for a query vector (E,), best first.

        Args:
            videos: (V,) look only into these; all of them by default.
            fresh: wait for all that anybody has put there until now; else for what was there some
                seconds ago, which is answered faster.

        Raises:
            AwayError: as of `held` of all, where the server did not answer a moment ago.
        """
        if self._was_away:  # and may have been started again
            self._held_of_all()
            self._was_away = False
        filters = [""]
        if videos is not None:
            filters = [f"video in {few}" for few in _chunks(videos.tolist())]
        answers = [_none()]
        for only in filters:
            (hits,) = self._ask(
                "search",
                data=[vector],
                limit=min(count, MOST),
                filter=only,
                search_params={"metric_type": "IP"},
                fresh=fresh,
            )
            keys = np.array([hit["id"] for hit in hits], np.int64)
            scores = np.array([hit["distance"] for hit in hits], np.float32)
            answers.append((keys, scores))
        return merged(answers, count)

    def drop(self, prefix: str) -> None:
        """Delete every collection whose name begins so."""
        for name in self._asked(self._client.list_collections):
            if name.startswith(prefix):
                self._asked(partial(self._client.drop_collection, name))

    def _prepare(self) -> None:
        if not self._client.has_collection(self._collection):
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("key", DataType.INT64, is_primary=True)
            for field in ("video", "name", "rows"):
                schema.add_field(field, DataType.INT64)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self._width)
            index = self._client.prepare_index_params()
            index.add_index("vector", index_type="FLAT", metric_type="IP")
            self._client.create_collection(
                self._collection, schema=schema, index_params=index, consistency_level="Bounded"
            )
        self._client.load_collection(self._collection)

    def _held_of_all(self) -> dict[int, Held]:
        for wait in (*PATIENCE, None):
            found = self._asked(self._first_rows)
            (counted,) = self._ask("query", filter="", output_fields=["count(*)"], fresh=True)
            rows, there = sum(held.rows for held in found.values()), counted["count(*)"]
            if there >= rows:  # more, while somebody brings a video
                return found
            if wait is not None:  # less, while somebody takes one away, too
                time.sleep(wait)
        raise AwayError(
            f"{self.name}: the index has {there:,} of {rows:,} rows; where it was started just now "
            "it has the others in a while, else `library rebuild` makes it anew"
        )

    def _first_rows(self) -> dict[int, Held]:
        pages = self._client.query_iterator(
            self._collection,
            batch_size=MOST,
            filter="rows > 0",
            output_fields=["key", "name", "rows"],
            consistency_level="Strong",
        )
        found: dict[int, Held] = {}
        try:
            while page := pages.next():
                found |= _records(page)
        finally:
            pages.close()
        return found

    def _ask(self, what: str, *, fresh: bool | None = None, **how: Any) -> Any:
        if fresh is not None:
            how["consistency_level"] = "Strong" if fresh else "Bounded"
        method = getattr(self._client, what)
        return self._asked(partial(method, self._collection, timeout=ANSWER_SECONDS, **how))

    def _asked(self, ask: Callable[[], Found]) -> Found:
        try:
            return ask()
        except MilvusException as error:
            self._was_away = True
            said = str(error.message).strip().splitlines()
            line = said[0] if said else type(error).__name__
            raise AwayError(f"{self.name}: the index does not answer: {line}") from error


def connect(address: IndexAddress) -> Any:
    """A client of the server there.

    Raises:
        LibraryError: a file of keys cannot be read.
        AwayError: the server does not answer, or not to us.
    """
    # It prints every error that it raises, too.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    try:
        return MilvusClient(
            f"http{'s' * address.encrypted}://{address.host}:{address.port}",
            token=address.token(),
            db_name=address.database,
            timeout=CONNECT_SECONDS,
            secure=address.encrypted,
            **address.options,
        )
    except MilvusException as error:
        raise AwayError(
            f"{address}: no index answers there; is it running, and are the token in "
            "MILVUS_TOKEN and tls right?"
        ) from error
    except OSError as error:  # a file of keys
        raise LibraryError(f"{address}: {error}") from error


def split(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys (K,) as video ids (K,) and rows (K,)."""
    return keys >> _ROW_BITS, keys & ((1 << _ROW_BITS) - 1)


def _none() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.zeros(0, np.int64), np.zeros(0, np.float32)


def _records(rows: Iterable[dict[str, int]]) -> dict[int, Held]:
    return {
        row["key"] >> _ROW_BITS: Held(row["name"] + _SIGNED, row["rows"])
        for row in rows
        if row["rows"]
    }


def _chunks(videos: list[int]) -> list[list[int]]:
    return [videos[at : at + NAMED_VIDEOS] for at in range(0, len(videos), NAMED_VIDEOS)]
