"""The service itself: requests in, answers out, limits, health, metrics."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field, field_validator
from pydantic_core import to_json

from .batching import Batcher, BusyError
from .models import Cloze, Entities, Neighbours, Vectors

MAX_BYTES = 1_000_000
MAX_TEXTS = 64
MAX_CHARACTERS = 20_000

BoundedText = Annotated[str, Field(max_length=MAX_CHARACTERS)]


class Texts(BaseModel):
    """Some texts."""

    texts: list[BoundedText] = Field(max_length=MAX_TEXTS)

    @field_validator("texts")
    @classmethod
    def bounded(cls, texts: list[str]) -> list[str]:
        """An answer is some hundred times as long as its texts."""
        if sum(map(len, texts)) > MAX_CHARACTERS:
            raise ValueError(f"texts should have at most {MAX_CHARACTERS} characters together")
        return texts


class Likeness(BaseModel):
    """A text, and how many neighbours of it."""

    text: BoundedText
    n: int = Field(10, ge=1, le=100)


class Gap(BaseModel):
    """A sentence, the number of the word that is to be guessed, and how many guesses."""

    words: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(min_length=1, max_length=500)
    gap: int = Field(ge=0)
    n: int = Field(10, ge=1, le=100)


@dataclass(frozen=True)
class Parts:
    """What the service offers; what is None it does not."""

    vectors: Vectors
    entities: Entities | None = None
    neighbours: Neighbours | None = None
    cloze: Cloze | None = None


def create_app(parts: Parts, wait: float = 0.005, most_waiting: int = 1024) -> FastAPI:
    """The service.

    Args:
        parts: What computes.
        wait: Seconds that a request waits for others to be computed with.
        most_waiting: Texts that may wait; beyond, the answer is 503 at once.
    """
    offered = {name: part for name, part in vars(parts).items() if part is not None}
    batchers: dict[str, Batcher[Any, Any]] = {
        name: Batcher(part, wait, most_waiting=most_waiting) for name, part in offered.items()
    }
    metrics = Metrics(batchers)
    stopping: list[bool] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        stopping.append(True)
        for batcher in batchers.values():
            await batcher.close()

    app = FastAPI(title="spacy-elmo", lifespan=lifespan)

    @app.middleware("http")
    async def limited(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        # A body in chunks does not say how long it is, whatever else its headers say.
        in_chunks = "transfer-encoding" in request.headers
        if in_chunks or int(request.headers.get("content-length") or 0) > MAX_BYTES:
            response: Response = JSONResponse({"detail": f"a body of at most {MAX_BYTES} bytes"}, 413)
        else:
            response = await call(request)
        path = request.url.path if request.url.path in paths else "other"  # else anybody could make new names
        metrics.add(path, response.status_code, time.perf_counter() - begin)
        return response

    @app.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> Response:
        # Without the input, which may be long, or half a surrogate pair, which nothing encodes.
        detail = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
        return JSONResponse({"detail": detail}, 422)

    async def compute(name: str, items: list[Any]) -> list[Any]:
        if name not in batchers:
            raise HTTPException(404, f"this service was started without {name}")
        try:
            return list(await asyncio.gather(*(batchers[name](item) for item in items)))
        except BusyError:
            raise HTTPException(503, "too many requests wait; try again later") from None

    @app.post("/vectors")
    async def vectors(texts: Texts) -> Response:
        found = [
            {"tokens": one.tokens, "offsets": one.offsets.tolist(), "vectors": one.vectors.tolist()}
            for one in await compute("vectors", texts.texts)
        ]
        # FastAPI would look at each number twice, which takes longer than to compute them.
        return Response(to_json(found), media_type="application/json")

    @app.post("/entities")
    async def entities(texts: Texts) -> list[Any]:
        return await compute("entities", texts.texts)

    @app.post("/neighbours")
    async def neighbours(request: Likeness) -> Any:
        return (await compute("neighbours", [(request.text, request.n)]))[0]

    @app.post("/cloze")
    async def cloze(request: Gap) -> Any:
        if request.gap >= len(request.words):
            raise HTTPException(422, f"gap is {request.gap}, but the words are 0 to {len(request.words) - 1}")
        return (await compute("cloze", [(request.words, request.gap, request.n)]))[0]

    @app.get("/health")
    async def health() -> dict[str, Any]:
        if stopping:
            raise HTTPException(503, "stopping")
        return {"status": "ok", "offers": sorted(offered)}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def show_metrics() -> str:
        return metrics.text()

    paths = {"/vectors", "/entities", "/neighbours", "/cloze", "/health", "/metrics"}
    return app


class Metrics:
    """Counts since the start, in the text format of Prometheus."""

    def __init__(self, batchers: dict[str, Batcher[Any, Any]]) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: Counter[str] = Counter()
        self._batchers = batchers

    def add(self, path: str, status: int, seconds: float) -> None:
        """A request that has been answered."""
        self._requests[path, status] += 1
        self._seconds[path] += seconds  # type: ignore[assignment]

    def text(self) -> str:
        """All of them."""
        lines = ["# TYPE elmo_requests_total counter"]
        lines += [
            f'elmo_requests_total{{path="{path}",status="{status}"}} {n}'
            for (path, status), n in self._requests.items()
        ]
        lines.append("# TYPE elmo_request_seconds_total counter")
        lines += [f'elmo_request_seconds_total{{path="{path}"}} {n:.6f}' for path, n in self._seconds.items()]
        for i, what in enumerate(("batches", "batched_items")):
            lines.append(f"# TYPE elmo_{what}_total counter")
            lines += [f'elmo_{what}_total{{path="/{name}"}} {one.sizes[i]}' for name, one in self._batchers.items()]
        return "\n".join(lines) + "\n"
