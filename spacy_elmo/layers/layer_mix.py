"""The layers of a biLM to one vector a token: ELMo's learned mix, or a fixed choice of layers.

The mix is gamma * sum_k s_k h_k with s = softmax(w) (Peters et al. 2018, equation 1). It starts as the plain average.
"""

from collections.abc import Callable
from typing import Any

from thinc.api import Model

from .types import Array, Layers, Vectors

FIXED_CHOICES = ("average", "top", "concat")
_Backprop = Callable[[Array], Array]
# Added to the variance in the layer normalisation, as in AllenNLP's scalar mix and in Thinc's LayerNorm.
EPSILON = 1e-8
# Tokens that are mixed at once where nothing is to be learned from them: bounds the copies that a long document takes.
BLOCK = 65_536


def LayerMix(
    output: str | int, layer_norm: bool = False, dropout: float = 0.0, l2: float = 0.0
) -> Model[Layers, Vectors]:
    """A layer (n_layers, n_tokens, width) -> (n_tokens, nO).

    Args:
        output: "mix" for the learned mix (parameters "w" (n_layers,) and "gamma" (1,)); "average", "top", or "concat"
            (nO is n_layers * width) of all layers; or the number of a layer, negative ones counted from the top.
        layer_norm: normalise each layer's vector of each token to mean 0 and variance 1 before the mix (section 3.2;
            of a token alone, so that batch mates play no part, where AllenNLP normalises over the batch).
        dropout: share of the output set to 0 in training. Not touched by the dropout rate of a training config.
        l2: adds l2 * |w|^2 to the loss of each batch, which draws a learned mix to the average (section 3.3 of the
            paper).

    Raises:
        ValueError: an argument is none of these.
    """
    check_settings(output, dropout, l2)
    params: dict[str, Any] = {"w": None, "gamma": None} if output == "mix" else {}
    return Model(
        "layer_mix",
        forward,
        init=init,
        dims={"nL": None, "nO": None},
        params=params,
        attrs={"output": output, "layer_norm": layer_norm, "dropout": dropout, "l2": l2},
    )


def check_settings(output: Any, dropout: Any, l2: Any = 0.0) -> None:
    """Check the settings of a layer mix.

    Raises:
        ValueError: they are none that `LayerMix` knows.
    """
    if output != "mix" and output not in FIXED_CHOICES and (not isinstance(output, int) or isinstance(output, bool)):
        choices = ", ".join(("mix", *FIXED_CHOICES))
        raise ValueError(
            f"An ELMo output is one of {choices}, or the number of a layer, below 0 from the top, but not {output!r}."
        )
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"The dropout of an ELMo output is from 0 to below 1, but not {dropout!r}.")
    if not isinstance(l2, int | float) or l2 < 0:
        raise ValueError(f"The l2 of an ELMo mix is 0 or more, but not {l2!r}.")
    if l2 and output != "mix":
        raise ValueError(f"An ELMo output {output!r} learns no mix for l2 to draw to the average. Leave l2 out.")


def forward(model: Model[Layers, Vectors], layers: Layers, is_train: bool) -> tuple[Vectors, Callable]:
    """Vectors of each Doc's layers, and the callback that gives these layers' gradient."""
    ops: Any = model.ops
    if not layers:
        return [], lambda dYs: []
    if model.has_dim("nO") is None:
        init(model, layers)
    if not is_train and max(array.shape[1] for array in layers) > BLOCK:
        return [_mix_in_blocks(model, array) for array in layers], _nothing_to_learn
    lengths = ops.asarray1i([array.shape[1] for array in layers])
    Y, backprop_mix = _mix_and_normalise(model, ops.xp.concatenate([ops.asarray3f(array) for array in layers], axis=1))
    if is_train and model.attrs["dropout"]:
        mask = ops.get_dropout_mask(Y.shape, model.attrs["dropout"])
        Y = Y * mask

    def backprop(dYs: Vectors) -> Layers:
        dY = ops.xp.concatenate(dYs, axis=0)
        if is_train and model.attrs["dropout"]:
            dY = dY * mask
        ends = ops.xp.cumsum(lengths)
        return ops.xp.split(backprop_mix(dY), [int(end) for end in ends[:-1]], axis=1)

    return ops.unflatten(Y, lengths), backprop


def _mix_in_blocks(model: Model[Layers, Vectors], layers: Array) -> Array:
    """The vectors of one document, (n_tokens, nO), some tokens at a time."""
    ops: Any = model.ops
    Y: Array = ops.alloc2f(layers.shape[1], model.get_dim("nO"), zeros=False)
    for start in range(0, len(Y), BLOCK):
        Y[start : start + BLOCK], _ = _mix_and_normalise(model, ops.asarray3f(layers[:, start : start + BLOCK]))
    return Y


def _nothing_to_learn(dYs: Vectors) -> Layers:
    raise ValueError("The mix was run for prediction, and keeps nothing to learn from.")


def _mix_and_normalise(model: Model[Layers, Vectors], X: Array) -> tuple[Array, _Backprop]:
    """Vectors (n_tokens, nO) of layers (n_layers, n_tokens, width), without dropout."""
    if not model.attrs["layer_norm"]:
        return _apply_output(model, X)
    X, backprop_norm = _normalise(X)
    Y, backprop_output = _apply_output(model, X)
    return Y, lambda dY: backprop_norm(backprop_output(dY))


def init(model: Model[Layers, Vectors], X: Layers | None = None, Y: Vectors | None = None) -> None:
    """Learn the dimensions from layers, and begin with their average."""
    if X:
        set_dims(model, n_layers=X[0].shape[0], width=X[0].shape[2])
        reset_mix(model)


def set_dims(model: Model[Layers, Vectors], n_layers: int, width: int) -> None:
    """Tell the mix how many layers of what width it gets, and start the parameters where they are not there yet.

    Raises:
        ValueError: it has no layer of the number asked for, or was trained on others.
    """
    output = model.attrs["output"]
    total = n_layers * width if output == "concat" else width
    if model.has_dim("nO") and (model.get_dim("nL"), model.get_dim("nO")) != (n_layers, total):
        raise ValueError(
            f"An ELMo mix was trained on {model.get_dim('nL')} layers to vectors {model.get_dim('nO')} wide, but now "
            f"gets {n_layers} layers, for vectors {total} wide. Take the component 'elmo' that it was trained with "
            f"from the same pipeline, too, or train its component anew."
        )
    if isinstance(output, int) and not -n_layers <= output < n_layers:
        raise ValueError(f"This ELMo has the layers 0 to {n_layers - 1}, and no layer {output}.")
    model.set_dim("nL", n_layers)
    model.set_dim("nO", total)
    if model.has_param("w") is None:
        reset_mix(model)


def averaged_layers(model: Model[Layers, Vectors]) -> tuple[int, ...] | None:
    """Of which layers the vectors are the plain average; None where they are more than that."""
    output, n_layers = model.attrs["output"], model.get_dim("nL")
    if model.attrs["layer_norm"] or output in ("mix", "concat"):
        return None
    if output == "average":
        return tuple(range(n_layers))
    return (n_layers - 1 if output == "top" else output % n_layers,)


def reset_mix(model: Model[Layers, Vectors]) -> None:
    """Set the parameters of a learned mix of known dimensions to those it begins with, the plain average."""
    if model.attrs["output"] == "mix":
        model.set_param("w", model.ops.alloc1f(model.get_dim("nL")))
        model.set_param("gamma", model.ops.alloc1f(1) + 1)


def mix_weights(model: Model[Layers, Vectors]) -> Array:
    """The softmax-normalised weights s of a learned mix, (n_layers,), without gamma."""
    ops: Any = model.ops
    return ops.softmax(model.get_param("w").reshape((1, -1)))[0]


def _apply_output(model: Model[Layers, Vectors], X: Array) -> tuple[Array, _Backprop]:
    output = model.attrs["output"]
    if output == "mix":
        return _mix(model, X)
    if output == "average":
        return X.mean(axis=0), lambda dY: model.ops.xp.repeat((dY / len(X))[None], len(X), axis=0)
    if output == "concat":
        return _concat(model.ops, X)
    return _pick(model.ops, X, len(X) - 1 if output == "top" else output)


def _mix(model: Model[Layers, Vectors], X: Array) -> tuple[Array, _Backprop]:
    s: Any = mix_weights(model)
    gamma: Any = model.get_param("gamma")
    mixed = model.ops.xp.tensordot(s, X, axes=1)

    def backprop(dY: Array) -> Array:
        model.inc_grad("gamma", (dY * mixed).sum().reshape((1,)))
        d_mixed = gamma * dY
        ds = (X * d_mixed).sum(axis=(1, 2))
        model.inc_grad("w", s * (ds - (s * ds).sum()) + 2 * model.attrs["l2"] * model.get_param("w"))
        return s[:, None, None] * d_mixed

    return gamma * mixed, backprop


def _concat(ops: Any, X: Array) -> tuple[Array, _Backprop]:
    n_layers, n_tokens, width = X.shape

    def backprop(dY: Array) -> Array:
        return ops.as_contig(dY.reshape((n_tokens, n_layers, width)).transpose((1, 0, 2)))

    return ops.as_contig(X.transpose((1, 0, 2)).reshape((n_tokens, n_layers * width))), backprop


def _pick(ops: Any, X: Array, number: int) -> tuple[Array, _Backprop]:
    def backprop(dY: Array) -> Array:
        dX = ops.alloc3f(*X.shape)
        dX[number] = dY
        return dX

    return X[number].copy(), backprop


def _normalise(X: Array) -> tuple[Array, _Backprop]:
    """Layer normalisation (Ba et al. 2016) over the last axis, without gain and bias."""
    variance = X.var(axis=2, keepdims=True)
    deviation = (variance + EPSILON) ** 0.5
    Y = (X - X.mean(axis=2, keepdims=True)) / deviation

    def backprop(dY: Array) -> Array:
        along = (dY * Y).mean(axis=2, keepdims=True)
        dX: Array = (dY - dY.mean(axis=2, keepdims=True) - Y * along) / deviation
        # Tokens without vectors, such as whitespace, would have by far the largest gradient, which nobody takes.
        return dX * (variance > 0)

    return Y, backprop
