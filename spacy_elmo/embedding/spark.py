"""For Spark's `DataFrame.mapInArrow`: a function from rows with texts to rows with vectors.

Spark itself plans, splits and repeats the work, so there are no parts and no manifest here.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from itertools import repeat
from os import PathLike, fspath
from typing import TYPE_CHECKING

import pyarrow as pa

from ..bilm import BiLM
from ..checkpoints import load_bilm
from . import table
from .documents import EmbeddedDocument, Reject
from .errors import EmbeddingError
from .settings import Settings
from .sources import Item, bounded, of_rows
from .tokenizer import Tokenizer, tokenizer_config
from .vectors import Embedder

if TYPE_CHECKING:
    from ..checkpoints import Source

ArrowFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def arrow_function(
    model: "Source", settings: Settings | None = None, *, device: str = "cpu"
) -> tuple[ArrowFunction, str]:
    """What `mapInArrow` takes: `frame.mapInArrow(*arrow_function("en_elmo_sm"))`.

    Args:
        model: As for `load_bilm`. All executors find it under the same name.
        settings: As of a job; `field` and `id_field` are columns of the frame. Spark has no float16.
        device: What to compute on.

    Returns:
        The function and its schema: the columns of `table`, with lists of any size, and "reason", which is null but
        where a document failed; such a row has nothing else but its id.

    Raises:
        EmbeddingError: Settings contradict each other, or nothing says how texts become tokens.
    """
    settings = settings or Settings()
    if settings.dtype != "float32":
        raise EmbeddingError(f"dtype is {settings.dtype}, which Spark does not have: take float32.")
    if settings.format != "tokens":
        settings = replace(settings, nlp=tokenizer_config(model, settings))
    n_lists = (settings.pool != "doc") + (settings.layers == "all") + 1
    vectors = "array<" * n_lists + "float" + ">" * n_lists
    schema = "id string, text string, tokens array<string>, offsets array<array<int>>, sentences array<array<int>>"
    return partial(_embed, model, settings, device), f"{schema}, vectors {vectors}, reason string"


def _embed(
    model: "Source", settings: Settings, device: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    source = fspath(model) if isinstance(model, str | PathLike) else tuple(fspath(one) for one in model)
    bilm = _bilm(source, device, settings.precision)
    schema = table.new_schema(settings, bilm.config.n_layers + 1, bilm.config.width)
    plain = pa.schema([*((field.name, _without_sizes(field.type)) for field in schema), ("reason", pa.string())])
    documents: Iterable[Item] = _documents(batches, settings)
    if settings.nlp is not None:
        documents = map(Tokenizer(settings.nlp), documents)
    for window in Embedder(bilm, settings).windows(documents):  # type: ignore[arg-type]
        embedded = [one for one in window if isinstance(one, EmbeddedDocument)]
        columns = table.to_batch(embedded, schema).columns if embedded else []
        reasons = pa.nulls(len(embedded), pa.string())
        arrays = [column.cast(kind) for column, kind in zip(columns, plain.types, strict=False)]
        if embedded:
            yield pa.RecordBatch.from_arrays([*arrays, reasons], schema=plain)
        if rejects := [{"id": one.id, "reason": one.reason} for one in window if isinstance(one, Reject)]:
            yield pa.RecordBatch.from_pylist(rejects, schema=plain)


def _documents(batches: Iterable[pa.RecordBatch], settings: Settings) -> Iterator[Item]:
    for batch in batches:
        rows = of_rows(batch.column(settings.field), batch.column(settings.id_field), repeat(""), settings)
        yield from map(bounded, rows)


@cache  # for all partitions that come to the same Python process
def _bilm(model: str | tuple[str, ...], device: str, precision: str) -> BiLM:
    return load_bilm(model, device, precision).eval()


def _without_sizes(kind: pa.DataType) -> pa.DataType:
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return pa.list_(_without_sizes(kind.value_type)) if is_list else kind
