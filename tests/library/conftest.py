"""What several files of tests of the library stand on."""

from collections.abc import Iterator

import pytest

from tests.support.servers import ObjectStore, Postgres


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Postgres, ObjectStore]]:
    with (
        pytest.MonkeyPatch.context() as patch,
        Postgres() as postgres,
        ObjectStore(patch) as store,
    ):
        yield postgres, store
