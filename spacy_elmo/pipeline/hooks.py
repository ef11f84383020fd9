"""The component "elmo_similarity": spaCy's own `similarity` of Docs, Spans and Tokens, by ELMo.

spaCy knows hooks for that, functions that lie on one Doc. They get lost wherever a Doc is written and read again, also
on its way from another process to `nlp.pipe(n_process=2)`; and then spaCy's own similarity, another number, would take
their place and nobody would know. So what a Doc carries is a mark, as data, and the hooks come from it: when the
component has run, when `nlp.pipe` hands a Doc out, and by `set_hooks` for whoever reads Docs from a file.
"""

import warnings
from collections.abc import Callable, Iterator
from multiprocessing import parent_process
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from .extensions import similarity

KEY = "spacy_elmo.similarity"


@Language.factory("elmo_similarity", requires=["doc._.elmo", "span._.elmo", "token._.elmo"])
def make_elmo_similarity(nlp: Language, name: str) -> Callable[[Doc], Doc]:
    """The component "elmo_similarity": spaCy's own `similarity` of Docs, Spans and Tokens uses ELMo's vectors.

    It gives what `_.elmo_similarity` gives, also on Docs that come from other processes. Add it after "elmo".

    Args:
        nlp: The pipeline.
        name: The component's name in it.
    """
    # In the parent of several processes no component meets the Docs that come back: only this pipeline's `pipe` does.
    nlp.pipe = HookingPipe(nlp)  # type: ignore[method-assign]
    return mark


class HookingPipe:
    """`nlp.pipe` of one pipeline, which sets the hooks of the Docs that it hands out.

    Args:
        nlp: The pipeline.
    """

    def __init__(self, nlp: Language) -> None:
        self.nlp = nlp

    def __call__(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As `Language.pipe`."""
        pipe: Any = type(self.nlp).pipe
        for item in pipe(self.nlp, *args, **kwargs):
            # With as_tuples it calls itself, and the Docs have been here before.
            yield set_hooks(item) if isinstance(item, Doc) else item


def mark(doc: Doc) -> Doc:
    """Let `similarity` be ELMo's on this Doc, and on what is read where it has been written to."""
    doc.user_data[KEY] = True
    if parent_process() is not None:
        # spaCy's warning of hooks that are not written: the Docs go to the parent, where they get them anew.
        warnings.filterwarnings("ignore", r"\[W109\]", UserWarning)
    return set_hooks(doc)


def set_hooks(doc: Doc) -> Doc:
    """Let `similarity` be ELMo's on a Doc that was read from a file, if it was so when the Doc was written.

    Args:
        doc: Read with its user data, as by `Doc.from_bytes`, or by a `DocBin(store_user_data=True)`.

    Returns:
        The Doc.
    """
    if doc.user_data.get(KEY):
        for hooks in (doc.user_hooks, doc.user_span_hooks, doc.user_token_hooks):
            hooks["similarity"] = similarity
    return doc
