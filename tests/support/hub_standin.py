"""A stand-in of the Hugging Face hub on this machine: what its client asks of it to upload and fetch a repository."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

TOKEN = "hf_of_the_stand_in"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a dictionary of files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sha(self, repository: str) -> str:
        """The commit, which stands for the contents."""
        contents = sorted((name, data) for name, data in self.repositories[repository].items())
        return hashlib.sha1(repr(contents).encode()).hexdigest()


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


def ask_hub(patch: pytest.MonkeyPatch, address: str, home: Path, *, offline: bool = False) -> None:
    """Let the hub's client in this process ask the hub at `address` and keep what it fetches below `home`.

    A process is told by `HF_ENDPOINT` and others like it, which the client reads once, when it is imported.
    """
    values = {
        "ENDPOINT": address,
        "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_XET": True,  # the hub's other way to store, which the stand-in lacks
    }
    for name, value in values.items():
        patch.setattr(constants, name, value)


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        self.server.requests.append(format % args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self._parts()
        if parts[0] == "api":
            self._tell(parts)
        else:
            parts = parts[1:] if parts[0] == "datasets" else parts
            name, file = "/".join(parts[:2]), "/".join(parts[4:])
            found = self.server.repositories.get(name, {}).get(file)
            if found is None:
                self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            else:
                etag = f'"{hashlib.sha256(found).hexdigest()}"'
                self._bytes(200, found, {"ETag": etag, "X-Repo-Commit": self.server.sha(name)})

    def do_PUT(self) -> None:
        self.server.blobs[self._parts()[1]] = self._body()
        self._answer(200, {})

    def do_POST(self) -> None:
        body, parts = self._body(), self._parts()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'somebody'}/{asked['name']}"
            known = name in self.server.repositories
            self.server.repositories.setdefault(name, {})
            self._answer(409 if known else 200, {"url": f"{self.server.address}/{name}"})
        elif parts == ["api", "validate-yaml"]:
            self._answer(200, {"errors": _faults(json.loads(body)["content"]), "warnings": []})
        elif "preupload" in parts:
            files = [
                {"path": file["path"], "uploadMode": _mode(file["path"]), "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer(200, {"files": files})
        elif parts[-1] == "batch":
            objects = [
                {**asked, "actions": {"upload": {"href": f"{self.server.address}/blobs/{asked['oid']}"}}}
                for asked in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif "commit" in parts:
            self._commit("/".join(parts[2:4]), body)
        else:
            self._answer(404, {"error": f"the stand-in does not know {self.path}"})

    def _tell(self, parts: list[str]) -> None:
        name = "/".join(parts[2:4])
        files = self.server.repositories.get(name)
        if files is None:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif "tree" in parts:
            rows = [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for path, data in files.items()
            ]
            self._answer(200, rows)
        else:
            siblings = [{"rfilename": path} for path in files]
            card = files.get("README.md", b"").decode()
            told = {"id": name, "sha": self.server.sha(name), "siblings": siblings, "tags": []}
            self._answer(200, told | {"cardData": yaml.safe_load(card.split("---")[1]) if card else {}})

    def _commit(self, name: str, body: bytes) -> None:
        files = self.server.repositories[name]
        for line in body.decode().splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"])
        sha = self.server.sha(name)
        self._answer(200, {"commitUrl": f"{self.server.address}/{name}/commit/{sha}", "commitOid": sha})

    def _parts(self) -> list[str]:
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        self._bytes(
            status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def _bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _faults(card: str) -> list[dict[str, str]]:
    """What is wrong with a model card's header."""
    header = yaml.safe_load(card.split("---")[1])
    missing = {"license", "tags", "metrics", "model-index", "pipeline_tag"} - set(header)
    return [{"message": f"there is no {key}"} for key in sorted(missing)]


def _mode(path: str) -> str:
    """As on the hub: models by LFS, texts in the commit."""
    return "lfs" if path.endswith((".onnx", ".pt2", ".bin")) else "regular"
