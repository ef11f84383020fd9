"""Docs to ELMo vectors: the encoder and a layer mix. The component's model, and a tok2vec layer in its own right."""

from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model

from ..checkpoints import Source
from .encoder import BiLMEncoder, bilm_shim
from .layer_mix import LayerMix
from .layer_mix import set_dims as set_mix_dims
from .listener import ElmoListener
from .replacing import ReplacingConfigs
from .spans import DocWords, doc_words, sentences_or_doc, whole_docs
from .types import Layers, SpanGetter, Vectors


def ElmoModel(
    source: Source | None = None,
    precision: str = "float32",
    get_spans: SpanGetter | None = None,
    output: str | int = "average",
    layer_norm: bool = False,
    dropout: float = 0.0,
    l2: float = 0.0,
) -> Model[list[Doc], Vectors]:
    """The model of the component "elmo": for each Doc an array (n_tokens, nO) float32.

    It can also be the tok2vec of another component. Then its biLM is not trained, and it reads Docs as they are when
    that component runs.

    Args:
        source: The biLM: the name of a model in this package or of a downloaded one; a directory, an archive, or one
            file of a model; a pair of paths; see `load_bilm`. None for this package's model of the pipeline's language.
            It is loaded when the weights are first needed. A saved pipeline holds its weights, and never needs it.
        precision: "float32", or "bfloat16" for the LSTMs' matrix products. With bfloat16 vectors differ by less than
            one percent. It is faster on processors that have it, and can be slower on others (CPUs without AVX-512
            BF16 or AMX). A biLM is always trained in float32.
        get_spans: What is read as one sequence: a span getter, from `@span_getters`, such as
            "spacy-transformers.strided_spans.v1" (pip install spacy-transformers). By default each sentence, or the
            whole Doc if it has no sentence boundaries. If spans overlap, the vectors of a token are averaged. A token
            in no span has zeros.
        output: How layers become vectors: "average", "top", "concat" (all side by side), the number of a layer, or
            "mix", which listeners of the type "spacy.Tok2VecListener.v1" train.
        layer_norm: Normalise each layer's vector of each token to mean 0 and variance 1 before mixing.
        dropout: The share of the mixed vectors that is set to 0 in training. The `dropout` in [training] does not
            change it.
        l2: Draws a learned mix towards the average, see `LayerMix`.
    """
    mix = LayerMix(output, layer_norm, dropout, l2)
    return _elmo(BiLMEncoder(source, precision), mix, get_spans or sentences_or_doc)


def _elmo(
    encoder: Model[list[DocWords], Layers],
    mix: Model[Layers, Vectors],
    get_spans: SpanGetter,
    *,
    frozen: bool = True,
    reader: str | None = None,
    whole_docs: bool = False,
) -> Model[list[Doc], Vectors]:
    """Put the model together.

    Args:
        encoder: the biLM.
        mix: what makes vectors of its layers.
        get_spans: what is read as one sequence.
        frozen: whether the biLM only gives features.
        reader: the component whose turn says what is read together, where it has been.
        whole_docs: whether the sentences of other Docs are passed over.
    """
    return Model(
        "elmo",
        forward,
        init=init,
        dims={"nO": None},
        layers=[encoder, mix],
        attrs={
            "get_spans": get_spans,
            "frozen": frozen,
            "reader": reader,
            "whole_docs": whole_docs,
            "replace_listener": replace_listener,
            "replace_listener_cfg": ReplacingConfigs(),
        },
    )


def is_elmo_model(model: Model) -> bool:
    """Whether a model is one of this architecture."""
    return model._func is forward


def forward(model: Model[list[Doc], Vectors], docs: list[Doc], is_train: bool) -> tuple[Vectors, Callable]:
    """Vectors of docs, and the callback that takes their gradient to the biLM."""
    encoder, mix = model.layers
    frozen = model.attrs["frozen"]
    set_language(model, docs)
    words = read(model, docs, model.attrs["reader"], past_sentences=model.attrs["whole_docs"])
    layers, backprop_encoder = encoder(words, is_train and not frozen)
    set_dims(model)
    vectors, backprop_mix = mix(layers, is_train)

    def backprop(d_vectors: Vectors) -> list[Doc]:
        d_layers = backprop_mix(d_vectors)
        return [] if frozen else backprop_encoder(d_layers)

    return vectors, backprop


def read(
    model: Model[list[Doc], Vectors], docs: list[Doc], name: str | None, *, past_sentences: bool
) -> list[DocWords]:
    """The words of docs as the model reads them.

    Args:
        model: one of this architecture.
        docs: what is to be read.
        name: the component whose turn says what is read together, see `doc_words`.
        past_sentences: whether sentences may have been set since that turn. Of a Doc that the component has not had,
            they are not taken for those that were there before.
    """
    get_spans = model.attrs["get_spans"]
    if past_sentences and get_spans is sentences_or_doc:
        get_spans = whole_docs
    return doc_words(docs, get_spans, name)


def init(model: Model[list[Doc], Vectors], X: list[Doc] | None = None, Y: Vectors | None = None) -> None:
    """Load the biLM, and learn its dimensions."""
    encoder, _ = model.layers
    set_language(model, X or [])
    encoder.initialize()
    set_dims(model)


def set_language(model: Model[list[Doc], Vectors], docs: list[Doc]) -> None:
    """Let the encoder know which language it is to read, for a model whose source nobody named."""
    if docs:
        bilm_shim(model.layers[0]).language = docs[0].vocab.lang


def set_dims(model: Model[list[Doc], Vectors]) -> None:
    """Once the encoder knows its dimensions, so does all the rest."""
    if model.has_dim("nO") is None:
        encoder, mix = model.layers
        set_mix_dims(mix, encoder.get_dim("nL"), encoder.get_dim("nO"))
        model.set_dim("nO", mix.get_dim("nO"))


def replace_listener(
    model: Model[list[Doc], Vectors], listener: Model[list[Doc], Vectors], component: Any
) -> Model[list[Doc], Vectors]:
    """What `Language.replace_listeners` puts in a listener's place: a biLM of its own under the listener's mix.

    It reads Docs as the listener did, by the component's turn.

    Args:
        model: a copy of the component's model.
        listener: what is replaced. One of spaCy's has no mix, and gets the component's.
        component: the one that it listened to.

    Raises:
        ReplacementError: the config does not go with it, see `ReplacingConfigs`.
    """
    component.model.attrs["replace_listener_cfg"].settle()
    encoder, mix = model.layers
    if isinstance(listener, ElmoListener):
        mix = listener.mix.copy()
    return _elmo(
        encoder,
        mix,
        model.attrs["get_spans"],
        frozen=component.frozen,
        reader=component.name,
        whole_docs=component.is_past_sentences(listener),
    )
