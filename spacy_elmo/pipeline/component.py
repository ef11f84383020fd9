"""The component "elmo"."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import srsly
from spacy import Language, Vocab
from spacy.pipeline import TrainablePipe
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from thinc.api import Config, Model, Optimizer

from ..errors import ElmoError
from ..layers import slot
from ..layers.cache import LayerCache
from ..layers.elmo_model import is_elmo_model, read
from ..layers.encoder import average, bilm_shim
from ..layers.layer_mix import averaged_layers, reset_mix
from ..layers.reading_back import all_or_nothing, check_elmo_model
from ..layers.spans import DocWords
from ..layers.types import Array, Layers, LayersBackprop, Vectors
from . import extensions
from .gradients import LayersGradient, MixBackprop, discard
from .listeners import Listened, set_residual_dims

DEFAULT_CONFIG = """
[elmo]
frozen = true
keep_layers = false
cache_bytes = 1000000000

[elmo.model]
@architectures = "spacy-elmo.ElmoModel.v1"
source = null
precision = "float32"
get_spans = null
output = "average"
"""


@Language.factory(
    "elmo",
    assigns=["doc.tensor", "doc._.elmo", "doc._.elmo_layers", "span._.elmo", "token._.elmo"],
    default_config=Config().from_str(DEFAULT_CONFIG)["elmo"],
)
def make_elmo(
    nlp: Language,
    name: str,
    model: Model[list[Doc], Vectors],
    frozen: bool,
    keep_layers: bool,
    cache_bytes: int,
) -> "Elmo":
    """The component "elmo": vectors for all tokens of a Doc, and layers for the components that listen to it.

    Args:
        nlp: The pipeline.
        name: The component's name in it.
        model: Its model, an architecture "spacy-elmo.ElmoModel.v1".
        frozen: True: the biLM does not change. False: all components that listen to it train it as well.
        keep_layers: Keep all layers on each Doc, as `Doc._.elmo_layers`, even if no listener needs them.
        cache_bytes: How much memory, while training on a frozen biLM, keeps the layers of training texts, so that they
            are computed once and not once an epoch; 0 for none. Prediction after training does not use it.
    """
    return Elmo(nlp.vocab, model, name, frozen=frozen, keep_layers=keep_layers, cache_bytes=cache_bytes)


class Elmo(Listened, TrainablePipe):
    """Writes ELMo vectors to Docs, and hands the biLM's layers to the components that listen to it.

    `Doc.tensor` is float32 (n_tokens, width), a row for each token, zeros for whitespace; `Token._.elmo`, `Span._.elmo`
    and `Doc._.elmo` are views and means of it that stay right when another component overwrites it. Where a later
    component listens to a tok2vec of spaCy's, by `Doc.tensor`, that one's vectors stay there.

    In an update it computes the layers of the batch once and hands them to all listeners. Their gradients are gathered,
    and go through the biLM when the update is finished or the next one begins: so it matters neither how many of them
    take part nor in what order.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model[list[Doc], Vectors],
        name: str = "elmo",
        *,
        frozen: bool = True,
        keep_layers: bool = False,
        cache_bytes: int = 0,
    ) -> None:
        if not is_elmo_model(model):
            raise ValueError(
                f"The component '{name}' needs a model of the architecture spacy-elmo.ElmoModel.v1, but its model is "
                f"'{model.name}'. To feed ELMo vectors to another component, give that one an ElmoListener."
            )
        TrainablePipe.__init__(self, vocab, model, name)
        Listened.__init__(self)
        bilm_shim(self.encoder).language = vocab.lang
        self.frozen = frozen
        self.keep_layers = keep_layers
        self._cache = LayerCache(cache_bytes)
        self._gradient: LayersGradient | None = None
        # The optimizer that is to have the gradient when it has come.
        self._due: Optimizer | None = None
        self._has_said_that_it_leaves_the_tensor = False
        extensions.install()

    def _load(self) -> None:
        """Make sure that the weights are here and all widths known."""
        if self.model.has_dim("nO") is None:
            self.model.initialize()
            self._set_listener_dims()

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> tuple[list[DocWords], Vectors, Layers | None]:
        """Compute what `set_annotations` writes.

        Returns:
            What is read of each Doc, the vectors (n_tokens, width), and the layers (n_layers + 1, n_tokens, width),
            where anyone needs them: they take several times the memory of the vectors.
        """
        words = self._read(list(docs))
        self._load()
        averaged = averaged_layers(self.mix)
        if averaged is not None and not self._keeps_layers and not self._is_caching(is_train=False):
            return words, average(self.encoder, words, averaged), None
        layers = self._compute(words, is_train=False)
        return words, self.mix.predict(layers), layers

    @property
    def _keeps_layers(self) -> bool:
        return self.keep_layers or bool(self._elmo_listeners())

    def _is_caching(self, *, is_train: bool) -> bool:
        """Nothing is in the cache before a training begins: prediction alone has no use for it."""
        return self.frozen and self._cache.max_bytes > 0 and (is_train or len(self._cache) > 0)

    def set_annotations(self, docs: Sequence[Doc], predictions: tuple[list[DocWords], Vectors, Layers | None]) -> None:
        """Write `Doc.tensor` and what the custom attributes read."""
        all_words, all_vectors, all_layers = predictions
        kept = all_layers if all_layers is not None and self._keeps_layers else [None] * len(docs)
        # spaCy's listener wants to find the tensor on its own device; all others are better served by NumPy.
        on_device = any(map(self._may_be_for, self._tensor_readers))
        to_numpy: Callable[[Any], Array] = self.model.ops.to_numpy
        tensor: Any
        for doc, words, vectors, layers in zip(docs, all_words, all_vectors, kept, strict=True):
            array = to_numpy(vectors)
            if array.base is not None and array.base.size > array.size:
                array = array.copy()  # a kept Doc must not keep the vectors of its whole batch
            tensor = vectors if on_device else array
            if (reader := self._leaves_tensor(doc)) is None:
                doc.tensor = tensor
            elif not self._has_said_that_it_leaves_the_tensor:
                self._has_said_that_it_leaves_the_tensor = True
                warnings.warn(
                    f"'{self.name}' leaves Doc.tensor to the component that {reader} listens to. Its own vectors are "
                    f"in Token._.elmo, Span._.elmo and Doc._.elmo. To have '{reader.component}' learn from them, give "
                    f"it a listener of the type spacy-elmo.ElmoListener.v1.",
                    stacklevel=2,
                )
            slot.write(doc, self.name, words.spans, array, layers)

    def words_of(self, docs: list[Doc], listener: Model | None = None) -> list[DocWords]:
        """For a listener: what is read of docs, by this component's turn."""
        return self._read(docs, past_sentences=self.is_past_sentences(listener))

    def layers_of(self, docs: list[Doc], is_train: bool, listener: Model | None = None) -> Layers:
        """For a listener: the layers of docs, those this component left on them where it did. No gradient."""
        kept = [slot.layers(doc, self.name) for doc in docs]
        missing = [doc for doc, layers in zip(docs, kept, strict=True) if layers is None]
        if missing and not is_train:
            self._warn_if_left_behind(missing[0], listener)
        computed = iter(self._compute(self.words_of(missing, listener), is_train))
        return [next(computed) if layers is None else layers for layers in kept]

    def _read(self, docs: list[Doc], *, past_sentences: bool = False) -> list[DocWords]:
        return read(self.model, docs, self.name, past_sentences=past_sentences)

    def _compute(self, words: list[DocWords], is_train: bool) -> Layers:
        """The layers of Docs, NumPy arrays, without gradient; from the cache, where that is in use and holds them."""
        self._load()

        def compute(positions: Iterable[int]) -> Layers:
            layers = self.encoder.predict([words[i] for i in positions])
            to_numpy: Callable[[Any], Array] = self.model.ops.to_numpy
            return [to_numpy(array) for array in layers]

        if not self._is_caching(is_train=is_train):
            return compute(range(len(words)))
        return self._cache.get(words, bilm_shim(self.encoder).weights_token(), compute, is_train=is_train)

    # Training

    def initialize(self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None) -> None:
        """Load the weights, where they are not here yet, begin a learned mix anew, and tell the listeners their width.

        Raises:
            ValueError: a listener has another width, or could not find in `Doc.tensor` what it means.
        """
        validate_get_examples(get_examples, "Elmo.initialize")
        self._load()
        reset_mix(self.mix)
        bilm_shim(self.encoder).learn_rate_of = None  # a training before this one may have set it
        self._set_listener_dims()
        self._check_tensor_readers(nlp)
        for name, listening in nlp.components if nlp is not None else ():
            if name in self.listener_map:
                set_residual_dims(listening)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Hand the layers of a batch to the listeners.

        What they send back comes after this has returned, and is applied by `finish_update` or, where that was called
        before it came, when the next update begins.

        Args:
            examples: the batch.
            drop: not used, for the biLM has no dropout.
            sgd: not used here, see above.
            losses: gets this component's: the square of the gradient, as for spaCy's tok2vec, and 0 while frozen.

        Returns:
            The losses.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "Elmo.update")
        docs = [example.predicted for example in examples]
        self._apply_gradient()
        if self._due is not None:
            super().finish_update(self._due)
            self._due = None
        words = self._read(docs)
        for doc, doc_words in zip(docs, words, strict=True):
            slot.keep_spans(doc, self.name, doc_words.spans)
        add_gradient: LayersBackprop
        if self.frozen:
            layers, add_gradient = self._compute(words, is_train=True), discard
        else:
            self._load()
            layers, backprop = self.encoder.begin_update(words)
            self._gradient = LayersGradient(backprop, losses, self.name)
            add_gradient = self._gradient.add
        for listener in self._elmo_listeners():
            listener.receive(words, layers, add_gradient)
        if tok2vec_listeners := self._training_listeners(docs):
            vectors, backprop_mix = self.mix.begin_update(layers)
            batch_id = Tok2VecListener.get_batch_id(docs)
            for tok2vec_listener in tok2vec_listeners:
                tok2vec_listener.receive(batch_id, vectors, MixBackprop(backprop_mix, add_gradient))
        return losses

    def finish_update(self, sgd: Optimizer) -> None:
        """Send what the listeners gave back through the biLM, and let the optimizer change the weights."""
        if self._gradient is not None and not self._gradient.has_come:
            # `nlp.update` with an optimizer finishes this component before its listeners have their turn.
            self._due = sgd
        elif not self.frozen:
            self._apply_gradient()
            for listener in self._elmo_listeners():
                listener.release()
        super().finish_update(sgd)

    def _apply_gradient(self) -> None:
        if self._gradient is not None:
            self._gradient.apply()
            self._gradient = None

    def get_loss(self, examples: Iterable[Example], scores: Any) -> tuple[float, float]:
        """An ELMo component has no loss of its own; it learns from those of its listeners."""
        raise NotImplementedError("The component 'elmo' has no loss of its own; call nlp.update with its listeners.")

    def add_label(self, label: str) -> int:
        """An ELMo component has no labels."""
        raise NotImplementedError("The component 'elmo' has no labels.")

    # Serialization

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> "Elmo":
        """Read the component from what `to_bytes` gave.

        Raises:
            ValueError: the bytes are damaged, or another component's. This one is then as it was before.
        """
        with self._reading("The bytes", exclude):
            if "model" not in exclude:
                self._check_layers(srsly.msgpack_loads(bytes_data)["model"], "The bytes")
            super().from_bytes(bytes_data, exclude=tuple(exclude))
        return self

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "Elmo":
        """Read the component from a directory that `to_disk` wrote.

        Raises:
            ValueError: its files are damaged, or another component's. This one is then as it was before.
            OSError: a file is not readable.
        """
        with self._reading(str(path), exclude):
            if "model" not in exclude:
                self._check_layers((Path(path) / "model").read_bytes(), str(path))
            super().from_disk(path, exclude=tuple(exclude))
        return self

    @contextmanager
    def _reading(self, what: str, exclude: Iterable[str]) -> Iterator[None]:
        """Read the model whole, or leave it as it is and say what cannot be read."""
        with all_or_nothing(self.model):
            try:
                yield
                if "model" not in exclude:
                    check_elmo_model(self.model)
            except (ElmoError, OSError):
                raise
            except Exception as error:  # msgpack, thinc and spaCy raise any kind over damaged data
                raise ValueError(
                    f"{what} cannot be read as the component '{self.name}': they are damaged, or another component's "
                    f"({type(error).__name__}: {error})."
                ) from None
            self._set_listener_dims()

    def _check_layers(self, data: bytes, what: str) -> None:
        found = [node["name"] for node in srsly.msgpack_loads(data)["nodes"]]
        wanted = [node.name for node in self.model.walk()]
        if found != wanted:
            raise ValueError(
                f"{what} hold a model of the layers {', '.join(found)}, and not an ELMo model of the layers "
                f"{', '.join(wanted)}."
            )
