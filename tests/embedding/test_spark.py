"""The function for Spark: on the record batches that Spark would give it, and in Spark where it is there."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spacy_elmo.embedding import EmbeddingError, Settings
from spacy_elmo.embedding.spark import arrow_function

from .jobs import SENTENCIZER, documents, numbered, run, write


def test_rows_are_those_of_a_job(tmp_path: Path, tiny_source: str) -> None:
    lines = numbered(9)
    batches = [
        pa.RecordBatch.from_pydict({"id": [str(i) for i in range(9)], "text": lines}),
        pa.RecordBatch.from_pydict({"id": ["broken"], "text": [None]}, pa.schema({"id": "string", "text": "string"})),
    ]
    for settings, kind in [
        ({}, "list<item: list<item: float>>"),
        ({"layers": "all"}, "list<item: list<item: list<item: float>>>"),
        ({"pool": "doc"}, "list<item: float>"),
    ]:
        function, schema = arrow_function(tiny_source, Settings(nlp=SENTENCIZER, **settings))
        found = pa.Table.from_batches(list(function(batches)))
        assert str(found.schema.field("vectors").type) == kind
        assert schema.endswith(f"vectors {'array<' * kind.count('list')}float{'>' * kind.count('list')}, reason string")
        output = tmp_path / f"out{len(kind)}"
        run([write(tmp_path / "a.txt", *lines)], output, tiny_source, **settings)
        rows = found.to_pylist()
        for row, document in zip(rows, documents(output), strict=False):
            assert (row["tokens"], row["text"], row["reason"]) == (document.tokens, document.text, None)
            vectors = np.moveaxis(document.vectors, 0, 1) if "layers" in settings else document.vectors
            np.testing.assert_allclose(row["vectors"], vectors, rtol=0, atol=1e-6)
        assert len(rows) == 10
        assert (rows[9]["id"], rows[9]["vectors"]) == ("broken", None)
        assert "neither a text nor a list of tokens" in rows[9]["reason"]


def test_float16_is_refused(tiny_source: str) -> None:
    with pytest.raises(EmbeddingError, match="float16, which Spark does not have"):
        arrow_function(tiny_source, Settings(dtype="float16", nlp=SENTENCIZER))


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("pyspark needs Java")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        settings = {"spark.ui.enabled": "false", "spark.driver.memory": "512m", "spark.sql.shuffle.partitions": "2"}
        builder = sql.SparkSession.builder.master("local[2]")
        for name, value in settings.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        yield session
        session.stop()


@pytest.mark.parametrize("settings", [{"layers": "all"}, {"pool": "doc", "layers": "top"}])
def test_spark_itself_runs_it(tmp_path: Path, tiny_source: str, session: Any, settings: dict[str, Any]) -> None:
    lines = numbered(9)
    rows = [(str(i), line) for i, line in enumerate(lines)] + [("broken", None)]
    frame = session.createDataFrame(rows, "id string, text string").repartition(2)
    function, schema = arrow_function(tiny_source, Settings(nlp=SENTENCIZER, **settings))
    found = {row["id"]: row for row in frame.mapInArrow(function, schema).collect()}
    assert len(found) == 10
    assert (found["broken"]["vectors"], found["broken"]["reason"][:30]) == (None, "'text' is neither a text nor a")
    run([write(tmp_path / "a.txt", *lines)], tmp_path / "out", tiny_source, **settings)
    for i, document in enumerate(documents(tmp_path / "out")):
        row = found[str(i)]
        assert (row["text"], row["tokens"], row["reason"]) == (document.text, document.tokens, None)
        assert row["offsets"] == document.offsets.tolist()
        vectors = np.moveaxis(document.vectors, 0, 1) if settings["layers"] == "all" else document.vectors
        np.testing.assert_allclose(np.array(row["vectors"]), vectors, rtol=0, atol=1e-6)
