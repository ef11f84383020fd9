"""Where a Doc keeps what an ELMo component computed for it.

In `Doc.user_data`, under the component's name: several ELMo components do not get into each other's way, nor does a
component that overwrites `Doc.tensor`; and whatever carries a Doc's user data carries the vectors. What is there is
replaced, and never changed: copies of user data are often shallow, and share it. Plain NumPy arrays:

- "words": which tokens the rest is of, (n_tokens,) uint64
- "spans": which of them were read together, (n_spans, 2) int32, the first token of each and the one after its last
- "vectors": (n_tokens, width) float32, from the time that the component has run
- "layers": (n_layers + 1, n_tokens, width) float32, where there is use for them
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from spacy.attrs import IDX, ORTH
from spacy.tokens import Doc, Span, Token

from .types import Array

KEY = "spacy_elmo"

Slot = dict[str, npt.NDArray[Any]]


def write(doc: Doc, name: str, spans: Iterable[tuple[int, int]], vectors: Array, layers: Array | None) -> None:
    """Keep what the component `name` has computed, which thereby is the last one to have run."""
    kept: Slot = {"vectors": vectors} if layers is None else {"vectors": vectors, "layers": layers}
    others = {other: slot for other, slot in doc.user_data.get(KEY, {}).items() if other != name}
    doc.user_data[KEY] = {**others, name: _new(doc, spans) | kept}


def keep_spans(doc: Doc, name: str, spans: Iterable[tuple[int, int]]) -> None:
    """Keep what the component `name` reads together, where that is not kept yet."""
    if kept_spans(doc, name) is None:
        doc.user_data[KEY] = {**doc.user_data.get(KEY, {}), name: _new(doc, spans)}


def kept_spans(doc: Doc, name: str) -> list[Span] | None:
    """The spans that the component `name` read together; None where it has not, or where the words are others now."""
    slot = _valid(doc, name)
    return [doc[start:end] for start, end in slot["spans"].tolist()] if "spans" in slot else None


def layers(doc: Doc, name: str) -> Array | None:
    """The layers that the component `name` left here; None where it left none, or where the words are others now."""
    return _valid(doc, name).get("layers")


def last(doc: Doc, what: str, start: int = 0, end: int | None = None) -> Array | None:
    """What the ELMo component that ran last left here, to be read for the tokens from `start` to `end`.

    Args:
        doc: any Doc.
        what: "vectors" or "layers".
        start: the first of the tokens.
        end: the token after the last of them; None for all to the Doc's end.

    Returns:
        The array of the whole Doc; None where there is none.

    Raises:
        ValueError: these tokens are not the ones that it was computed for.
    """
    slots: dict[str, Slot] = doc.user_data.get(KEY, {})
    for name, slot in reversed(slots.items()):
        if "vectors" in slot or "layers" in slot:
            if what in slot:
                _check_words(doc, name, slot, start, len(doc) if end is None else end)
            return slot.get(what)
    return None


def drop(doc: Doc, what: str) -> None:
    """Forget the "vectors" or "layers" of all ELMo components."""
    if slots := doc.user_data.get(KEY):
        doc.user_data[KEY] = {
            name: {kind: array for kind, array in slot.items() if kind != what} for name, slot in slots.items()
        }


def holds_vectors(doc: Doc, array: Array, name: str | None = None) -> bool:
    """Whether an array is the vectors that the component `name`, or by default any, left here."""
    slots: dict[str, Slot] = doc.user_data.get(KEY, {})
    chosen = slots.values() if name is None else [slots.get(name, {})]
    return any(np.array_equal(array, slot["vectors"]) for slot in chosen if "vectors" in slot)


def _new(doc: Doc, spans: Iterable[tuple[int, int]]) -> Slot:
    return {"words": _words(doc), "spans": np.array(list(spans), dtype=np.int32).reshape(-1, 2)}


def _valid(doc: Doc, name: str) -> Slot:
    """What the component `name` left here, nothing where the words are others now."""
    slot: Slot = doc.user_data.get(KEY, {}).get(name, {})
    same = np.array_equal(slot["words"], _words(doc)) if "words" in slot else _n_tokens(slot) == len(doc)
    return slot if same else {}


def _n_tokens(slot: Slot) -> int | None:
    """Of how many tokens a slot is. Those that were written by version 0.1 do not say of which words."""
    arrays = [slot[what] for what in ("vectors", "layers") if what in slot]
    return arrays[0].shape[-2] if arrays else None


def _words(doc: Doc) -> npt.NDArray[np.uint64]:
    """A number for each token: a hash of its text, and where in the Doc's text it begins."""
    orths, starts = doc.to_array([ORTH, IDX]).reshape(-1, 2).T
    return orths ^ starts


def _word(token: Token) -> int:
    """The number of one token, see `_words`."""
    return int(token.orth) ^ token.idx


def _check_words(doc: Doc, name: str, slot: Slot, start: int, end: int) -> None:
    n_tokens = _n_tokens(slot)
    words = slot.get("words")
    if n_tokens != len(doc):
        fault = f"are those of {n_tokens} tokens, but it now has {len(doc)}"
    elif words is not None and any(int(words[i]) != _word(doc[i]) for i in range(start, end)):
        fault = f"are those of other tokens than {doc[start:end].text!r}"
    else:
        return
    raise ValueError(
        f"The ELMo vectors of this Doc {fault}: they were merged, split or cut out after '{name}' ran. Put '{name}' "
        f"after the component that does so, or apply it again: nlp.get_pipe('{name}')(doc)."
    )
