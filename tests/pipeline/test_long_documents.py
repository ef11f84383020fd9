"""What a long document takes of memory, told by the largest array that is made on its way."""

from typing import Any

import numpy as np
import pytest
import torch
from spacy.language import Language
from spacy.tokens import Doc
from torch.utils._python_dispatch import TorchDispatchMode

from .helpers import blank

N_TOKENS = 3000


class Largest(TorchDispatchMode):
    """Notes how large the largest tensor is that torch makes."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not function._schema.is_mutable:
            self.numbers = max(self.numbers, result.numel())
        return result


def largest(nlp: Language, doc: Doc) -> int:
    nlp("A first text, for which the weights are laid out.")
    with Largest() as made:
        nlp.get_pipe("elmo")(doc)
    return made.numbers


@pytest.mark.parametrize("output", ["average", "top", 1, -3])
def test_no_array_holds_all_layers_where_nobody_keeps_them(tiny_source: str, output: str | int) -> None:
    words = [f"w{i % 50}" for i in range(N_TOKENS)]
    streaming, keeping = (blank(tiny_source, output=output, keep_layers=kept) for kept in (False, True))
    streamed, kept = Doc(streaming.vocab, words), Doc(keeping.vocab, words)
    assert largest(streaming, streamed) == streamed.tensor.size
    assert largest(keeping, kept) == 3 * kept.tensor.size
    np.testing.assert_array_equal(streamed.tensor, kept.tensor)
