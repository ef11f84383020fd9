"""`python -m spacy elmo perplexity`: how well a model predicts a text."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from spacy.cli._util import import_code
from wasabi import msg

from .failing import failing

if TYPE_CHECKING:
    from ..corpus.formats import Format
    from ..language import Perplexity


def perplexity(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model with its softmax: en_elmo_sm, or what `pretrain` writes", show_default=False
        ),
    ],
    text: Annotated[
        Path,
        typer.Argument(
            metavar="TEXT",
            help="A file, directory or glob, as for `pretrain`; - for standard input",
            show_default=False,
        ),
    ],
    per_sentence: Annotated[
        bool, typer.Option("--per-sentence", help="Print a line for each sentence, before the total")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, for programs")] = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="What each line of text is: documents, sentences, or tokens, a sentence with blanks between its "
            "words. By default as in the model's training",
            show_default=False,
        ),
    ] = None,
    code: Annotated[
        Path | None, typer.Option("--code", "-c", help="Python file to import first, for the model's own tokenizer")
    ] = None,
) -> None:
    """Measure how well a model predicts texts: its perplexity.

    It is computed over the whole vocabulary, forward, backward and both together. Each sentence is read by itself.
    Texts are tokenised as the model's training texts were.

    Words outside the vocabulary count as the word <UNK>, which is easy to predict. So compare perplexities only between
    models with the same vocabulary, on the same texts.

    \b
    Examples:
      python -m spacy elmo perplexity OUT/model-best heldout.txt
      python -m spacy elmo perplexity OUT/model-best reports/ --per-sentence --json
      python -m spacy elmo perplexity OUT/model-best tokenised.txt --format tokens
      zcat reports.gz | python -m spacy elmo perplexity OUT/model-best -
    """
    import_code(code)
    with failing():
        from ..checkpoints.source import locate
        from ..corpus.errors import CorpusError
        from ..corpus.sentences import read_sentences
        from ..corpus.standard_input import with_standard_input
        from ..language import Perplexity, load_language_model, score
        from ..language.metadata import read_text_settings

        language_model = load_language_model(model)
        settings = read_text_settings(locate(model).directory)
        if format is not None:
            settings = replace(settings, format=cast("Format", format))
        with with_standard_input([text]) as texts:
            sentences = list(read_sentences(texts, settings))
        if not sentences:
            raise CorpusError(f"{text}: no text, and so no perplexity.")
        scores = score(language_model, sentences)
        for sentence, one in zip(sentences, scores, strict=True) if per_sentence else []:
            _print(one.perplexity, " ".join(sentence), as_json)
        _print(Perplexity.of(scores), None, as_json)


def _print(found: "Perplexity", sentence: str | None, as_json: bool) -> None:
    values = {
        "perplexity": found.average,
        "forward": found.forward,
        "backward": found.backward,
        "predictions": found.n_predictions,
        "unknown": found.n_unknown,
        "unknown_share": found.unknown_share,
    }
    if as_json:
        print(json.dumps({**({"sentence": sentence} if sentence is not None else {}), **values}, ensure_ascii=False))
    elif sentence is not None:
        print(f"{found.average:>12.2f}  {sentence}")
    else:
        shown = {key: f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" for key, value in values.items()}
        msg.table({**shown, "unknown_share": f"{found.unknown_share:.1%}"})
