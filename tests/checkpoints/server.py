"""A real HTTP server on this machine, with the faults that servers and networks have."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

# How a request is answered, with the content that its path has.
Answer = Callable[["Handler", bytes], None]


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]


@dataclass
class Server:
    """Serves `files`, by path. Each request takes the next of `answers`, and a good one where there are none left."""

    files: dict[str, bytes] = field(default_factory=dict)
    answers: deque[Answer] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    closing: Event = field(default_factory=Event)

    def __enter__(self) -> "Server":
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.house = self  # type: ignore[attr-defined]
        self._thread = Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        house: Server = self.server.house  # type: ignore[attr-defined]
        house.requests.append(Request(self.path, dict(self.headers)))
        answer = house.answers.popleft() if house.answers else good
        content = house.files.get(self.path)
        if content is None and answer is good:
            self.send_error(404)
        else:
            answer(self, content or b"")

    def begin(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def etag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()[:16]}"'


def good(handler: Handler, content: bytes) -> None:
    """As servers of files do it: with ranges, where the mark is still the same."""
    mark = etag(content)
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start = int(asked[1]) if asked and handler.headers.get("If-Range") == mark else 0
    if start >= len(content) > 0:
        return handler.begin(416, Content_Range=f"bytes */{len(content)}")
    if start:
        extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.begin(206, Content_Length=len(content) - start, Content_Range=extent, ETag=mark)
    else:
        handler.begin(200, Content_Length=len(content), ETag=mark)
    handler.wfile.write(content[start:])


def without_ranges(handler: Handler, content: bytes) -> None:
    handler.begin(200, Content_Length=len(content), ETag=etag(content))
    handler.wfile.write(content)


def of_unknown_length(handler: Handler, content: bytes) -> None:
    handler.begin(200, ETag=etag(content))
    handler.wfile.write(content)


def cut_after(n_bytes: int, mark: str | None = None, **headers: str) -> Answer:
    """The connection ends early."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.begin(200, Content_Length=len(content), ETag=mark or etag(content), **headers)
        handler.wfile.write(content[:n_bytes])

    return answer


def stall_after(n_bytes: int) -> Answer:
    """Nothing more comes, and the connection stays."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.begin(200, Content_Length=len(content), ETag=etag(content))
        handler.wfile.write(content[:n_bytes])
        handler.wfile.flush()
        handler.server.house.closing.wait(30)  # type: ignore[attr-defined]

    return answer


def length_of(stated: int) -> Answer:
    """The server states another length than that of what it sends."""

    def answer(handler: Handler, content: bytes) -> None:
        handler.begin(200, Content_Length=stated, ETag=etag(content))
        handler.wfile.write(content)

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda handler, _: handler.begin(code, Content_Length=0, **headers)
