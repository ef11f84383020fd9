"""The example service, over HTTP on loopback."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy

from spacy_elmo import load_language_model, score
from spacy_elmo.embedding import EmbeddingError, Settings, embed
from spacy_elmo.language.sampler import log_uniform
from tests.conftest import random_bilm

httpx = pytest.importorskip("httpx", reason="needs httpx, fastapi and uvicorn")
uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn")
pytest.importorskip("fastapi", reason="needs fastapi")

from examples.serve.app import MAX_CHARACTERS, MAX_TEXTS, Parts, create_app  # noqa: E402
from examples.serve.batching import Batcher  # noqa: E402
from examples.serve.models import Cloze, Entities, Neighbours, Vectors  # noqa: E402

ENGLISH = {
    "nlp": {"lang": "en", "pipeline": ["sentencizer"]},
    "components": {"sentencizer": {"factory": "sentencizer"}},
}
TEXTS = ["The cat sat on the mat.", "Dogs bark.", "Stock prices fell in London on Monday."]


class Server:
    """A service in a thread of its own."""

    def __init__(self, parts: Parts, **settings: Any) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.uvicorn = uvicorn.Server(uvicorn.Config(create_app(parts, **settings), port=port, log_level="error"))
        self.thread = threading.Thread(target=self.uvicorn.run, daemon=True)
        self.thread.start()
        while not self.uvicorn.started:
            time.sleep(0.01)

    def post(self, path: str, body: Any) -> Any:
        # httpx's own JSON takes no half of a surrogate pair, and other clients' does.
        headers = {"content-type": "application/json"}
        return httpx.post(f"{self.address}{path}", content=json.dumps(body), headers=headers, timeout=60)

    def get(self, path: str) -> Any:
        return httpx.get(f"{self.address}{path}", timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_source: str) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("serve")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "GPE", "pattern": "London"}])
    nlp.to_disk(folder / "pipeline")
    (folder / "texts.jsonl").write_text("".join(json.dumps({"id": t[:3], "text": t}) + "\n" for t in TEXTS), "utf8")
    embed([folder / "texts.jsonl"], folder / "index", tiny_source, Settings(pool="doc", nlp=ENGLISH), device="cpu")
    vectors = Vectors(tiny_source, Settings(layers="all", nlp=ENGLISH))
    neighbours = Neighbours(folder / "index", tiny_source)
    server = Server(Parts(vectors, Entities(str(folder / "pipeline")), neighbours, Cloze("en_elmo_sm")), wait=0.05)
    yield server
    server.uvicorn.should_exit = True
    server.thread.join(30)


def test_vectors(server: Server) -> None:
    answer = server.post("/vectors", {"texts": [TEXTS[0], ""]}).json()
    assert answer[0]["tokens"] == ["The", "cat", "sat", "on", "the", "mat", "."]
    assert answer[0]["offsets"][1] == [4, 7]
    np.testing.assert_allclose(answer[0]["vectors"], random_bilm().embed([answer[0]["tokens"]])[0], rtol=0, atol=1e-5)
    assert answer[1]["tokens"] == []


def test_entities_and_neighbours(server: Server) -> None:
    assert server.post("/entities", {"texts": [TEXTS[2]]}).json() == [
        [{"text": "London", "label": "GPE", "start": 21, "end": 27}]
    ]
    first, second = server.post("/neighbours", {"text": TEXTS[1], "n": 2}).json()
    assert (first["id"], first["text"]) == ("Dog", TEXTS[1])
    assert first["cosine"] == pytest.approx(1, abs=1e-5)
    assert second["cosine"] < first["cosine"]


def test_cloze_is_what_both_directions_predict(server: Server) -> None:
    words = ["The", "capital", "of", "the", "x", "is", "a", "large", "city", "."]
    model = load_language_model("en_elmo_sm")
    known = np.log(log_uniform(len(model.vocabulary)))
    for gap in (0, 4, 9):
        found = server.post("/cloze", {"words": words, "gap": gap, "n": 20}).json()
        guesses = [one["word"] for one in found]
        assert [one["log_probability"] for one in found] == sorted([g["log_probability"] for g in found], reverse=True)
        # The sentence's score takes each direction's prediction at the gap, from the words around it alone. What both
        # know without looking at these counts once.
        filled = [[*words[:gap], guess, *words[gap + 1 :]] for guess in guesses]
        scores = zip(score(model, filled), map(model.vocabulary.index, guesses), strict=True)
        sums = [one.forward[gap] + one.backward[gap + 1] - known[number] for one, number in scores]
        assert np.diff([one["log_probability"] for one in found]) == pytest.approx(np.diff(sums), abs=1e-3)
    assert "country" in [one["word"] for one in server.post("/cloze", {"words": words, "gap": 4, "n": 20}).json()]


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/vectors", {"texts": ["x"] * (MAX_TEXTS + 1)}, 422, "at most 64 items"),
        ("/vectors", {"texts": ["x" * (MAX_CHARACTERS + 1)]}, 422, "at most 20000 characters"),
        ("/vectors", {"texts": ["x" * 20_000] * 60}, 413, "a body of at most 1000000 bytes"),
        ("/entities", {"texts": ["x" * 5000] * 5}, 422, "at most 20000 characters together"),
        ("/vectors", {"text": "x"}, 422, "texts"),
        ("/vectors", {"texts": ["bad \ud800"]}, 422, "unable to parse raw data as a unicode string"),
        ("/entities", {"texts": ["bad \ud800"]}, 422, "unable to parse raw data as a unicode string"),
        ("/neighbours", {"text": "\udfff"}, 422, "unable to parse raw data as a unicode string"),
        ("/cloze", {"words": ["\udfff"], "gap": 0}, 422, "unable to parse raw data as a unicode string"),
        ("/neighbours", {"text": "x", "n": 0}, 422, "greater than or equal to 1"),
        ("/cloze", {"words": ["a"], "gap": 1}, 422, "gap is 1, but the words are 0 to 0"),
    ],
)
def test_what_is_too_much_or_means_nothing(server: Server, path: str, body: Any, status: int, message: str) -> None:
    answer = server.post(path, body)
    assert answer.status_code == status
    assert message in answer.text


def test_a_body_in_chunks_is_refused_whatever_length_it_states(server: Server) -> None:
    body = json.dumps({"texts": TEXTS}).encode()
    head = "POST /vectors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
    with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2])), timeout=60) as client:
        client.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        assert client.recv(12) in (b"HTTP/1.1 413", b"HTTP/1.1 400")


def test_nobody_makes_new_names_of_metrics(server: Server) -> None:
    assert server.post("/mine", {"texts": ["x" * 20_000] * 60}).status_code == 413
    assert server.post('/"mine', {}).status_code == 404
    assert "mine" not in server.get("/metrics").text
    assert 'path="other",status="413"' in server.get("/metrics").text


def test_one_that_fails_does_not_take_along_those_that_came_with_it() -> None:
    batches: list[list[int]] = []

    def halves(numbers: list[int]) -> list[float]:
        batches.append(numbers)
        return [1 / number for number in numbers]

    async def ask() -> list[Any]:
        batcher = Batcher(halves, wait=0.01)
        answers = await asyncio.gather(*map(batcher, (1, 0, 4)), return_exceptions=True)
        await batcher.close()
        return answers

    first, fault, last = asyncio.run(ask())
    assert (first, last) == (1, 0.25)
    assert isinstance(fault, ZeroDivisionError)
    assert batches[0] == [1, 0, 4]


def test_words_that_were_seen_are_not_kept(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path)
    entities = Entities(str(tmp_path))
    n_before = len(entities._nlp.vocab.strings)
    assert entities([f"word{i}" for i in range(100)]) == [[]] * 100
    assert len(entities._nlp.vocab.strings) == n_before


def test_an_index_of_other_vectors_is_refused(tmp_path: Path, tiny_source: str) -> None:
    (tmp_path / "a.txt").write_text("One.\n", "utf8")
    for name, settings in (("top", {"layers": "top", "pool": "doc"}), ("tokens", {})):
        embed([tmp_path / "a.txt"], tmp_path / name, tiny_source, Settings(nlp=ENGLISH, **settings), device="cpu")
    ((found,),) = Neighbours(tmp_path / "top", tiny_source)([("One.", 1)])
    assert found["cosine"] == pytest.approx(1, abs=1e-5)
    with pytest.raises(EmbeddingError, match="not written with pool doc by"):
        Neighbours(tmp_path / "tokens", tiny_source)
    with pytest.raises(EmbeddingError, match="by en_elmo_sm"):
        Neighbours(tmp_path / "top", "en_elmo_sm")


def test_requests_that_come_together_are_computed_together(server: Server) -> None:
    def batches() -> list[float]:
        lines = dict(line.rsplit(" ", 1) for line in server.get("/metrics").text.splitlines() if line[0] != "#")
        return [float(lines[f'elmo_{what}_total{{path="/entities"}}']) for what in ("batches", "batched_items")]

    before = batches()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda i: server.post("/entities", {"texts": [f"London {i}"]}), range(32)))
    assert all(answer.json()[0][0]["text"] == "London" for answer in answers)
    n_batches, n_items = (now - then for now, then in zip(batches(), before, strict=True))
    assert n_items == 32
    assert n_batches <= 16


def test_health_and_what_is_not_offered(server: Server, tiny_source: str) -> None:
    assert server.get("/health").json()["offers"] == ["cloze", "entities", "neighbours", "vectors"]
    assert 'elmo_requests_total{path="/health",status="200"}' in server.get("/metrics").text
    small = Server(Parts(Vectors(tiny_source, Settings(nlp=ENGLISH))))
    answer = small.post("/cloze", {"words": ["a"], "gap": 0})
    assert (answer.status_code, answer.json()["detail"]) == (404, "this service was started without cloze")
    small.uvicorn.should_exit = True
    small.thread.join(30)


class Held(Vectors):
    """Computes when it is let go."""

    def __init__(self, model: str, settings: Settings) -> None:
        super().__init__(model, settings)
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, texts: list[str]) -> Any:
        self.has_begun.set()
        assert self.may_end.wait(60)
        return super().__call__(texts)


def test_it_stops_when_all_is_answered_and_takes_no_more_than_may_wait(tiny_source: str) -> None:
    held = Held(tiny_source, Settings(nlp=ENGLISH))
    server = Server(Parts(held), most_waiting=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(server.post, "/vectors", {"texts": ["One."]})
        assert held.has_begun.wait(60)
        others = [pool.submit(server.post, "/vectors", {"texts": ["Two."]}) for _ in range(6)]
        while sum(one.done() for one in others) < 2:  # four wait, and two are refused at once
            time.sleep(0.01)
        server.uvicorn.should_exit = True
        held.may_end.set()
        assert first.result().status_code == 200
        assert sorted(one.result().status_code for one in others) == [200] * 4 + [503] * 2
    server.thread.join(60)
    assert not server.thread.is_alive()
