"""`python -m spacy elmo neighbours`: the nearest contextual neighbours of a word in a corpus."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .arguments import FormatOption, ModelOption
from .failing import failing


def neighbours(
    corpus: Annotated[
        Path,
        typer.Argument(metavar="CORPUS", help="A file, directory or glob, as for `pretrain`", show_default=False),
    ],
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A sentence in which asterisks mark the *word*", show_default=False)
    ],
    model: ModelOption = "en_elmo_sm",
    n: Annotated[int, typer.Option("-n", min=1, help="How many neighbours")] = 10,
    layer: Annotated[int, typer.Option("--layer", help="Whose vectors to compare; -1 is the top layer")] = -1,
    other_forms: Annotated[bool, typer.Option("--other-forms", help="Leave out words of the same form")] = False,
    index: Annotated[
        Path | None,
        typer.Option("--index", help="A directory that keeps the vectors for the next call", show_default=False),
    ] = None,
    format: FormatOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, for programs")] = False,
) -> None:
    """Find the words of a corpus nearest to a word in its sentence.

    Up to 100,000 words are compared one by one. A larger corpus needs usearch: pip install 'spacy-elmo[neighbours]'.

    With --index, the corpus's vectors are kept for the next call. They are computed again if the model, the texts or
    the layer have changed.

    \b
    Examples:
      python -m spacy elmo neighbours reports/ "He struck a *match* and lit the candle." --index reports.index
    """
    with failing():
        from ..checkpoints import load_bilm
        from ..corpus.sentences import read_sentences
        from ..explain import NeighbourIndex, kept_index
        from ..explain.errors import ExplainError
        from ..explain.texts import split_marked, text_settings

        words, position = split_marked(text, text_settings(model))
        bilm = load_bilm(model)
        if not -bilm.config.n_layers - 1 <= layer <= bilm.config.n_layers:
            raise ExplainError(f"--layer {layer}: this model has the layers 0 to {bilm.config.n_layers}.")
        sentences = list(read_sentences([corpus], text_settings(model, format)))
        made = (
            NeighbourIndex.build(bilm, sentences, layer) if index is None else kept_index(index, bilm, sentences, layer)
        )
        for one in made.nearest(bilm, words, position, n, other_forms=other_forms):
            place = one.occurrence
            if as_json:
                found = {"cosine": one.cosine, "words": place.words, "position": place.position}
                print(json.dumps(found, ensure_ascii=False))
            else:
                marked = [f"*{word}*" if i == place.position else word for i, word in enumerate(place.words)]
                print(f"{one.cosine:.3f}  {' '.join(marked)}")
