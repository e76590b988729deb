"""A hub that takes uploads, over the HTTP calls that huggingface_hub makes: create, preupload, LFS, commit, read."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["UploadHub", "serve_hub"]

_LARGE = ".safetensors"


@dataclass
class UploadHub:
    """Repositories in memory. `calls` lists what was asked; `tokens` every Authorization header seen."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: bool = False
    """Answers 403 to every write."""
    url: str = ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: UploadHub

    def log_message(self, format: str, *args: Any) -> None:  # the base class's own name
        return

    def do_HEAD(self) -> None:
        self._get(body=False)

    def do_GET(self) -> None:
        self._get(body=True)

    def do_PUT(self) -> None:
        self._note()
        self.hub.objects[self.path.rpartition("/")[2]] = self._body()
        self._send(200, b"")

    def do_POST(self) -> None:
        self._note()
        sent, path = self._body(), self.path.partition("?")[0]
        if self.hub.refuses:
            return self._json({"error": "no rights here"}, 403)
        if path == "/api/repos/create":
            asked = json.loads(sent)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            known = name in self.hub.repos
            self.hub.repos.setdefault(name, {})
            return self._json({"url": f"{self.hub.url}/{name}", "name": name}, 409 if known else 200)
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if "/preupload/" in path:
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(sent)["files"]
            ]
            return self._json({"files": modes})
        if path.endswith("/info/lfs/objects/batch"):
            wanted = [
                {**one, "actions": {"upload": {"href": f"{self.hub.url}/objects/{one['oid']}"}}}
                for one in json.loads(sent)["objects"]
            ]
            return self._json({"objects": wanted, "transfer": "basic"})
        if "/commit/" in path:
            return self._commit("/".join(path.split("/")[3:5]), sent)
        return self._json({}, 404)

    def _commit(self, repo: str, sent: bytes) -> None:
        for line in map(json.loads, sent.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                self.hub.repos[repo][value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                self.hub.repos[repo][value["path"]] = self.hub.objects[value["oid"]]
        address = f"{self.hub.url}/{repo}/commit/{'c' * 40}"
        return self._json({"success": True, "commitOid": "c" * 40, "commitUrl": address})

    def _get(self, *, body: bool) -> None:
        self._note()
        path = self.path.partition("?")[0]
        if path == "/":
            return self._send(200, b"")
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            repo = "/".join(parts[2:4])
            if repo not in self.hub.repos:
                return self._json({"error": "no such"}, 404, **{"X-Error-Code": "RepoNotFound"})
            siblings = [_sibling(name, data) for name, data in self.hub.repos[repo].items()]
            return self._json({"id": repo, "sha": "c" * 40, "siblings": siblings})
        data = self.hub.repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
        if data is None:
            return self._json({}, 404, **{"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": "c" * 40, "ETag": f'"{_blob(data)}"'}
        return self._send(200, data, body=body, **headers)

    def _note(self) -> None:
        self.hub.calls.append(f"{self.command} {self.path.partition('?')[0]}")
        self.hub.tokens.add(self.headers.get("Authorization"))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: object, status: int = 200, **headers: str) -> None:
        self._send(status, json.dumps(value).encode(), **{"Content-Type": "application/json", **headers})

    def _send(self, status: int, data: bytes, *, body: bool = True, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _sibling(name: str, data: bytes) -> dict[str, Any]:
    body: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": _blob(data)}
    if name.endswith(_LARGE):
        body["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return body


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve_hub() -> Iterator[UploadHub]:
    """A running hub; its address is `url`."""
    hub = UploadHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
