"""Where an index lies is said in an address without a secret; a library in a folder has its own."""

from pathlib import Path

import pytest

from tests.support.planted import tiny_model
from vmr.library.store import Library, LibraryError
from vmr.search.index import ClipIndex
from vmr.search.index_address import IndexAddress
from vmr.search.indexes import about, open_index, place, rebuild


def test_an_address_is_taken_apart() -> None:
    address = IndexAddress.read("milvus://db.local/films?tls=true&server_name=db&ca_pem_path=/ca")
    assert (address.host, address.port, address.database) == ("db.local", 19530, "films")
    assert address.encrypted
    assert address.options == {"server_name": "db", "ca_pem_path": "/ca"}
    plain = IndexAddress.read("milvus://db.local:1")
    assert (plain.port, plain.database, plain.encrypted) == (1, "", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faiss", "milvus://HOST"),
        ("http://db.local", "milvus://HOST"),
        ("milvus:///films", "milvus://HOST"),
        ("milvus://me:secret@db.local", "MILVUS_TOKEN"),
        ("milvus://db.local?token=secret", "token is none of"),
        ("milvus://db.local?tls=yes", "true or false"),
    ],
)
def test_what_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        IndexAddress.read(text)


def test_the_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILVUS_TOKEN", raising=False)
    assert IndexAddress.token() == ""
    monkeypatch.setenv("MILVUS_TOKEN", "me:secret")
    assert IndexAddress.token() == "me:secret"


def test_a_library_in_a_folder_has_its_index_there(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    with pytest.raises(LibraryError, match="is a folder"):
        place(library, "milvus://db.local")
    place(library, "here")
    assert about(library) == ""
    model = tiny_model()
    assert isinstance(open_index(library, model), ClipIndex)
    (library.folder / "index.parts").write_bytes(b"damaged")
    assert len(rebuild(library, model)) == 0
