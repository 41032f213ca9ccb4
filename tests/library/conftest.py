"""What several files of tests of the library stand on."""

from collections.abc import Iterator

import pytest

from tests.support.servers import ObjectStore, Postgres


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, ObjectStore]]:
    with pytest.MonkeyPatch.context() as patch:
        data = tmp_path_factory.mktemp("postgres")
        with Postgres(data) as postgres, ObjectStore(patch) as store:
            yield postgres, store
