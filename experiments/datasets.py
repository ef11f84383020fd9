"""The data that experiments are made on. As a command: a labelled data set into spaCy's binary format.

    python -m experiments.datasets FORMAT INPUT OUTPUT [--share 0.1 --seed 0] [--rest OUTPUT2]

FORMAT is "conll" (token TAB tag, as WNUT17), "iob2" (id, token, tag, …, as Universal NER), "jsonl" (text, category,
and spans, as our demo set), "csv" (text,category, as Banking77) or "japanese" (a JSON object a line: text, and entities
as [start, end, type], as Stockmark's; an entity that does not begin and end with Sudachi's tokens is left out). Each
sentence or text becomes one Doc. With --share only that share of them is written, drawn at random by the seed (for
texts with categories from each alike); --rest takes the others. Sentences of one document stay together: apart, they
would tell the one part about the names in the other.
"""

import argparse
import csv
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import biluo_tags_to_spans, iob_to_biluo

Reader = Callable[[Path], Iterator[Doc]]
VOCAB = spacy.blank("xx").vocab


def lines_of(path: Path) -> list[str]:
    """The lines of a text file, without line breaks."""
    if not path.is_file():
        raise SystemExit(f"{path}: no such file.")
    # Not `splitlines`: a form may hold one of the other characters that it splits at.
    return path.read_text("utf8").rstrip("\n").split("\n")


# Labelled texts, as spaCy's Docs


def read_conll(path: Path) -> Iterator[Doc]:
    """A Doc for each sentence: token and tag, split by a tab."""
    return _read_columns(path, token=0, tag=1)


def read_iob2(path: Path) -> Iterator[Doc]:
    """A Doc for each sentence: number, token and tag, split by tabs. `Doc.user_data["document"]` says of which text."""
    return _read_columns(path, token=1, tag=2)


def read_jsonl(path: Path) -> Iterator[Doc]:
    """A Doc for each line, with its category and its entities."""
    nlp = spacy.blank("en")
    for number, line in enumerate(lines_of(path), start=1):
        item = json.loads(line)
        doc = nlp.make_doc(item["text"])
        spans = [doc.char_span(span["start"], span["end"], label=span["label"]) for span in item["spans"]]
        if None in spans:
            raise SystemExit(f"{path}, line {number}: a span does not begin and end with tokens.")
        doc.set_ents([span for span in spans if span is not None])
        doc.cats = {item["category"]: 1.0}
        yield doc


def read_csv(path: Path) -> Iterator[Doc]:
    """A Doc for each row, with its category."""
    nlp = spacy.blank("en")
    with path.open(encoding="utf8", newline="") as file:
        for row in csv.DictReader(file):
            doc = nlp.make_doc(row["text"])
            doc.cats = {row["category"]: 1.0}
            yield doc


def read_japanese(path: Path) -> Iterator[Doc]:
    """A Doc for each line, with its entities. Prints how many are left out, for they are no whole tokens."""
    nlp = spacy.blank("ja")
    n_lost = 0
    for line in lines_of(path):
        item = json.loads(line)
        doc = nlp.make_doc(item["text"])
        spans = [doc.char_span(start, end, label=label) for start, end, label in item["entities"]]
        n_lost += spans.count(None)
        doc.set_ents([span for span in spans if span is not None])
        yield doc
    print(f"{path}: {n_lost} entities are no whole tokens, and left out")


READERS: dict[str, Reader] = {
    "conll": read_conll,
    "iob2": read_iob2,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "japanese": read_japanese,
}


def _read_columns(path: Path, token: int, tag: int) -> Iterator[Doc]:
    words: list[str] = []
    tags: list[str] = []
    document = ""
    for line in [*lines_of(path), ""]:
        if line.startswith("# newdoc"):
            document = line
        elif line.startswith("# "):
            continue
        elif line.strip():
            columns = line.split("\t")
            words.append(columns[token])
            tags.append(columns[tag])
        elif words:
            doc = Doc(VOCAB, words=words)
            doc.set_ents(biluo_tags_to_spans(doc, iob_to_biluo(tags)))
            doc.user_data["document"] = document
            yield doc
            words, tags = [], []


def read_docs(path: Path) -> list[Doc]:
    """The Docs of a .spacy file."""
    if not path.is_file():
        raise SystemExit(f"{path}: no such file. Make it with: python -m experiments.datasets")
    return list(DocBin().from_disk(path).get_docs(VOCAB))


def write_docs(docs: list[Doc], path: Path) -> None:
    """Write a .spacy file, and the folders it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs).to_disk(path)


def split(docs: list[Doc], share: float, seed: int) -> tuple[list[Doc], list[Doc]]:
    """A share of docs and the others: whole documents, of each category alike, and at least one doc."""
    documents = defaultdict(list)
    for number, doc in enumerate(docs):
        documents[doc.user_data.get("document") or number].append(doc)
    by_category = defaultdict(list)
    for group in documents.values():
        cats = group[0].cats
        by_category[max(cats, key=cats.__getitem__, default="")].append(group)
    taken: list[Doc] = []
    left: list[Doc] = []
    for category in sorted(by_category):
        groups = by_category[category]
        random.Random(seed).shuffle(groups)
        wanted = len(taken) + max(1, round(share * sum(map(len, groups))))
        for group in groups:
            (taken if len(taken) < wanted else left).extend(group)
    if len(by_category) > 1:  # who reads the first ones alone is to find all categories
        random.Random(seed).shuffle(taken)
        random.Random(seed).shuffle(left)
    return taken, left


def with_all_categories(docs: list[Doc]) -> list[Doc]:
    """spaCy's text classifier wants every category named on every Doc, with 0 for those that do not apply."""
    categories = sorted({category for doc in docs for category in doc.cats})
    for doc in docs:
        doc.cats = {category: doc.cats.get(category, 0.0) for category in categories}
    return docs


# What the layers of a model are probed with


@dataclass(frozen=True)
class TaggedSentence:
    """Words and the part of speech of each."""

    words: list[str]
    tags: list[str]


@dataclass(frozen=True)
class Occurrence:
    """A word in a sentence, and what it means there."""

    word: str
    sense: str
    sentence: list[str]

    @property
    def position(self) -> int:
        return self.sentence.index(self.word)


def read_conllu(path: Path) -> list[TaggedSentence]:
    """Forms and UPOS tags. Lines of multiword tokens (1-2) and of empty nodes (1.1) are left out, as in scoring."""
    sentences = []
    words: list[str] = []
    tags: list[str] = []
    # With an empty line at the end, which ends the last sentence in a file that lacks it.
    for number, line in enumerate([*lines_of(path), ""], 1):
        if not line.strip():
            if words:
                sentences.append(TaggedSentence(words, tags))
            words, tags = [], []
        elif not line.startswith("#"):
            columns = line.split("\t")
            if len(columns) != 10:
                raise SystemExit(f"{path}, line {number}: CoNLL-U has 10 columns split by tabs, but here: {line!r}.")
            if columns[0].isdecimal():
                words.append(columns[1])
                tags.append(columns[3])
    return sentences


def read_senses(path: Path) -> list[Occurrence]:
    """A JSON object a line with "word", "sense" and "text", words split by spaces."""
    found = []
    for number, line in enumerate(lines_of(path), 1):
        try:
            item = json.loads(line)
            occurrence = Occurrence(item["word"], item["sense"], item["text"].split())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SystemExit(
                f'{path}, line {number}: must be {{"word": …, "sense": …, "text": …}}, but is {line!r}.'
            ) from None
        if occurrence.sentence.count(occurrence.word) != 1:
            raise SystemExit(f"{path}, line {number}: {occurrence.word!r} must stand once in {item['text']!r}.")
        found.append(occurrence)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("format", choices=READERS)
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rest", type=Path)
    arguments = parser.parse_args()
    if not arguments.input.is_file():
        raise SystemExit(f"{arguments.input}: no such file. Fetch it with: python -m spacy project assets")
    docs = with_all_categories(list(READERS[arguments.format](arguments.input)))
    taken, left = split(docs, arguments.share, arguments.seed)
    for path, part in ((arguments.output, taken), (arguments.rest, left)):
        if path is not None:
            write_docs(part, path)
            print(f"{path}: {len(part)} docs, {sum(map(len, part))} tokens, {sum(len(d.ents) for d in part)} entities")


if __name__ == "__main__":
    main()
