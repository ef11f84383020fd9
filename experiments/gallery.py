"""Build the gallery: every page of `python -m spacy elmo explain`, from the embedded model and the demo pipelines.

    python -m experiments.gallery [--probes metrics/layers.json] [--output docs/gallery] [--images docs/images]

The workflow `gallery` of project.yml trains and measures before what this needs. The pictures are for the README, light
and dark.
"""

import argparse
import json
from html import escape
from pathlib import Path
from typing import Any

import spacy

from spacy_elmo import load_language_model
from spacy_elmo.explain import (
    LayerReport,
    Occurrence,
    UnexpectedWords,
    compare,
    explain_decisions,
    fill_gap,
    find_senses,
    learned_mixes,
    least_expected,
    measure_bias,
    measure_movement,
    measure_surprisal,
    render,
)
from spacy_elmo.explain.layers import read_probes
from spacy_elmo.explain.pages import charts, theme
from spacy_elmo.explain.pages.layers import probes_chart
from spacy_elmo.explain.pages.senses import senses_picture
from spacy_elmo.explain.pages.shell import Page, html
from spacy_elmo.similarity import WordFrequencies

from .datasets import read_conllu, read_docs, read_senses
from .unexpected import with_errors

PROBES = Path("assets/probes")
NER = Path("training/demo-ner/elmo-100pct-seed0/model-best")
TEXTCAT = Path("training/demo-textcat/elmo-100pct-seed0/model-best")
WORD = "match"
STORY = ("He struck a match and lit the candle .", "She asked the umbrella for a loan to open a bakery .")
PAIR = ("He struck a match and lit the candle .", "They won the match in extra time .")


def occurrences() -> list[Occurrence]:
    return [
        Occurrence(tuple(one.sentence), one.position, one.sense.rpartition(".")[2])
        for one in read_senses(PROBES / "senses.jsonl")
        if one.word == WORD
    ]


def found(probes: Path) -> dict[str, tuple[str, Any]]:
    """The title of each page, and what it shows."""
    model = load_language_model("en_elmo_sm", "cpu")
    ner, textcat = spacy.load(NER), spacy.load(TEXTCAT)
    texts = [doc.text for doc in read_docs(Path("corpus/demo/test.spacy"))]
    pos = [sentence.words for sentence in read_conllu(PROBES / "pos.conllu")]
    mixes = (*learned_mixes(ner), *learned_mixes(textcat))
    changed, is_error = with_errors([words.split() for words in sentences()], model.vocabulary, 0.03)
    unexpected = least_expected(model, changed, 40)
    background = [token.text for text in texts for token in ner.make_doc(text)]
    compared = compare(model.bilm, PAIR[0].split(), PAIR[1].split(), WordFrequencies.of_vocabulary(model.vocabulary))
    with_entities = next(doc for doc in ner.pipe(texts) if len(doc.ents) > 1)
    return {
        "senses": (
            "The senses of a word",
            find_senses(model.bilm, WORD, occurrences(), labelled_by="sense"),
        ),
        "layers": (
            "What each layer holds",
            LayerReport(mixes, measure_movement(model.bilm, pos, 5), read_probes(probes)),
        ),
        "importance-ner": (
            "Which words made an entity",
            explain_decisions(ner, "ner", with_entities, background=background),
        ),
        "importance-textcat": (
            "Which words made a category",
            explain_decisions(textcat, "textcat", textcat(texts[0]), background=background),
        ),
        "surprisal": ("How expected each word is", measure_surprisal(model, [text.split() for text in STORY])),
        "cloze": ("What stands in a gap", fill_gap(model, ["He", "struck", "a"], ["and", "lit", "the", "candle", "."])),
        "unexpected": (
            f"Errors that were put in, by what is least expected: {n_errors(unexpected, changed, is_error)} of the "
            f"first {len(unexpected.found)}",
            unexpected,
        ),
        "similarity": ("Two sentences, word by word", compared),
        "bias": ("Who does which work", measure_bias(model)),
    }


def sentences() -> list[str]:
    """Of the probes, in which errors are put."""
    return [json.loads(line)["text"] for line in (PROBES / "senses.jsonl").read_text("utf8").splitlines()]


def n_errors(unexpected: UnexpectedWords, changed: list[list[str]], is_error: list[bool]) -> int:
    """How many of the words that were found are errors."""
    places = [(tuple(words), i) for words in changed for i in range(len(words))]
    errors = {place for place, wrong in zip(places, is_error, strict=True) if wrong}
    return sum((one.occurrence.words, one.occurrence.position) in errors for one in unexpected.found)


def index(pages: dict[str, tuple[str, Any]]) -> str:
    items = "".join(
        f'<tr><td><a href="{name}.html">{escape(title)}</a></td>'
        f"<td><code>explain {name.partition('-')[0]}</code></td></tr>"
        for name, (title, _) in pages.items()
    )
    lead = (
        "What the embedded English model sees, and what the pipelines of the demo decided. Each page is one file, made "
        "by <code>python -m spacy elmo explain PAGE --output FILE.html</code>."
    )
    return html(Page("Gallery", "See what ELMo sees", lead, f"<table>{items}</table>"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--probes", type=Path, default=Path("metrics/layers.json"))
    parser.add_argument("--output", type=Path, default=Path("docs/gallery"))
    parser.add_argument("--images", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    pages = found(arguments.probes)
    for directory in (arguments.output, arguments.images):
        directory.mkdir(parents=True, exist_ok=True)
    for name, (_, what) in pages.items():
        (arguments.output / f"{name}.html").write_text(str(render(what, jupyter=False)), "utf8")
    (arguments.output / "index.html").write_text(index(pages), "utf8")
    pictures = {
        "match": senses_picture(pages["senses"][1]),
        "layers": probes_chart(pages["layers"][1].probes, charts.WIDE),
    }
    for name, chart in pictures.items():
        for scheme, colours in (("light", theme.LIGHT), ("dark", theme.DARK)):
            picture = charts.picture(chart, colours)
            (arguments.images / f"{name}-{scheme}.svg").write_text(f"{picture}\n", "utf8")
            (arguments.images / f"{name}-{scheme}.png").write_bytes(charts.png(picture))


if __name__ == "__main__":
    main()
