"""Docs to ELMo vectors: the encoder and a layer mix. The component's model, and a tok2vec layer in its own right."""

from collections.abc import Callable
from typing import Any

from spacy.tokens import Doc
from thinc.api import Model

from ..checkpoints import Source
from .encoder import BiLMEncoder
from .layer_mix import LayerMix
from .layer_mix import set_dims as set_mix_dims
from .listener import LISTENER_NAME, MIX_ARGUMENTS, ElmoListener
from .types import Layers, SpanGetter, Vectors


def ElmoModel(
    source: Source = "en_elmo_sm",
    precision: str = "float32",
    get_spans: SpanGetter | None = None,
    output: str | int = "average",
    layer_norm: bool = False,
    dropout: float = 0.0,
) -> Model[list[Doc], Vectors]:
    """The architecture "spacy-elmo.ElmoModel.v1": for each Doc an array (n_tokens, nO) float32.

    source: what to load, see `load_bilm`. Looked up when the weights are first needed, and never by a pipeline that
        was saved, which brings them along.
    precision: "float32" or "bfloat16", see `BiLM`.
    get_spans: a span getter, from `@span_getters`; by default the sentences of a Doc that has them, otherwise the
        whole Doc. Where spans overlap, the vectors of a token are averaged; a token in no span has zeros.
    output, layer_norm, dropout: how layers become vectors, see `LayerMix`.

    Used as the tok2vec of another component, its biLM stays as it is: only the component "elmo" trains it.
    """
    return _elmo(BiLMEncoder(source, precision, get_spans), LayerMix(output, layer_norm, dropout), frozen=True)


def _elmo(encoder: Model[list[Doc], Layers], mix: Model[Layers, Vectors], *, frozen: bool) -> Model[list[Doc], Vectors]:
    return Model(
        "elmo",
        forward,
        init=init,
        dims={"nO": None},
        layers=[encoder, mix],
        attrs={
            "frozen": frozen,
            "replace_listener": replace_listener,
            "replace_listener_cfg": replace_listener_cfg,
        },
    )


def is_elmo_model(model: Model) -> bool:
    """Whether a model is one of this architecture."""
    return model._func is forward


def forward(model: Model[list[Doc], Vectors], docs: list[Doc], is_train: bool) -> tuple[Vectors, Callable]:
    encoder, mix = model.layers
    frozen = model.attrs["frozen"]
    layers, backprop_encoder = encoder(docs, is_train and not frozen)
    set_dims(model)
    vectors, backprop_mix = mix(layers, is_train)

    def backprop(d_vectors: Vectors) -> list[Doc]:
        d_layers = backprop_mix(d_vectors)
        return [] if frozen else backprop_encoder(d_layers)

    return vectors, backprop


def init(model: Model[list[Doc], Vectors], X: list[Doc] | None = None, Y: Vectors | None = None) -> None:
    encoder, _ = model.layers
    encoder.initialize()
    set_dims(model)


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

    model: a copy of the component's model. A listener of spaCy's has no mix, and gets the component's.
    """
    encoder, mix = model.layers
    if isinstance(listener, ElmoListener):
        mix = listener.mix.copy()
    return _elmo(encoder, mix, frozen=component.frozen)


def replace_listener_cfg(model_cfg: dict[str, Any], tok2vec_cfg: dict[str, Any]) -> dict[str, Any]:
    """The config of what `replace_listener` makes. The listener's is somewhere within the tok2vec's."""
    listener_cfg = _find_listener_cfg(tok2vec_cfg) or {}
    return {**model_cfg, **{key: listener_cfg[key] for key in MIX_ARGUMENTS if key in listener_cfg}}


def _find_listener_cfg(cfg: dict[str, Any]) -> dict[str, Any] | None:
    if cfg.get("@architectures") == LISTENER_NAME:
        return cfg
    sections = (_find_listener_cfg(value) for value in cfg.values() if isinstance(value, dict))
    return next((section for section in sections if section is not None), None)
