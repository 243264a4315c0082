"""A stub of the Hub's API, as far as uploading a folder goes: repositories, upload modes, Git LFS, commits."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class HubStub:
    """Context manager. `files` holds what was committed, `created` the repositories, `messages` the commits' subjects.
    Weights (`.safetensors`) go through Git LFS, other files through the commit, as on the Hub."""

    def __init__(self, *, token: str) -> None:
        self.token = token
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.messages: list[str] = []
        self.objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "HubStub":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def post(self, path: str, body: bytes) -> Any:
        """The answer to a POST; KeyError for what the stub does not know."""
        if path == "/api/repos/create":
            self.created.append(json.loads(body))
            request = self.created[-1]
            return {"url": f"{self.address}/{request.get('organization', 'me')}/{request['name']}"}
        if path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            return {"files": [self._mode(file) for file in json.loads(body)["files"]]}
        if path.endswith("/info/lfs/objects/batch"):
            return {"transfer": "basic", "objects": [self._action(one) for one in json.loads(body)["objects"]]}
        if "/commit/" in path:
            return self._commit([json.loads(line) for line in body.splitlines()])
        raise KeyError(path)

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def _action(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "actions": {"upload": {"href": f"{self.address}/objects/{one['oid']}", "header": {}}}}

    def _commit(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.messages.append(value["summary"])
            elif line["key"] == "file":
                self.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                self.files[value["path"]] = self.objects[value["oid"]]
        return {"commitOid": "0" * 40, "commitUrl": f"{self.address}/me/student/commit/0"}


def _handler(stub: HubStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Authorization") != f"Bearer {stub.token}":
                self._answer(401, {"error": "Invalid username or password."})
                return
            try:
                self._answer(200, stub.post(self.path.partition("?")[0], body))
            except KeyError:
                self._answer(404, {"error": f"unknown {self.path}"})

        def do_GET(self) -> None:
            self._answer(404, {"error": "not found"})

        def do_PUT(self) -> None:
            stub.objects[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, {})

        def _answer(self, status: int, value: Any) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            """The tests' output is their own."""

    return Handler
