"""Where the index of a library lies, if it is not on each computer: the address of a Milvus server.

address = IndexAddress.read("milvus://vectors.local:19530/moments?tls=true&server_name=vectors")
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

PORT: Final = 19530
OPTIONS: Final = (
    "tls",
    "server_name",
    "server_pem_path",
    "ca_pem_path",
    "client_pem_path",
    "client_key_path",
)
"""tls=true asks for encryption; the others are passed on to pymilvus under these names."""


@dataclass(frozen=True)
class IndexAddress:
    """A database of a Milvus server; there is no secret in it."""

    text: str
    host: str
    port: int
    database: str
    encrypted: bool
    options: Mapping[str, str]
    "for pymilvus"

    @classmethod
    def read(cls, text: str) -> "IndexAddress":
        """milvus://HOST:PORT/DATABASE?tls=true&...

        Raises:
            ValueError: it is no such address, or has a password in it.
        """
        parts = urlsplit(text)
        if parts.scheme != "milvus" or not parts.hostname:
            raise ValueError(f"{text}: an index is milvus://HOST:{PORT}/DATABASE, or here")
        if parts.username or parts.password:
            raise ValueError(
                "a password in the address of an index can be read by everybody; "
                "put USER:PASSWORD into MILVUS_TOKEN"
            )
        options = dict(parse_qsl(parts.query))
        if unknown := sorted(options.keys() - set(OPTIONS)):
            # Its value may be a secret.
            raise ValueError(f"an index: {unknown[0]} is none of {', '.join(OPTIONS)}")
        encrypted = options.pop("tls", "false")
        if encrypted not in ("true", "false"):
            raise ValueError(f"{text}: tls is true or false, not {encrypted}")
        database = parts.path.strip("/")
        port = parts.port or PORT
        return cls(text, parts.hostname, port, database, encrypted == "true", options)

    def __str__(self) -> str:
        """As people may see it."""
        return self.text

    @staticmethod
    def token() -> str:
        """The secret that goes with it: USER:PASSWORD or a key, from the environment."""
        return os.environ.get("MILVUS_TOKEN", "")
