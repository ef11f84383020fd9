"""The shapes that data takes between a Doc and a listener."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from spacy.tokens import Doc, Span

# On a GPU these are CuPy's arrays, which have the same methods. (Thinc's own array types know few of them.)
Array = npt.NDArray[np.float32]
# One array a Doc, (n_layers + 1, n_tokens, width) float32: a row for each token, zeros for whitespace.
Layers = list[Array]
# One array a Doc, (n_tokens, width) float32.
Vectors = list[Array]
# What to give the biLM as one sequence: for each Doc its spans, as spacy-transformers' span getters have it.
SpanGetter = Callable[[Iterable[Doc]], list[list[Span]]]
# Takes the gradient of the layers, for which nothing comes back: a Doc has none.
LayersBackprop = Callable[[Layers], list[Any]]
