"""Reading a saved model into one that is here: whole, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from thinc.api import Model

from .encoder import bilm_shim
from .layer_mix import check_settings


@contextmanager
def all_or_nothing(model: Model) -> Iterator[None]:
    """Where something fails within, the model is left as it was before."""
    before = [_State(node) for node in model.walk()]
    try:
        yield
    except BaseException:
        for state in before:
            state.restore()
        raise


class _State:
    """All that reading bytes changes in a node of a model."""

    def __init__(self, node: Model) -> None:
        self._node = node
        self._name = node.name
        self._dims = {name: node.get_dim(name) if node.has_dim(name) else None for name in node.dim_names}
        self._attrs = dict(node.attrs)
        self._params = {
            name: node.get_param(name).copy() if node.has_param(name) else None for name in node.param_names
        }
        self._shims = [shim._model for shim in node.shims]

    def restore(self) -> None:
        self._node.name = self._name
        self._node._dims.update(self._dims)
        self._node.attrs.clear()
        self._node.attrs.update(self._attrs)
        for name, value in self._params.items():
            self._node.set_param(name, value)
        for shim, inner in zip(self._node.shims, self._shims, strict=True):
            shim._model = inner


def check_elmo_model(model: Model) -> None:
    """Check that the parts of an ELMo model fit together, after it was read from bytes.

    Raises:
        ValueError: they do not.
    """
    encoder, mix = model.layers
    output, layer_norm, dropout = (mix.attrs[name] for name in ("output", "layer_norm", "dropout"))
    check_settings(output, dropout)
    flags: list[Any] = [layer_norm, model.attrs["frozen"], model.attrs["whole_docs"]]
    reader = model.attrs["reader"]
    if not all(isinstance(flag, bool) for flag in flags) or not isinstance(reader, str | None):
        raise ValueError("its attributes are of wrong types")
    if not callable(model.attrs["get_spans"]):
        raise ValueError("it has no span getter")
    config = bilm_shim(encoder).bilm.config
    wanted = {"nL": config.n_layers + 1, "nO": config.width}
    widths = {"nL": wanted["nL"], "nO": config.width * (wanted["nL"] if output == "concat" else 1)}
    for node, dims in ((encoder, wanted), (mix, widths), (model, {"nO": widths["nO"]})):
        for name, value in dims.items():
            if node.has_dim(name) and node.get_dim(name) != value:
                raise ValueError(f"its {node.name} has a dimension {name} of {node.get_dim(name)}, and not {value}")
    for name, size in (("w", wanted["nL"]), ("gamma", 1)):
        if mix.has_param(name):
            array: Any = mix.get_param(name)
            if array.shape != (size,) or array.dtype != np.float32 or not mix.ops.xp.isfinite(array).all():
                raise ValueError(f"its layer_mix has no {name} of {size} finite numbers")
