"""The pipeline component "elmo"."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import srsly
from spacy import Language, Vocab
from spacy.pipeline import TrainablePipe
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from thinc.api import Config, Model, Optimizer

from . import extensions
from .layers import slot
from .layers.cache import LayerCache
from .layers.elmo_model import is_elmo_model
from .layers.encoder import bilm_shim
from .layers.listener import ElmoListener
from .layers.spans import doc_words
from .layers.types import Array, Layers, LayersBackprop, Vectors

DEFAULT_CONFIG = """
[elmo]
frozen = true
keep_layers = false
cache_bytes = 1000000000

[elmo.model]
@architectures = "spacy-elmo.ElmoModel.v1"
source = "en_elmo_sm"
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
    """The factory "elmo".

    model: an architecture "spacy-elmo.ElmoModel.v1".
    frozen: true and the biLM only gives features; false and the components that listen to it train it, too.
    keep_layers: keep all layers on each Doc, as `Doc._.elmo_layers`. Always done while an ElmoListener needs them.
    cache_bytes: how much memory may hold the layers of texts already seen, in training and while frozen.
    """
    return Elmo(nlp.vocab, model, name, frozen=frozen, keep_layers=keep_layers, cache_bytes=cache_bytes)


class Elmo(TrainablePipe):
    """Writes ELMo vectors to Docs, and hands the biLM's layers to the components that listen to it.

    `Doc.tensor` is float32 (n_tokens, width), a row for each token, zeros for whitespace; `Token._.elmo`, `Span._.elmo`
    and `Doc._.elmo` are views and means of it that stay right when another component overwrites it.

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
        super().__init__(vocab, model, name)
        self.frozen = frozen
        self.keep_layers = keep_layers
        self.listener_map: dict[str, list[Model]] = {}
        self._cache = LayerCache(cache_bytes)
        # Whether texts are likely to come again: in training they do, and only then is it worth keeping their layers.
        self._repeats = False
        self._gradient: _LayersGradient | None = None
        # The optimizer that is to have the gradient when it has come.
        self._due: Optimizer | None = None
        extensions.install()

    @property
    def encoder(self) -> Model[list[Doc], Layers]:
        return self.model.layers[0]

    @property
    def mix(self) -> Model[Layers, Vectors]:
        return self.model.layers[1]

    # Listeners. The names and duties of these are spaCy's, which calls them when the pipeline changes.

    @property
    def listeners(self) -> list[Model]:
        return [listener for listeners in self.listener_map.values() for listener in listeners]

    @property
    def listening_components(self) -> list[str]:
        return list(self.listener_map)

    def add_listener(self, listener: Model, component_name: str) -> None:
        listeners = self.listener_map.setdefault(component_name, [])
        if listener not in listeners:
            listeners.append(listener)

    def remove_listener(self, listener: Model, component_name: str) -> bool:
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        # A new list: `replace_listeners` is walking over the old one.
        self.listener_map[component_name] = [node for node in listeners if node is not listener]
        if not self.listener_map[component_name]:
            del self.listener_map[component_name]
        return True

    def find_listeners(self, component: Any) -> None:
        """Find the listeners in a component's model that mean this one by name, or by '*'."""
        if not isinstance(getattr(component, "model", None), Model):
            return
        for node in component.model.walk():
            if isinstance(node, ElmoListener | Tok2VecListener) and node.upstream_name in ("*", self.name):
                self.add_listener(node, component.name)
                if isinstance(node, ElmoListener):
                    node.link(self)

    def _elmo_listeners(self) -> list[ElmoListener]:
        """Without those that have since been linked to a nearer component."""
        found = (node for node in self.listeners if isinstance(node, ElmoListener))
        return [node for node in found if node.listens_to(self.name)]

    def _tok2vec_listeners(self) -> list[Tok2VecListener]:
        """spaCy's listeners. One to '*' does not know whom it means; of another width it cannot mean this component."""
        found = [node for node in self.listeners if isinstance(node, Tok2VecListener)]
        width = self.model.get_dim("nO") if self.model.has_dim("nO") else None
        return [node for node in found if node.upstream_name == self.name or node.get_dim("nO") == width]

    def _check_for_wrong_widths(self, nlp: Language | None) -> None:
        """Raises ValueError where a listener of spaCy's fits neither this component nor another one."""
        others = [pipe for name, pipe in nlp.pipeline if pipe is not self] if nlp is not None else []
        for node in self.listeners:
            if not isinstance(node, Tok2VecListener) or any(node in getattr(pipe, "listeners", ()) for pipe in others):
                continue
            if node.get_dim("nO") != self.model.get_dim("nO"):
                raise ValueError(
                    f"A Tok2VecListener has the width {node.get_dim('nO')}, but its upstream '{self.name}' "
                    f"gives vectors of width {self.model.get_dim('nO')}. Set the listener's width to that."
                )

    def _set_listener_dims(self) -> None:
        """Let the listeners know their width, once it is known. Raises ValueError where a config says another."""
        if not self.model.has_dim("nO"):
            return
        for listener in self._elmo_listeners():
            listener.set_upstream_dims(self.encoder.get_dim("nL"), self.encoder.get_dim("nO"))

    def _load(self) -> None:
        """Make sure that the weights are here and all widths known."""
        if self.model.has_dim("nO") is None:
            self.model.initialize()
            self._set_listener_dims()

    # Prediction

    def predict(self, docs: Iterable[Doc]) -> tuple[Vectors, Layers]:
        """RETURNS: the vectors (n_tokens, width) and the layers (n_layers + 1, n_tokens, width) of each Doc."""
        layers = self._compute(list(docs))
        return self.mix.predict(layers), layers

    def set_annotations(self, docs: Sequence[Doc], predictions: tuple[Vectors, Layers]) -> None:
        """Write `Doc.tensor` and what the custom attributes read."""
        keep_layers = self.keep_layers or bool(self._elmo_listeners())
        # spaCy's listener wants to find the tensor on its own device; all others are better served by NumPy.
        on_device = bool(self._tok2vec_listeners())
        to_numpy: Callable[[Any], Array] = self.model.ops.to_numpy
        tensor: Any
        for doc, vectors, layers in zip(docs, *predictions, strict=True):
            # A copy, so that a kept Doc does not keep the vectors of its whole batch.
            array = to_numpy(vectors).copy()
            tensor = vectors if on_device else array
            doc.tensor = tensor
            slot.write(doc, self.name, array, layers if keep_layers else None)

    def layers_of(self, docs: list[Doc], is_train: bool) -> Layers:
        """For the listeners: the layers of docs, those this component left on them where it did. No gradient."""
        self._repeats |= is_train
        kept = [slot.layers(doc, self.name) for doc in docs]
        missing = iter(self._compute([doc for doc, layers in zip(docs, kept, strict=True) if layers is None]))
        return [next(missing) if layers is None else layers for layers in kept]

    def _compute(self, docs: list[Doc]) -> Layers:
        """The layers of docs, NumPy arrays; from the cache, where that is in use and holds them."""
        self._load()

        def compute(positions: Iterable[int]) -> Layers:
            layers = self.encoder.predict([docs[i] for i in positions])
            to_numpy: Callable[[Any], Array] = self.model.ops.to_numpy
            return [to_numpy(array) for array in layers]

        if not (self.frozen and self._repeats and self._cache.max_bytes):
            return compute(range(len(docs)))
        keys = doc_words(docs, self.encoder.attrs["get_spans"])
        return self._cache.get(keys, bilm_shim(self.encoder).version, compute)

    # Training

    def initialize(self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None) -> None:
        """Load the weights, where they are not here yet, and tell the listeners their width."""
        validate_get_examples(get_examples, "Elmo.initialize")
        self._repeats = True
        self._load()
        self._set_listener_dims()
        self._check_for_wrong_widths(nlp)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optimizer | None = None,
        losses: dict[str, float] | None = None,
    ) -> dict[str, float]:
        """Hand the layers of a batch to the listeners. What they send back comes after this has returned, and is
        applied by `finish_update` or, where that was called before it came, when the next update begins. So `sgd` is
        not used here, nor is `drop`, for the biLM has no dropout. The loss is the square of the gradient, as for
        spaCy's tok2vec, and 0 while frozen.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "Elmo.update")
        docs = [example.predicted for example in examples]
        self._repeats = True
        self._apply_gradient()
        if self._due is not None:
            super().finish_update(self._due)
            self._due = None
        if self.frozen:
            self._hand_out(docs, self._compute(docs), _discard)
        else:
            self._load()
            layers, backprop = self.encoder.begin_update(docs)
            self._gradient = _LayersGradient(backprop, losses, self.name)
            self._hand_out(docs, layers, self._gradient.add)
        return losses

    def _hand_out(self, docs: list[Doc], layers: Layers, add_gradient: LayersBackprop) -> None:
        for listener in self._elmo_listeners():
            listener.receive(docs, layers, add_gradient)
        if tok2vec_listeners := self._tok2vec_listeners():
            vectors, backprop_mix = self.mix.begin_update(layers)
            batch_id = Tok2VecListener.get_batch_id(docs)
            for tok2vec_listener in tok2vec_listeners:
                tok2vec_listener.receive(batch_id, vectors, lambda d_vectors: add_gradient(backprop_mix(d_vectors)))

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
        """Raises ValueError where the bytes are not those of an ELMo component."""
        if "model" not in exclude:
            self._check_is_elmo(lambda: srsly.msgpack_loads(bytes_data)["model"], "The bytes")
        super().from_bytes(bytes_data, exclude=tuple(exclude))
        self._set_listener_dims()
        return self

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> "Elmo":
        """Raises ValueError where the directory is not that of an ELMo component."""
        if "model" not in exclude:
            self._check_is_elmo((Path(path) / "model").read_bytes, str(path))
        super().from_disk(path, exclude=tuple(exclude))
        self._set_listener_dims()
        return self

    def _check_is_elmo(self, read_model: Callable[[], bytes], what: str) -> None:
        try:
            found = [node["name"] for node in srsly.msgpack_loads(read_model())["nodes"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{what} cannot be read as the component '{self.name}': they are damaged, or another component's "
                f"({type(error).__name__}: {error})."
            ) from None
        wanted = [node.name for node in self.model.walk()]
        if found != wanted:
            raise ValueError(
                f"{what} cannot be read as the component '{self.name}': they hold a model of the layers "
                f"{', '.join(found)}, and not an ELMo model of the layers {', '.join(wanted)}."
            )


class _LayersGradient:
    """Gathers the gradients of one batch's layers from any number of listeners, then sends them on at once."""

    def __init__(self, backprop: LayersBackprop, losses: dict[str, float], name: str) -> None:
        self._backprop = backprop
        self._losses = losses
        self._name = name
        self._sum: Layers | None = None

    def add(self, d_layers: Layers) -> list[Doc]:
        self._losses[self._name] += sum(float((array**2).sum()) for array in d_layers)
        if self._sum is None:
            self._sum = [array.copy() for array in d_layers]
        else:
            for total, array in zip(self._sum, d_layers, strict=True):
                total += array
        return []

    @property
    def has_come(self) -> bool:
        return self._sum is not None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled between a batch and its update, the gradient is gone: its graph exists in this process alone."""
        return _LayersGradient, (_discard, {self._name: 0.0}, self._name)

    def apply(self) -> None:
        if self._sum is not None:
            self._backprop(self._sum)


def _discard(d_layers: Layers) -> list[Doc]:
    """The gradient of a frozen biLM's layers."""
    return []
