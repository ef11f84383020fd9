"""`python -m spacy elmo explain PAGE`: what a model sees, as pages."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from wasabi import msg

from .arguments import FormatOption, ModelOption
from .failing import failing

if TYPE_CHECKING:
    from spacy import Language

HELP = """Show what a model sees, on HTML pages.

Each page is one file that loads nothing from the network. Without --output, your browser shows it at once. This needs
an extra: pip install 'spacy-elmo[explain]'.

\b
Examples:
  python -m spacy elmo explain senses match texts/ --output match.html
  python -m spacy elmo explain senses match senses.jsonl --by doc.user_data.sense
  python -m spacy elmo explain layers training/ner/model-best --texts texts/ --output layers.html
  python -m spacy elmo explain importance training/ner/model-best "She flew to Bergen." --output why.html
  python -m spacy elmo explain cloze "He struck a ___ and lit the candle." --output cloze.html
"""

explain_cli = typer.Typer(name="explain", help=HELP, no_args_is_help=True, rich_markup_mode=None)

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE.html",
        help="The file to write or replace; without it, your browser shows the page",
    ),
]
CorpusArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="CORPUS…", help="Files, directories or globs: text, .jsonl, .conllu, .spacy", show_default=False
    ),
]


def write_page(found: Any, output: Path | None) -> None:
    """Write a page to a file, or serve it."""
    from ..disk import write_whole
    from ..explain import render, serve

    if output is None:
        serve(found, auto_select_port=True)
        return
    write_whole(output, str(render(found, jupyter=False)).encode("utf8"))
    msg.good(f"{output}: open it in a browser")


def load_pipeline(path: Path) -> "Language":
    """A trained pipeline.

    Raises:
        ExplainError: There is none.
    """
    import spacy

    from ..explain.errors import ExplainError

    if not (path / "config.cfg").exists():
        raise ExplainError(f"{path}: no saved pipeline, for it has no config.cfg. Name a directory such as model-best.")
    return spacy.load(path)


def senses(
    word: Annotated[str, typer.Argument(metavar="WORD", help="The word, one token", show_default=False)],
    corpus: CorpusArgument,
    output: OutputOption = None,
    model: ModelOption = "en_elmo_sm",
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="ATTRIBUTE",
            help="What the colours show, such as token.pos_, doc.cats or doc.user_data.KEY (a key of .jsonl lines); by "
            "default the clusters that are found",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=3, help="The number of occurrences to show, from the beginning")
    ] = 500,
    umap: Annotated[bool, typer.Option("--umap", help="Project by UMAP instead of PCA; needs umap-learn")] = False,
    format: FormatOption = None,
) -> None:
    """Show every occurrence of a word as a point, in each layer.

    In layer 0 all points are the same, because it has no context. In the layers above, a point depends on the sentence.

    \b
    Examples:
      python -m spacy elmo explain senses match texts/ --output match.html
      python -m spacy elmo explain senses run tagged.spacy --by token.pos_ --output run.html
    """
    with failing():
        from ..checkpoints import load_bilm
        from ..explain import find_occurrences, find_senses
        from ..explain.texts import one_word, read_docs, text_settings

        settings = text_settings(model, format)
        docs = read_docs(corpus, settings)
        found = list(islice(find_occurrences(docs, one_word(word, settings), by), limit + 1))
        if len(found) > limit:
            msg.warn(f"{word!r} stands there more often; these are the first {limit:,}. --limit shows more.")
        bilm = load_bilm(model)
        method: Any = "umap" if umap else "pca"
        write_page(find_senses(bilm, word, found[:limit], labelled_by=by or "cluster", method=method), output)


def layers(
    pipelines: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PIPELINE…]",
            help="Trained pipelines, to show the mix of layers that each learned",
            show_default=False,
        ),
    ] = None,
    texts: Annotated[
        list[Path] | None,
        typer.Option("--texts", "-t", help="Texts, to measure how far each layer moves words", show_default=False),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(
            "--probes",
            help="What each layer knows: the JSON file of `python -m experiments.layers`",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = None,
    model: ModelOption = "en_elmo_sm",
    min_count: Annotated[
        int, typer.Option("--min-count", min=2, help="Leave out words that occur in fewer sentences")
    ] = 5,
    format: FormatOption = None,
) -> None:
    """Show how components mix the layers, and what each layer does.

    \b
    Examples:
      python -m spacy elmo explain layers training/ner/model-best --texts heldout.txt --output layers.html
    """
    with failing():
        from ..checkpoints import load_bilm
        from ..corpus.sentences import read_sentences
        from ..explain import LayerReport, learned_mixes, measure_movement
        from ..explain.layers import read_probes
        from ..explain.texts import text_settings

        mixes = [mix for path in pipelines or () for mix in learned_mixes(load_pipeline(path))]
        movement = None
        if texts:
            sentences = list(read_sentences(texts, text_settings(model, format)))
            movement = measure_movement(load_bilm(model), sentences, min_count)
        found = LayerReport(tuple(mixes), movement, None if probes is None else read_probes(probes))
        write_page(found, output)


def importance(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE", help="A trained pipeline", show_default=False)],
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text to decide about", show_default=False)],
    output: OutputOption = None,
    component: Annotated[
        str | None,
        typer.Option(
            "--component",
            "-c",
            help="The component to explain; by default the first textcat or ner that reads ELMo",
            show_default=False,
        ),
    ] = None,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            "--background",
            help="Texts whose mean word vector stands for a word that says nothing; by default TEXT",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Show which words made a text category or an entity.

    \b
    Examples:
      python -m spacy elmo explain importance training/ner/model-best "She flew to Bergen." --output why.html
    """
    with failing():
        from ..corpus.tokenize import TextSettings
        from ..explain import explain_decisions
        from ..explain.decisions import first_decider
        from ..explain.texts import read_docs

        nlp = load_pipeline(pipeline)
        settings = TextSettings({"nlp": {"lang": nlp.lang}})
        words = [token.text for doc in read_docs(background, settings) for token in doc] if background else None
        found = explain_decisions(nlp, component or first_decider(nlp), nlp(text), background=words)
        write_page(found, output)


LanguageModelOption = Annotated[
    str, typer.Option("--model", "-m", metavar="MODEL", help="A model with its softmax, such as `pretrain` writes")
]


def surprisal(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="One or more sentences", show_default=False)],
    output: OutputOption = None,
    model: LanguageModelOption = "en_elmo_sm",
) -> None:
    """Show how little the model expected each word of a text.

    For each word, the page also has the words that the model expected instead.

    \b
    Examples:
      python -m spacy elmo explain surprisal "He struck a match and lit the candle." --output surprisal.html
    """
    with failing():
        from ..explain import measure_surprisal
        from ..explain.texts import split_text, text_settings
        from ..language import load_language_model

        language_model = load_language_model(model)
        write_page(measure_surprisal(language_model, split_text(text, text_settings(model))), output)


def cloze(
    text: Annotated[
        str, typer.Argument(metavar="TEXT", help="A sentence with ___ instead of one word", show_default=False)
    ],
    output: OutputOption = None,
    model: LanguageModelOption = "en_elmo_sm",
) -> None:
    """Show which words the model expects in a gap.

    From the words before the gap, from the words after it, and from both.

    \b
    Examples:
      python -m spacy elmo explain cloze "He struck a ___ and lit the candle." --output cloze.html
    """
    with failing():
        from ..explain import fill_gap
        from ..explain.texts import split_gap, text_settings
        from ..language import load_language_model

        language_model = load_language_model(model)
        write_page(fill_gap(language_model, *split_gap(text, text_settings(model))), output)


def unexpected(
    corpus: CorpusArgument,
    output: OutputOption = None,
    model: LanguageModelOption = "en_elmo_sm",
    n: Annotated[int, typer.Option("-n", min=1, help="How many words to show")] = 50,
    format: FormatOption = None,
) -> None:
    """Show the words of texts that the model expects least.

    These are often typing errors, wrong words, names and new words.

    \b
    Examples:
      python -m spacy elmo explain unexpected reports/ -n 100 --output unexpected.html
    """
    with failing():
        from ..corpus.sentences import read_sentences
        from ..explain import least_expected
        from ..explain.texts import text_settings
        from ..language import load_language_model

        language_model = load_language_model(model)
        write_page(
            least_expected(language_model, list(read_sentences(corpus, text_settings(model, format))), n), output
        )


def similarity(
    one: Annotated[str, typer.Argument(metavar="SENTENCE", help="The first sentence: the rows", show_default=False)],
    other: Annotated[
        str, typer.Argument(metavar="SENTENCE", help="The second sentence: the columns", show_default=False)
    ],
    output: OutputOption = None,
    model: ModelOption = "en_elmo_sm",
) -> None:
    """Compare two sentences, and their words, in each layer.

    \b
    Examples:
      python -m spacy elmo explain similarity "He lit a match." "They won the match." --output similarity.html
    """
    with failing():
        from ..checkpoints import load_bilm
        from ..explain import compare
        from ..explain.texts import split_words, text_settings, word_frequencies

        settings = text_settings(model)
        first, second = (split_words(text, settings) for text in (one, other))
        write_page(compare(load_bilm(model), first, second, word_frequencies(model)), output)


def bias(output: OutputOption = None, model: LanguageModelOption = "en_elmo_sm") -> None:
    """Show which jobs the model expects men or women to do.

    For English models. The page has confidence intervals, which are wide.

    \b
    Examples:
      python -m spacy elmo explain bias --output bias.html
    """
    with failing():
        from ..explain import measure_bias
        from ..language import load_language_model

        write_page(measure_bias(load_language_model(model)), output)


explain_cli.command("senses")(senses)
explain_cli.command("layers")(layers)
explain_cli.command("importance")(importance)
explain_cli.command("surprisal")(surprisal)
explain_cli.command("cloze")(cloze)
explain_cli.command("unexpected")(unexpected)
explain_cli.command("similarity")(similarity)
explain_cli.command("bias")(bias)
