"""Where a library may lie, and that nothing of servers is loaded unless an address names one."""

import argparse
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from vmr.library import database, postgres_tables
from vmr.library.address import Address, default_place, place_option, read_place
from vmr.library.engines import open_engine
from vmr.library.store import Library, LibraryError


def test_a_place_is_a_folder_or_an_address(noted: Path) -> None:
    assert read_place("films/holiday") == Path("films/holiday")
    assert read_place("C:/films") == Path("C:/films")
    address = read_place("postgresql://me@db.local:5433/films?sslmode=verify-full")
    assert isinstance(address, Address)
    assert str(address) == "postgresql://me@db.local:5433/films?sslmode=verify-full"
    assert noted.parent in address.cache.parents
    with pytest.raises(ValueError, match="a library is a folder or postgresql://"):
        read_place("mysql://host/films")


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/films", "postgres://db/films?password=secret&user=me"]
)
def test_a_password_is_never_shown(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = Address(url)
    assert "secret" not in f"{address} {address!r} {address.cache}"
    with pytest.raises(argparse.ArgumentTypeError, match="PGPASSWORD"):
        place_option(url)
    monkeypatch.setenv("VMR_LIBRARY", url)
    assert default_place() == address


def test_a_library_in_a_folder_takes_no_store(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="keeps its features there itself"):
        Library(tmp_path / "library", store="s3://films/moments")


def test_an_engine_is_for_a_library_on_servers(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    assert open_engine(library, "") is None
    with pytest.raises(LibraryError, match="--engine is for a library on servers"):
        open_engine(library, "ray://head:6379")


def test_a_library_in_a_folder_loads_nothing_of_servers(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from vmr.library.store import Library\n"
        f"Library(Path({str(tmp_path / 'library')!r})).close()\n"
        "named = {'psycopg', 'obstore', 'ray', 'pymilvus', 'vmr.library.postgres',"
        " 'vmr.library.bucket', 'vmr.library.object_blobs'} & {*sys.modules}\n"
        "assert not named, named"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_both_databases_have_the_same_tables(tmp_path: Path) -> None:
    assert postgres_tables.VERSION == database.SCHEMA_VERSION
    extra = {"paths": {"rowid"}, "judgements": {"rowid"}, "passages": {"stems"}}
    steps = "\n".join(step for _, step in sorted(postgres_tables.STEPS.items()))
    tables = re.findall(r"CREATE TABLE (\w+) \((.*?)\);\n", steps, re.S)
    with closing(database.open_database(tmp_path / "library.db")) as db:
        ours = {
            name
            for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if not name.startswith(("sqlite_", "passage_words"))
        }
        assert {name for name, _ in tables} == ours
        for name, columns in tables:
            assert _columns(columns) - extra.get(name, set()) == _known(db, name), name


def _columns(text: str) -> set[str]:
    plain = re.sub(r"--.*", "", text)
    plain = re.sub(r"\([^()]*\)", "", plain)
    first = (part.split()[0].strip('"') for part in plain.split(","))
    return {name for name in first if name not in ("PRIMARY", "FOREIGN")}


def _known(db: sqlite3.Connection, table: str) -> set[str]:
    return {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
