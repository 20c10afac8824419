"""A stand-in for the Hugging Face hub: repositories, Git LFS uploads and commits, on loopback, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeHub:
    """One dataset repository per name. ``repositories``: name -> path -> bytes; ``puts`` counts uploads of objects."""

    def __init__(self, token: str = "secret") -> None:
        self.token = token
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.puts = 0
        self.refuse_puts_after: int | None = None
        hub = self

        class Handler(_Handler):
            state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeHub:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    state: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if not self._allowed():
            return
        match = re.match(r"/api/datasets/([^/]+/[^/]+)/tree/main", self.path)
        if not match:
            self._answer(404, {"error": self.path})
            return
        tree = []
        for path, data in sorted(self.state.repositories.get(match[1], {}).items()):
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": _git_oid(data)}
            if path.startswith("data/"):
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
            tree.append(entry)
        self._answer(200, tree)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._allowed():
            return
        if self.path == "/api/repos/create":
            given = json.loads(body)
            name = f"{given['organization']}/{given['name']}" if given.get("organization") else given["name"]
            self.state.repositories.setdefault(name, {})
            self._answer(200, {"url": f"{self.state.endpoint}/datasets/{name}"})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif re.search(r"/preupload/", self.path):
            files = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].startswith("data/") else "regular",
                 "shouldIgnore": False, "oid": None}
                for f in json.loads(body)["files"]
            ]  # fmt: skip
            self._answer(200, {"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = []
            for wanted in json.loads(body)["objects"]:
                entry = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
                if wanted["oid"] not in self.state.objects:
                    entry["actions"] = {"upload": {"href": f"{self.state.endpoint}/upload/{wanted['oid']}"}}
                objects.append(entry)
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif match := re.match(r"/api/datasets/([^/]+/[^/]+)/commit/main", self.path):
            self._commit(self.state.repositories[match[1]], body)
        else:
            self._answer(404, {"error": self.path})

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        oid = self.path.rpartition("/")[2]
        limit = self.state.refuse_puts_after
        if limit is not None and self.state.puts >= limit:
            self._answer(403, {"error": "no more"})
            return
        if hashlib.sha256(body).hexdigest() != oid:
            self._answer(400, {"error": "another hash"})
            return
        self.state.puts += 1
        self.state.objects[oid] = body
        self._answer(200, {})

    def _commit(self, repository: dict[str, bytes], body: bytes) -> None:
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "header":
                self.state.commits.append(value["summary"])
            elif operation["key"] == "file":
                assert value["encoding"] == "base64"
                repository[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                repository[value["path"]] = self.state.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                del repository[value["path"]]
        number = len(self.state.commits)
        self._answer(200, {"success": True, "commitOid": f"{number:040x}",
                           "commitUrl": f"{self.state.endpoint}/datasets/o/n/commit/{number}"})  # fmt: skip

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.state.token}":
            return True
        self._answer(401, {"error": "Invalid username or password."})
        return False

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
