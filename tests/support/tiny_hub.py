"""A hub of one's own on 127.0.0.1: as much of its protocol as huggingface_hub asks for.

with serving({"me/clip": folder}) as hub:       # hub.address goes into HF_ENDPOINT
    hub.stop_after = 10_000                     # the next download breaks off after so many bytes
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

LARGE = ".safetensors"


@dataclass
class Hub:
    """What is served, what goes wrong, and what was asked."""

    folders: dict[str, Path]
    address: str = ""
    gated: bool = False
    damaged: bool = False
    "weights are not what their digest says"
    stop_after: int = 0
    "bytes of the next large file after which the connection breaks; 0: never"
    ranges: list[str] = field(default_factory=list)
    "Range headers that were sent for large files"
    asked: int = 0

    @property
    def revision(self) -> str:
        """The commit that every branch is at."""
        return "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.hub.asked += 1
        parts = urlparse(self.path).path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._describe("/".join(parts[2:4]), parts[4:])
        elif parts[2:3] == ["resolve"]:
            self._give("/".join(parts[:2]), parts[4], body=body)
        else:
            self._refuse(404, "EntryNotFound")

    def _describe(self, name: str, rest: list[str]) -> None:
        folder = self.hub.folders.get(name)
        if folder is None:
            self._refuse(404, "RepoNotFound")
            return
        if rest[:1] == ["revision"] and rest[1] not in ("main", self.hub.revision):
            self._refuse(404, "RevisionNotFound")
            return
        files = [_entry(path) for path in sorted(folder.iterdir())]
        answer: Any = {
            "id": name,
            "sha": self.hub.revision,
            "tags": ["license:mit"],
            "siblings": [{**file, "rfilename": file["path"]} for file in files],
        }
        self._send(200, json.dumps(files if rest[:1] == ["tree"] else answer).encode(), {})

    def _give(self, name: str, file: str, *, body: bool) -> None:
        path = self.hub.folders.get(name, Path("none")) / file
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        if self.hub.gated:
            self._refuse(403, "GatedRepo")
            return
        content, large = path.read_bytes(), path.suffix == LARGE
        tag = hashlib.sha256(content).hexdigest()
        if large and self.hub.damaged:
            content = content[:-4] + b"\0\0\1\1"
        wanted = self.headers.get("Range", "")
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": self.hub.revision, "Accept-Ranges": "bytes"}
        if large:
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{tag}"'}
            if body:
                self.hub.ranges.append(wanted)
        status, first = 200, 0
        if wanted:
            status, first = 206, int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        self._send(status, content[first:], headers, body=body, breaks=large)

    def _send(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str],
        *,
        body: bool = True,
        breaks: bool = False,
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not body:
            return
        if breaks and self.hub.stop_after:
            content, self.hub.stop_after = content[: self.hub.stop_after], 0
            self.close_connection = True
        self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": code}
        self._send(status, b"{}", headers, body=self.command != "HEAD")


@contextmanager
def serving(folders: dict[str, Path]) -> Iterator[Hub]:
    """Serve these repositories until the context ends."""
    hub = Hub(folders)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    entry: dict[str, Any] = {
        "type": "file",
        "path": path.name,
        "oid": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "size": len(content),
    }
    if path.suffix == LARGE:
        digest = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}
    return entry
