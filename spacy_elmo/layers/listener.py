"""A layer in another component's model that takes the biLM's layers from the component "elmo" and mixes them itself."""

import copy
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from spacy.tokens import Doc
from thinc.api import Model

from .layer_mix import LayerMix, reset_mix
from .layer_mix import set_dims as set_mix_dims
from .spans import DocWords
from .types import Layers, LayersBackprop, Vectors

LISTENER_NAME = "spacy-elmo.ElmoListener.v1"
# Arguments that a listener shares with ElmoModel, which can stand in its place.
MIX_ARGUMENTS = ("output", "layer_norm", "dropout", "l2")


class Upstream(Protocol):
    """What a listener asks of the component it listens to."""

    name: str

    def words_of(self, docs: list[Doc], listener: Model | None = None) -> list[DocWords]:
        """What the component reads of docs, which says whether two batches are the same."""

    def layers_of(self, docs: list[Doc], is_train: bool, listener: Model | None = None) -> Layers:
        """The layers of docs, kept ones where there are any, without gradient. In training the docs may come again."""


class Link:
    """A listener's reference to its upstream, None where there is none.

    It does not keep the upstream: one that was removed, or that stayed behind in a pipeline that a listener was sourced
    from, is gone at once, and not only from what is saved.

    A copied listener goes on listening to the same component, rather than to a copy of a whole biLM; unless that
    component is part of what is being copied.
    """

    def __init__(self, upstream: Upstream | None = None) -> None:
        self._reference = None if upstream is None else weakref.ref(upstream)

    @property
    def upstream(self) -> Upstream | None:
        """The component, while it is there."""
        return None if self._reference is None else self._reference()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Link":
        return Link(memo.get(id(self.upstream), self.upstream))

    def __reduce__(self) -> tuple[Any, ...]:
        return Link, (self.upstream,)


class Batch:
    """What a listener was handed for an update.

    A copy of the listener, pickled or not, has none of it: layers and gradients are on their way to the original, and
    would make a pickle many times as large.
    """

    def __init__(self, words: list[DocWords], layers: Layers, backprop: LayersBackprop) -> None:
        self.words = words
        self.layers = layers
        self.backprop = backprop

    def __reduce__(self) -> tuple[Any, ...]:
        return _no_batch, ()


def _no_batch() -> None:
    return None


class ElmoListener(Model):
    """Model[list[Doc], Vectors].

    In an update it takes what its upstream handed it for a batch of the same words, with the callback for the gradient;
    at any other time it asks its upstream.
    """

    def __init__(self, upstream_name: str, width: int | None, mix: Model[Layers, Vectors]) -> None:
        attrs: dict[str, Any] = {"renamed": {}}
        super().__init__("elmo_listener", forward, init=init, dims={"nO": width}, layers=[mix], attrs=attrs)
        self._configured_name = upstream_name
        self._link = Link()
        self._batch: Batch | None = None

    def _copy(self, seen: dict[int, Any] | None = None) -> "ElmoListener":
        """For `Model.copy`, which by itself makes a plain Model: of a model of spaCy's tok2vec that listens, too."""
        seen = {} if seen is None else seen
        copied = ElmoListener(self._configured_name, None, self.mix._copy(seen))
        copied._dims, copied._attrs = dict(self._dims), copy.deepcopy(self._attrs)
        copied._link = copy.deepcopy(self._link)
        return copied

    @property
    def mix(self) -> Model[Layers, Vectors]:
        """What makes vectors of the layers that come."""
        return self.layers[0]

    @property
    def upstream_name(self) -> str:
        """The name in the config; or, after the component of that name was renamed, its name since.

        (A pipeline's config does not follow such a change, but the attributes of a model are saved with it.)
        """
        renamed: dict[str, str] = self.attrs["renamed"]
        return renamed.get(self._configured_name, self._configured_name)

    @property
    def linked(self) -> Upstream | None:
        """The component that this listens to, if there is one yet."""
        return self._link.upstream

    @property
    def upstream(self) -> Upstream:
        """The component that this listens to.

        Raises:
            ValueError: there is none.
        """
        if (upstream := self.linked) is None:
            wanted = "no 'elmo' component" if self.upstream_name == "*" else f"no component '{self.upstream_name}'"
            raise ValueError(
                f"An ElmoListener has {wanted} to listen to. Add one to the pipeline, before the component that "
                f"listens: nlp.add_pipe('elmo'), or [components.elmo] in the config. To a component that is sourced "
                f"belongs the one that it was trained with: source that, too. (The listener's 'upstream' is "
                f"'{self.upstream_name}'.)"
            )
        return upstream

    def means(self, upstream: Upstream) -> bool:
        """Whether a component is what the listener's upstream says: by its name, by '*', or under an earlier name."""
        return self.upstream_name in ("*", upstream.name) or self.listens_to(upstream)

    def listens_to(self, upstream: Upstream) -> bool:
        """Whether this component is a listener's upstream. Of several that '*' could mean it is the nearest."""
        return self.linked is upstream

    def link(self, upstream: Upstream) -> None:
        """Listen to a component from now on."""
        if self.upstream_name not in ("*", upstream.name):
            self.attrs["renamed"] = {self._configured_name: upstream.name}
        self._link = Link(upstream)
        self.release()

    def set_upstream_dims(self, n_layers: int, width: int) -> None:
        """Learn the dimensions of what comes.

        Raises:
            ValueError: the width in the listener's config is not the one it gets.
        """
        set_mix_dims(self.mix, n_layers, width)
        found = self.mix.get_dim("nO")
        if self.has_dim("nO") and self.get_dim("nO") != found:
            raise ValueError(
                f"An ElmoListener has the width {self.get_dim('nO')} in its config, but its upstream "
                f"'{self.upstream.name}' gives vectors of width {found} (output: {self.mix.attrs['output']}). Set the "
                f"listener's width to {found}, or to null."
            )
        self.set_dim("nO", found)

    def receive(self, words: list[DocWords], layers: Layers, backprop: LayersBackprop) -> None:
        """Take the layers of the batch that the pipeline is being updated with."""
        self._batch = Batch(words, layers, backprop)

    def release(self) -> None:
        """Forget the received batch: after an update its layers are those of other weights."""
        self._batch = None

    def layers_for(self, docs: list[Doc]) -> tuple[Layers, LayersBackprop]:
        """The layers to learn from: those of the received batch, if it is this one.

        A batch is known by its words, and not by its Docs: components may copy these (an entity linker does).
        """
        batch = self._batch
        if batch is not None and batch.words == self.upstream.words_of(docs, self):
            return batch.layers, batch.backprop
        return self.upstream.layers_of(docs, is_train=True, listener=self), _no_backprop


def build_elmo_listener(
    upstream: str = "*",
    width: int | None = None,
    output: str | int = "mix",
    layer_norm: bool = False,
    dropout: float = 0.0,
    l2: float = 0.0,
) -> Model[list[Doc], Vectors]:
    """A layer for the place of a tok2vec or of its embedding: for each Doc an array (n_tokens, nO) float32.

    Each listener learns its own mix, gamma * sum(softmax(w) * layers). All listeners share one pass of the biLM.

    Args:
        upstream: The name of the ELMo component to listen to; "*" for the nearest one before this component.
        width: The width of the vectors. By default it is that of the upstream model, which is known after
            `nlp.initialize`. A value given here is checked against it. ("concat" makes it n_layers + 1 times as wide.)
        output: "mix", a learned mix of all layers; or "average", "top", "concat", or the number of a layer.
        layer_norm: Normalise each layer's vector of each token to mean 0 and variance 1 before mixing.
        dropout: The share of the mixed vectors that is set to 0 in training. The paper has 0.5, and our configs 0.3.
            The `dropout` in [training] does not change it.
        l2: Adds l2 * |w|^2 to the loss of each batch, which draws a learned mix towards the average. The paper has
            0.001.
    """
    return ElmoListener(upstream, width, LayerMix(output, layer_norm, dropout, l2))


def forward(model: ElmoListener, docs: list[Doc], is_train: bool) -> tuple[Vectors, Callable]:
    """Vectors of docs, and the callback that hands the gradient of their layers to the upstream."""
    if is_train:
        layers, backprop_layers = model.layers_for(docs)
    else:
        layers, backprop_layers = model.upstream.layers_of(docs, is_train=False, listener=model), _no_backprop
    if model.has_dim("nO") is None and layers:
        model.set_upstream_dims(layers[0].shape[0], layers[0].shape[2])
    vectors, backprop_mix = model.mix(layers, is_train)

    def backprop(d_vectors: Vectors) -> list[Doc]:
        return backprop_layers(backprop_mix(d_vectors))

    return vectors, backprop


def init(model: ElmoListener, X: list[Doc] | None = None, Y: Vectors | None = None) -> None:
    """Learn the dimensions, and begin with the average of the layers: anew, too."""
    if X:
        layers = model.upstream.layers_of(X[:1], is_train=False, listener=model)
        model.set_upstream_dims(layers[0].shape[0], layers[0].shape[2])
        reset_mix(model.mix)


def _no_backprop(d_layers: Layers) -> list[Doc]:
    return []
