"""Texts and output in a store that speaks S3's protocol, on loopback."""

import gzip
import io
import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from pyarrow import parquet

from spacy_elmo.disk import DiskError
from spacy_elmo.embedding import EmbeddingError, parts
from spacy_elmo.embedding.inputs import find

from .jobs import contents, documents, numbered, run, start_and_kill, write

pytest.importorskip("s3fs", reason="needs s3fs")
server = pytest.importorskip("moto.server", reason="needs moto[server]")

TEXTS, OUTPUT = "s3://bucket/texts", "s3://bucket/out"


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    running = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "anyone",
        "AWS_SECRET_ACCESS_KEY": "anything",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment
    running.stop()


@pytest.fixture(scope="module")
def store(environment: dict[str, str]) -> Any:
    fs = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    fs.mkdir("bucket")
    fs.pipe("bucket/texts/a.txt", "".join(f"{line}\n" for line in numbered(12)).encode())
    lines = [json.dumps({"id": i, "text": line}) for i, line in enumerate(numbered(6))]
    fs.pipe("bucket/texts/b.jsonl.gz", gzip.compress("\n".join([*lines, "bad"]).encode()))
    return fs


def objects(store: Any, root: str = OUTPUT) -> dict[str, bytes]:
    return {path.removeprefix(f"{root[5:]}/"): store.cat_file(path) for path in store.find(root[5:])}


def test_killed_at_any_moment_the_result_has_the_same_bytes(
    tmp_path: Path, tiny_source: str, store: Any, environment: dict[str, str]
) -> None:
    whole = run([TEXTS], "s3://bucket/whole", tiny_source, part=40)
    assert (whole.documents, whole.rejects) == (18, 1)
    moments = random.Random(0)
    finished: dict[str, object] = {}
    for n_parts in (0, 2, 5):
        code = start_and_kill(n_parts, moments.uniform(0, 0.05), TEXTS, OUTPUT, tiny_source, **environment)
        assert code == -signal.SIGKILL
        found = objects(store)
        for name in found:
            if name.endswith(".parquet"):
                parquet.ParquetFile(io.BytesIO(found[name])).read()  # it is whole
        now = {name: store.info(f"bucket/out/{name}.parquet")["LastModified"] for name in parts.finished(found)}
        assert finished.items() <= now.items(), "a finished part is gone, or was computed again"
        finished = now
    assert 3 < len(finished) < whole.computed_parts
    assert run([TEXTS], OUTPUT, tiny_source, part=40).computed_parts == whole.computed_parts - len(finished)
    assert objects(store) == objects(store, "s3://bucket/whole")
    for name, written in finished.items():
        assert store.info(f"bucket/out/{name}.parquet")["LastModified"] == written, "a finished part was computed again"


def test_what_is_in_the_store_is_what_would_be_here(tmp_path: Path, tiny_source: str, store: Any) -> None:
    run([f"{TEXTS}/*.txt"], "s3://bucket/there", tiny_source, layers="all", dtype="float16")
    run([write(tmp_path / "a.txt", *numbered(12))], tmp_path / "here", tiny_source, layers="all", dtype="float16")
    there = documents("s3://bucket/there")
    assert [one.id for one in there] == [f"{TEXTS}/a.txt:{i}" for i in range(1, 13)]
    for one, other in zip(there, documents(tmp_path / "here"), strict=True):
        assert (one.text, one.tokens, one.vectors.tobytes()) == (other.text, other.tokens, other.vectors.tobytes())
    with pytest.raises(EmbeddingError, match=r'settings.layers was "all", now "top"'):
        run([f"{TEXTS}/*.txt"], "s3://bucket/there", tiny_source, layers="top", dtype="float16")


def test_an_object_that_changed_is_found(tmp_path: Path, tiny_source: str, store: Any) -> None:
    store.pipe("bucket/more/a.txt", b"One.\n")
    run(["s3://bucket/more"], tmp_path / "out", tiny_source)
    before = contents(tmp_path / "out")
    store.pipe("bucket/more/a.txt", b"Two.\n")
    with pytest.raises(EmbeddingError, match="inputs was"):
        run(["s3://bucket/more"], tmp_path / "out", tiny_source)
    assert contents(tmp_path / "out") == before


def test_what_cannot_be_reached_is_named(tmp_path: Path, tiny_source: str, store: Any) -> None:
    text = write(tmp_path / "a.txt", "One.")
    with pytest.raises(DiskError, match=r"^s3://nowhere/out: The specified bucket does not exist"):
        run([text], "s3://nowhere/out", tiny_source)
    with pytest.raises(DiskError, match=r"^s3://nowhere/a.txt: The specified bucket does not exist"):
        find(["s3://nowhere/a.txt"])
