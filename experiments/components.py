"""Every trainable component on real data: ELMo against spaCy's default, as `spacy elmo init-config` makes both.

    python -m experiments.components LABELLED [--steps 300] [--only tagger ner] [--optimize accuracy]

LABELLED is a folder with pos/ud_japanese_gsd (CoNLL-U), ner/uner_ewt (IOB2) and textcat/sentiment_sentences (CSV).
Treebanks and Universal NER have no train file there, so their dev set is split into train and dev; test is test. Spans
are the entities; a sentence's categories, of which several may apply, are the types of entities in it. For the entity
linker there is no data. Both systems see the same batches, as many steps, and one seed. A run that was made before is
not repeated. The table goes to metrics/components.md and .json.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import spacy
from spacy.attrs import DEP, HEAD, LEMMA, MORPH, POS, SENT_START, TAG
from spacy.cli.train import train
from spacy.tokens import Doc, Span
from spacy.training import Corpus
from spacy.training.converters import conllu_to_docs

from spacy_elmo.recipes import COMPONENTS, Recipe, as_text

from . import report
from .datasets import read_csv, read_iob2, split, with_all_categories, write_docs

FOLDER = Path("training/components")


@dataclass(frozen=True)
class Task:
    """What a component is trained on, and the score of spaCy's that counts."""

    data: str
    score: str


# Language and biLM of each data set. The treebank's words are split by blanks: spaCy's own tokenizer for Japanese knows
# tags and lemmas, and leaves the components nothing to find.
MODELS = {"treebank": ("xx", "ja_elmo_sm"), "entities": ("en", "en_elmo_sm"), "reviews": ("en", "en_elmo_sm")}
TASKS = {
    "tagger": Task("treebank", "tag_acc"),
    "morphologizer": Task("treebank", "pos_acc"),
    "trainable_lemmatizer": Task("treebank", "lemma_acc"),
    "parser": Task("treebank", "dep_las"),
    "senter": Task("treebank", "sents_f"),
    "ner": Task("entities", "ents_f"),
    "spancat": Task("entities", "spans_sc_f"),
    "spancat_singlelabel": Task("entities", "spans_sc_f"),
    "span_finder": Task("entities", "spans_sc_f"),
    "textcat_multilabel": Task("entities", "cats_macro_auc"),
    "textcat": Task("reviews", "cats_macro_f"),
}
ANNOTATIONS = [TAG, POS, LEMMA, MORPH, HEAD, DEP, SENT_START]


def read_treebank(path: Path) -> Iterator[Doc]:
    """Docs of five sentences, which a senter has to tell apart, with a blank after each word."""
    for doc in conllu_to_docs(path.read_text("utf8"), n_sents=5, no_print=True):
        yield Doc(doc.vocab, words=[token.text for token in doc]).from_array(ANNOTATIONS, doc.to_array(ANNOTATIONS))


def read_entities(path: Path) -> Iterator[Doc]:
    """Sentences with entities, the same as spans, and their types as categories."""
    for doc in read_iob2(path):
        doc.spans["sc"] = [Span(doc, ent.start, ent.end, ent.label_) for ent in doc.ents]
        doc.cats = {ent.label_: 1.0 for ent in doc.ents}
        yield doc


def corpora(labelled: Path) -> dict[str, Path]:
    """The folder of each data set, with train.spacy, dev.spacy and test.spacy."""
    treebank, entities, reviews = (
        labelled / part for part in ("pos/ud_japanese_gsd", "ner/uner_ewt", "textcat/sentiment_sentences")
    )
    return {
        "treebank": convert("treebank", read_treebank, dev=treebank / "dev.conllu", test=treebank / "test.conllu"),
        "entities": convert("entities", read_entities, dev=entities / "dev.iob2", test=entities / "test.iob2"),
        "reviews": convert("reviews", read_csv, **{part: reviews / f"{part}.csv" for part in ("train", "dev", "test")}),
    }


def convert(name: str, read: Callable[[Path], Iterator[Doc]], **files: Path) -> Path:
    """Write the parts of a data set; without a train file, nine tenths of the dev set are it."""
    parts = {part: with_all_categories(list(read(path))) for part, path in files.items()}
    if "train" not in parts:
        parts["train"], parts["dev"] = split(parts["dev"], 0.9, seed=0)
    folder = FOLDER / name
    for part, docs in parts.items():
        write_docs(docs, folder / f"{part}.spacy")
    return folder


def measure(component: str, system: str, corpus: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train one system and give its score on test, or what an earlier call found."""
    task = TASKS[component]
    output = FOLDER / f"{component}-{system}"
    config, found = output / "config.cfg", output / "result.json"
    lang, source = MODELS[task.data]
    recipe = Recipe(
        lang=lang,
        pipeline=(component,),
        optimize=arguments.optimize,
        source=source,
        baseline=system == "default",
    )
    overrides = {
        **{f"paths.{part}": str(corpus / f"{part}.spacy") for part in ("train", "dev")},
        "training.max_steps": arguments.steps,
        "training.eval_frequency": max(1, arguments.steps // 3),
        "training.batcher.size.start": 500,
    }
    text = as_text(recipe, str(config))
    made_of = {"config": text, "overrides": overrides}
    if found.exists() and (before := json.loads(found.read_text("utf8")))["made_of"] == made_of:
        return dict(before)
    output.mkdir(parents=True, exist_ok=True)
    config.write_text(text, "utf8")
    train(config, output, overrides=overrides)
    nlp = spacy.load(output / "model-best")
    scores = nlp.evaluate(list(Corpus(corpus / "test.spacy")(nlp)))
    result = {"component": component, "system": system, **asdict(task), "value": 100 * scores[task.score]}
    found.write_text(json.dumps({**result, "made_of": made_of}, indent=2), "utf8")
    return result


def table(results: list[dict[str, Any]]) -> str:
    """A row for each component, Markdown."""
    values = {(one["component"], one["system"]): one["value"] for one in results}
    rows = []
    for component in dict.fromkeys(one["component"] for one in results):
        default, elmo = (values[component, system] for system in ("default", "elmo"))
        task = TASKS[component]
        rows.append(
            [f"`{component}`", task.data, task.score, f"{default:.1f}", f"{elmo:.1f}", f"{elmo - default:+.1f}"]
        )
    return report.table(["component", "data", "score on test", "default", "ELMo", "difference"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS), metavar="COMPONENT")
    parser.add_argument("--optimize", choices=("efficiency", "accuracy"), default="efficiency")
    arguments = parser.parse_args()
    assert set(TASKS) == set(COMPONENTS) - {"entity_linker"}
    folders = corpora(arguments.labelled)
    results = [
        measure(component, system, folders[TASKS[component].data], arguments)
        for component in arguments.only
        for system in ("default", "elmo")
    ]
    report.write(report.METRICS / "components", table(results), results)


if __name__ == "__main__":
    main()
