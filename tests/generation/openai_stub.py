"""A server with OpenAI's interface, as tests want it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from siked_ray.generation.engine import Prompt, SamplingParameters
from siked_ray.generation.engines.openai_engine import EndpointOptions, OpenAIEngine


class Server(ThreadingHTTPServer):
    """Answers `echo: PROMPT`, or what `replies` say, and nothing to the prompt `silence`; `script` gives the first
    status codes of the requests for a prompt, `refusals` what is said of requests with an option.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: dict[str, list[int]] = {}
        self.replies: dict[str, object] = {}
        self.retry_after = ("retry-after-ms", "20")
        self.requests: list[tuple[str, dict]] = []
        self.refusals: dict[str, str] = {}
        self.key = "secret"
        #: What a server of its own kind answers to a request: status, body.
        self.dialect: Callable[[dict], tuple[int, object]] | None = None
        self.lock = threading.Lock()
        self.running = self.most_running = 0

    def handle_error(self, *_: object) -> None:
        """A client that has gone is none of the next test's business."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if self._refused():
            return
        self._answer(200, {"object": "list", "data": [{"id": "big", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._refused():
            return
        prompt = body["messages"][0]["content"] if "messages" in body else str(body.get("prompt"))
        server = self.server
        with server.lock:
            server.requests.append((self.path, body))
            server.running += 1
            server.most_running = max(server.most_running, server.running)
            status = server.script[prompt].pop(0) if server.script.get(prompt) else 200
        time.sleep(5.0 if prompt == "silence" else 0.01)
        with server.lock:
            server.running -= 1
        if server.dialect is not None:
            self._answer(*server.dialect(body))
            return
        if refusal := next((text for name, text in server.refusals.items() if name in body), None):
            self._answer(400, {"error": {"message": refusal, "type": "invalid_request_error"}})
            return
        if status != 200:
            self._answer(status, {"error": {"message": f"status {status}", "type": "x", "code": status}})
            return
        if prompt in server.replies:
            self._answer(200, server.replies[prompt])
            return
        text, reason = f"echo: {prompt}", "length" if "long" in prompt else "stop"
        choice = {"index": 0, "finish_reason": reason, "text": text, "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
        self._answer(200, {"id": "1", "object": "x", "created": 0, "model": "big", "choices": [choice], "usage": usage})

    def _refused(self) -> bool:
        if self.headers["Authorization"] == f"Bearer {self.server.key}":
            return False
        self._answer(401, {"error": {"message": "wrong key", "type": "x", "code": 401}})
        return True

    def _answer(self, status: int, body: object) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header(*self.server.retry_after)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running_server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def options(server: Server, api: str = "chat", max_concurrency: int = 4) -> EndpointOptions:
    url = f"http://127.0.0.1:{server.server_port}/v1"
    return EndpointOptions(base_url=url, api=api, api_key_env="TEACHER_KEY", max_concurrency=max_concurrency)


def submit(engine: OpenAIEngine, prompt: str, seed: int = 1):
    encoded = Prompt(text=prompt, token_ids=None)
    parameters = SamplingParameters(seed=seed, temperature=0.7, top_p=0.9, max_new_tokens=8, stop=("\nQ",))
    return engine.submit(encoded, parameters)
