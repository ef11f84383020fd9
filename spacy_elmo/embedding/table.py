"""Documents with vectors as rows of Arrow, and back.

A row is a document, and its columns are

- id, text: string
- tokens: list<string>
- offsets, sentences: list<fixed_size_list<int32>[2]>
- vectors: list<fixed_size_list<float>[width]>, one a token or a sentence; of one a document, the inner list alone

Of all layers, fixed_size_list<fixed_size_list<float>[width]>[n_layers + 1] stands in the place of the inner list.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .documents import EmbeddedDocument, Vectors
from .errors import EmbeddingError
from .settings import Settings

try:
    import pyarrow as pa
    from pyarrow import parquet
except ModuleNotFoundError:
    raise EmbeddingError(
        "vectors are written with pyarrow. Install the extra: pip install 'spacy-elmo[embed]'"
    ) from None

# In the schema's metadata: what the vectors are.
KEY = b"spacy_elmo"
PAIR = pa.list_(pa.int32(), 2)


def new_schema(settings: Settings, n_layers: int, width: int) -> pa.Schema:
    """The columns of a job's parts.

    Args:
        settings: Which vectors.
        n_layers: The model's, with the word encoder's.
        width: Of its vectors.
    """
    vector: pa.DataType = pa.list_(pa.from_numpy_dtype(np.dtype(settings.dtype)), width)
    if settings.layers == "all":
        vector = pa.list_(vector, n_layers)
    facts = {"layers": settings.layers, "pool": settings.pool, "dtype": settings.dtype, "width": width}
    return pa.schema(
        [
            ("id", pa.string()),
            ("text", pa.string()),
            ("tokens", pa.list_(pa.string())),
            ("offsets", pa.list_(PAIR)),
            ("sentences", pa.list_(PAIR)),
            ("vectors", vector if settings.pool == "doc" else pa.list_(vector)),
        ],
        metadata={KEY: json.dumps(facts)},
    )


def to_batch(documents: Sequence[EmbeddedDocument], schema: pa.Schema) -> pa.RecordBatch:
    """Some documents as rows."""
    columns = [
        pa.array([one.id for one in documents], pa.string()),
        pa.array([one.text for one in documents], pa.string()),
        pa.array([one.tokens for one in documents], pa.list_(pa.string())),
        _lists([one.offsets for one in documents], pa.list_(PAIR)),
        _lists([one.sentences for one in documents], pa.list_(PAIR)),
        _vectors([one.vectors for one in documents], schema.field("vectors").type, is_all(schema)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def from_batch(batch: pa.RecordBatch) -> Iterator[EmbeddedDocument]:
    """The documents of some rows."""
    all_layers = is_all(batch.schema)
    vectors = batch.column("vectors")
    pooled = not pa.types.is_list(vectors.type)
    for i, row in enumerate(batch.select(["id", "text", "tokens"]).to_pylist()):
        offsets, sentences = (_array(batch.column(name)[i].values).reshape(-1, 2) for name in ("offsets", "sentences"))
        # Of a fixed size, one row is itself a slice of one; so its innermost values are the row's own.
        values = _array(vectors.slice(i, 1) if pooled else vectors[i].values)
        shape = [-1, *_sizes(vectors.type)]
        array = values.reshape(shape)
        if pooled:
            array = array[0]
        elif all_layers:
            array = np.moveaxis(array, 1, 0)
        yield EmbeddedDocument(**row, offsets=offsets, sentences=sentences, vectors=array)


def is_all(schema: pa.Schema) -> bool:
    """Whether a vector is one of each layer."""
    return len(_sizes(schema.field("vectors").type)) == 2


@contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[Callable[[Sequence[EmbeddedDocument]], None]]:
    """A Parquet file. Floats do not compress, and each page has a checksum.

    Yields:
        What adds documents, as one group of rows.
    """
    vectors = "vectors"
    with parquet.ParquetWriter(
        path,
        schema,
        compression={name: "zstd" for name in _leaves(schema) if not name.startswith(vectors)},
        use_dictionary=[name for name in _leaves(schema) if name.startswith("tokens")],
        write_statistics=["id"],
        write_page_checksum=True,
    ) as writer:
        yield lambda documents: writer.write_batch(to_batch(documents, schema), row_group_size=len(documents))


def reading(source: Any) -> Iterator[pa.RecordBatch]:
    """The rows of a part, some at a time. source: a path or a binary file."""
    with parquet.ParquetFile(source, page_checksum_verification=True) as file:
        for group in range(file.num_row_groups):
            yield from file.iter_batches(batch_size=256, row_groups=[group], use_threads=False)


def _leaves(schema: pa.Schema) -> list[str]:
    return [".".join(path) for name in schema.names for path in _paths(name, schema.field(name).type)]


def _paths(name: str, kind: pa.DataType) -> Iterable[tuple[str, ...]]:
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return [(name, "list", *rest) for rest in _paths("element", kind.value_type)]
    return [(name,)]


def _sizes(kind: pa.DataType) -> tuple[int, ...]:
    """Of the lists of fixed size in a type, the outermost first."""
    if pa.types.is_list(kind):
        return _sizes(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        return kind.list_size, *_sizes(kind.value_type)
    return ()


def _lists(arrays: Sequence[np.ndarray], kind: pa.ListType) -> pa.ListArray:
    """Arrays (n, ...), whose trailing dimensions are lists of fixed size, as lists of n."""
    ends = np.cumsum([0, *map(len, arrays)]).astype(np.int32)
    sizes = _sizes(kind)
    whole = np.concatenate([np.zeros((0, *sizes), arrays[0].dtype), *arrays]) if arrays else np.zeros((0, *sizes))
    return pa.ListArray.from_arrays(ends, _fixed(whole, kind.value_type), type=kind)


def _fixed(array: np.ndarray, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_fixed_size_list(kind):
        return pa.array(np.ascontiguousarray(array).reshape(-1), kind)
    return pa.FixedSizeListArray.from_arrays(_fixed(array, kind.value_type), type=kind)


def _vectors(vectors: Sequence[Vectors], kind: pa.DataType, all_layers: bool) -> pa.Array:
    if not pa.types.is_list(kind):
        return _fixed(np.stack(vectors), kind)
    return _lists([np.moveaxis(one, 0, 1) for one in vectors] if all_layers else vectors, kind)


def _array(values: pa.Array) -> np.ndarray:
    """The innermost values of lists."""
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        values = values.flatten()
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array
