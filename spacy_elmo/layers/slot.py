"""Where a Doc keeps what an ELMo component computed for it.

In `Doc.user_data`, under the component's name: several ELMo components do not get into each other's way, nor does a
component that overwrites `Doc.tensor`; and whatever carries a Doc's user data carries the vectors. Plain NumPy arrays.
"""

from typing import cast

from spacy.tokens import Doc

from .types import Array

KEY = "spacy_elmo"


def write(doc: Doc, name: str, vectors: Array, layers: Array | None) -> None:
    """Keep the vectors (n_tokens, width), and the layers (n_layers + 1, n_tokens, width) if there is use for them, as
    those of the component `name`, which thereby is the last one to have run.
    """
    slots = doc.user_data.setdefault(KEY, {})
    slots.pop(name, None)
    slots[name] = {"vectors": vectors} if layers is None else {"vectors": vectors, "layers": layers}


def layers(doc: Doc, name: str) -> Array | None:
    """The layers that the component `name` left here; None where there are none, or where the tokens of the Doc have
    been merged or split since.
    """
    found = doc.user_data.get(KEY, {}).get(name, {}).get("layers")
    return found if found is not None and found.shape[1] == len(doc) else None


def last(doc: Doc, what: str) -> Array | None:
    """The "vectors" or "layers" of the ELMo component that ran last, None where there are none.

    Raises ValueError where the tokens of the Doc have been merged or split since: its rows are no longer the tokens'.
    """
    slots = doc.user_data.get(KEY)
    if not slots:
        return None
    name, slot = next(reversed(slots.items()))
    found = cast(Array | None, slot.get(what))
    if found is not None and found.shape[-2] != len(doc):
        raise ValueError(
            f"The ELMo vectors of this Doc are those of {found.shape[-2]} tokens, but it now has {len(doc)}: they were "
            f"merged, split or cut out after '{name}' ran. Put '{name}' after the component that does so, or apply it "
            f"again: nlp.get_pipe('{name}')(doc)."
        )
    return found


def drop(doc: Doc, what: str) -> None:
    """Forget the "vectors" or "layers" of all ELMo components."""
    for slot in doc.user_data.get(KEY, {}).values():
        slot.pop(what, None)
