"""Long documents that are made of others, and what reading them costs."""

import argparse
import json
from pathlib import Path

import pytest

from experiments import long_texts
from experiments.cost import cost
from experiments.datasets import read_docs

PARTS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of some hundred words, whose sentences are all different and tell where they are from."""
    folder = tmp_path_factory.mktemp("long_texts")
    for name in ("background", "heldout"):
        lines = (f"Sentence {i} of {name} ends here. Another {i} of {name} follows." for i in range(2000))
        (folder / f"{name}.txt").write_text("\n".join(lines), "utf8")
    for part in PARTS:
        intents = [(topic, intent) for topic, names in long_texts.TOPICS.items() for intent in names.split()]
        items = [
            {"text": f"{part} {topic} {intent} {i}", "label": intent} for topic, intent in intents for i in range(9)
        ]
        items.append({"text": "of no topic", "label": "oos"})
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, items)), "utf8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(long_texts, "SHORTEST", 200)
        patch.setattr(long_texts, "LONGEST", 400)
        patch.setattr(long_texts, "N_DOCUMENTS", {"train": 2, "dev": 1, "test": 1})
        files = {name: [folder / f"{name}.txt"] for name in ("background", "heldout")}
        long_texts.build(argparse.Namespace(**files, queries=folder))
    return folder


def test_a_document_is_of_its_part_s_sentences_and_questions_on_its_topic(folder: Path) -> None:
    seen: set[str] = set()
    for part in PARTS:
        docs = read_docs(folder / "corpus" / "long_texts" / f"{part}.spacy")
        assert len(docs) == len(long_texts.TOPICS) * (2 if part == "train" else 1)
        for doc in docs:
            assert 200 <= len(doc) <= 420
            (topic,) = (name for name, value in doc.cats.items() if value)
            words = [token.text for token in doc]
            ends = [i for i, word in enumerate(words) if word in (".", "?")]
            sentences = [words[i + 1 : j + 1] for i, j in zip([-1, *ends], ends, strict=False)]
            questions = [words for words in sentences if words[-1] == "?"]
            assert questions
            assert all(words[:2] == [part, topic] for words in questions)
            source = "heldout" if part == "test" else "background"
            assert all(source in words for words in sentences if words[-1] == ".")
            read = [" ".join(words) for words in sentences if words[-1] == "."]
            assert not seen & set(read), "no paragraph stands in two documents"
            assert len(set(map(" ".join, questions))) == len(questions)
            seen.update(read)


def test_fewer_sentences_cost_less(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setitem(long_texts.WAYS, "mean of the first 2", {"pool": "mean", "sentences": "first:2"})
    monkeypatch.setattr(long_texts, "cost_apart", cost)
    few, all_of_them = (long_texts.cost_of(way) for way in ("mean of the first 2", "mean of all sentences"))
    assert few["reading"] < all_of_them["reading"]
    assert few["words"] == all_of_them["words"] == sum(map(len, read_docs(long_texts.CORPUS / "test.spacy")))
    results = [{"way": "few", "test": 50.0, "cost": few}]
    assert long_texts.table(results).splitlines()[-1].startswith("| few | 50.0 | ")
