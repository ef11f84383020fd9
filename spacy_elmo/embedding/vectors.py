"""Documents to vectors: sentences of many documents in batches of like lengths, in a bounded window."""

from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, pairwise

import numpy as np
from torch import Tensor

from ..bilm import BiLM
from ..bilm.inference import Engine, batches
from .documents import Document, EmbeddedDocument, Reject, Vectors, runs
from .settings import Settings

# Tokens of the documents whose vectors are held at a time. More of them fill batches of rare lengths better.
WINDOW_TOKENS = 32_768
# Of the vectors of one document, which make a row; and of the layers of one sentence, which the engine holds at a time.
MAX_ROW_BYTES = 2**30
MAX_LAYERS_BYTES = 2**32


class Embedder:
    """Gives documents their vectors.

    It has an engine of its own, which remembers words that it has seen; and whether the word encoder saw a word among
    many or few can change the last bit of its vector. So the same documents through a new Embedder give the same bits.

    Args:
        bilm: The model.
        settings: Which vectors.

    Raises:
        EmbeddingError: The model has no such layer.
    """

    def __init__(self, bilm: BiLM, settings: Settings) -> None:
        self._engine = Engine(bilm.config, bilm.word_encoder, bilm.stacks, bilm.precision)
        self._settings = settings
        self._limits = Limits(bilm, settings)

    def __call__(self, documents: Iterable[Document | Reject]) -> Iterator[EmbeddedDocument | Reject]:
        """In the order of the documents. Where one fails, a reject comes in its place."""
        return chain.from_iterable(self.windows(documents))

    def windows(self, documents: Iterable[Document | Reject]) -> Iterator[list[EmbeddedDocument | Reject]]:
        """As a call, those that are computed together together."""
        for window in runs(map(self._limits.checked, documents), _n_tokens, WINDOW_TOKENS):
            yield list(self._window(window))

    def _window(self, window: list[Document | Reject]) -> Iterator[EmbeddedDocument | Reject]:
        documents = [item for item in window if isinstance(item, Document)]
        try:
            embedded: Iterator[EmbeddedDocument | Reject] = iter(self._embedded(documents))
        except Exception as error:
            if len(documents) == 1:
                embedded = iter([Reject(documents[0].id, f"not embedded: {error or type(error).__name__}")])
            else:  # each alone, to find the one that fails
                embedded = (found for one in documents for found in self._window([one]))
        for item in window:
            yield next(embedded) if isinstance(item, Document) else item

    @np.errstate(over="ignore")  # of what float16 cannot hold, which is looked at afterwards
    def _embedded(self, documents: list[Document]) -> list[EmbeddedDocument]:
        spans = [(i, begin, end) for i, one in enumerate(documents) for begin, end in one.sentences.tolist()]
        arrays: list[Vectors | None] = [None] * len(spans)
        for batch in batches([end - begin for _, begin, end in spans]):
            sentences = [documents[i].tokens[begin:end] for i, begin, end in (spans[n] for n in batch)]
            reduced = self._reduced(self._engine.embed_batch(sentences), [len(one) for one in sentences])
            for n, array in zip(batch, reduced, strict=True):
                arrays[n] = array
        parts: list[list[Vectors]] = [[] for _ in documents]
        for (i, _, _), found in zip(spans, arrays, strict=True):
            assert found is not None
            parts[i].append(found)
        return [
            EmbeddedDocument(**vars(one), vectors=self._joined(one, arrays))
            for one, arrays in zip(documents, parts, strict=True)
        ]

    def _reduced(self, layers: Tensor, lengths: list[int]) -> Iterator[Vectors]:
        """Of a batch of sentences what is asked for of each, (n_chosen, n_vectors, width).

        Of the batch as a whole as far as may be: by all threads, or on the GPU. They are views of one array, which is
        no larger than they are.
        """
        chosen = self._chosen(layers)
        if self._settings.pool == "none" and self._settings.dtype == "float16":
            chosen = chosen.half()
        self._check(bool(chosen.isfinite().all()))
        whole = chosen.cpu().numpy()
        for begin, end in pairwise(accumulate(lengths, initial=0)):
            sentence = whole[:, begin:end]
            if self._settings.pool == "sentence":
                yield sentence.mean(axis=1, keepdims=True)
            elif self._settings.pool == "doc":  # its mean is one over its tokens, so sums are what adds up
                yield sentence.sum(axis=1, keepdims=True)
            else:
                yield sentence

    def _chosen(self, layers: Tensor) -> Tensor:
        which = self._settings.layers
        if which == "all":
            return layers
        if which == "average":
            total = layers[0] + layers[1]
            for layer in layers[2:]:
                total += layer
            return (total / len(layers))[None]
        number = len(layers) - 1 if which == "top" else int(which)
        return layers[number : number + 1].clone()  # a view would keep the other layers

    def _joined(self, document: Document, arrays: list[Vectors]) -> Vectors:
        """The arrays of a document's sentences as its vectors, see `EmbeddedDocument`."""
        empty = np.zeros((self._limits.n_chosen, 0, self._limits.width), self._settings.dtype)
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays or [empty], axis=1)
        if self._settings.pool == "doc":
            joined = joined.sum(axis=1) / max(1, len(document.tokens))
        if self._settings.pool != "none":
            joined = joined.astype(self._settings.dtype, copy=False)
            self._check(bool(np.isfinite(joined).all()))
        return joined if self._settings.layers == "all" else joined[0]

    def _check(self, is_finite: bool) -> None:
        if not is_finite:
            raise ValueError(f"its vectors have values that are no numbers in {self._settings.dtype}")


class Limits:
    """What is too much for memory, and for a row of Parquet, which holds less than 2 GiB."""

    def __init__(self, bilm: BiLM, settings: Settings) -> None:
        n_layers, self.width = bilm.config.n_layers + 1, bilm.config.width
        settings.check_model(n_layers)
        self.n_chosen = n_layers if settings.layers == "all" else 1
        self._sentence_tokens = MAX_LAYERS_BYTES // (n_layers * self.width * np.dtype(np.float32).itemsize)
        self._row_vectors = MAX_ROW_BYTES // (self.n_chosen * self.width * np.dtype(settings.dtype).itemsize)
        self._pool = settings.pool

    def checked(self, item: Document | Reject) -> Document | Reject:
        """A document within the limits, or a reject in its place."""
        if isinstance(item, Reject) or not item.tokens:
            return item
        longest = int((item.sentences[:, 1] - item.sentences[:, 0]).max())
        if longest > self._sentence_tokens:
            return Reject(
                item.id, f"a sentence of {longest:,} tokens, and {self._sentence_tokens:,} are the most: split it"
            )
        n_vectors = {"none": len(item.tokens), "sentence": len(item.sentences), "doc": 1}[self._pool]
        if n_vectors > self._row_vectors:
            return Reject(
                item.id,
                f"{n_vectors:,} vectors, and {self._row_vectors:,} are the most of a document: split it, or write "
                f"fewer layers, float16, or one vector a sentence",
            )
        return item


def _n_tokens(item: Document | Reject) -> int:
    return len(item.tokens) if isinstance(item, Document) else 0
