"""The nearest contextual neighbours of a word."""

import json
from pathlib import Path

import numpy as np
import pytest

from spacy_elmo import BiLM
from spacy_elmo.disk import TakenError
from spacy_elmo.explain import ExplainError, NeighbourIndex, kept_index, neighbours
from spacy_elmo.explain.texts import split_marked, text_settings
from tests.cli.helpers import assert_fails, elmo
from tests.conftest import random_bilm

TEXTS = ("the match was lost", "a match burns", "strike Match one", "no", "boxes of wood")
SENTENCES = [text.split() for text in TEXTS]
QUERY = ["the", "match", "burns"]


def by_hand(bilm: BiLM, layer: int) -> list[tuple[float, int, int]]:
    """Cosine, sentence and position of all words, the nearest first."""
    query = bilm.embed([QUERY])[0][layer, 1]
    found = [
        (float(query @ array[layer, i] / np.linalg.norm(query) / np.linalg.norm(array[layer, i])), row, i)
        for row, array in enumerate(bilm.embed(SENTENCES))
        for i in range(array.shape[1])
    ]
    return sorted(found, reverse=True)


@pytest.mark.parametrize("layer", [1, -1])
def test_neighbours_are_the_words_of_the_largest_cosine(tiny_bilm: BiLM, layer: int) -> None:
    index = NeighbourIndex.build(tiny_bilm, SENTENCES, layer)
    found = index.nearest(tiny_bilm, QUERY, 1, n=6)
    for one, (cosine, row, i) in zip(found, by_hand(tiny_bilm, layer), strict=False):
        assert one.cosine == pytest.approx(cosine, abs=1e-5)
        assert (one.occurrence.words, one.occurrence.position) == (tuple(SENTENCES[row]), i)
    assert len(found) == 6
    assert len(index.nearest(tiny_bilm, QUERY, 1, n=99)) == sum(map(len, SENTENCES))


def test_other_forms_can_be_asked_for(tiny_bilm: BiLM) -> None:
    found = NeighbourIndex.build(tiny_bilm, SENTENCES).nearest(tiny_bilm, QUERY, 1, n=9, other_forms=True)
    assert len(found) == 9
    assert not any(one.occurrence.word.lower() == "match" for one in found)


def test_a_large_corpus_is_searched_by_a_graph(
    tiny_bilm: BiLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("usearch", reason="needs usearch, of the extra 'neighbours'")
    exact = NeighbourIndex.build(tiny_bilm, SENTENCES).nearest(tiny_bilm, QUERY, 1, n=5)
    monkeypatch.setattr(neighbours, "MAX_EXACT", 3)
    kept_index(tmp_path / "index", tiny_bilm, SENTENCES)
    index = NeighbourIndex.load(tmp_path / "index")
    assert index._graph is not None
    found = index.nearest(tiny_bilm, QUERY, 1, n=5)
    assert [one.occurrence for one in found] == [one.occurrence for one in exact]
    assert [one.cosine for one in found] == pytest.approx([one.cosine for one in exact], abs=1e-4)


def test_an_index_is_kept_until_model_texts_or_layer_change(tiny_bilm: BiLM, tmp_path: Path) -> None:
    directory = tmp_path / "index"
    first = kept_index(directory, tiny_bilm, SENTENCES)
    written = (directory / "vectors.npy").stat().st_mtime_ns
    again = kept_index(directory, tiny_bilm, SENTENCES)
    assert (directory / "vectors.npy").stat().st_mtime_ns == written
    assert again.nearest(tiny_bilm, QUERY, 1) == first.nearest(tiny_bilm, QUERY, 1)
    other = random_bilm(seed=1)
    for bilm, sentences, layer in ((tiny_bilm, SENTENCES, 1), (tiny_bilm, SENTENCES[1:], 1), (other, SENTENCES[1:], 1)):
        made = kept_index(directory, bilm, sentences, layer)
        assert made.facts != first.facts
        assert NeighbourIndex.load(directory).facts == made.facts
        first = made


def test_what_is_no_index_or_has_no_words_is_refused(tiny_bilm: BiLM, tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text("{}")
    with pytest.raises(ExplainError, match="not an index"):
        NeighbourIndex.load(tmp_path)
    with pytest.raises(ExplainError, match="no words"):
        NeighbourIndex.build(tiny_bilm, [[]])


def test_a_directory_of_something_else_is_not_replaced(tiny_bilm: BiLM, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    mine = tmp_path / "texts" / "mine.txt"
    mine.write_text("mine")
    for taken in (mine.parent, mine):
        with pytest.raises(ExplainError, match=r"facts\.json: .* name one that is not there yet"):
            kept_index(taken, tiny_bilm, SENTENCES)
    with pytest.raises(TakenError, match="not empty"):
        NeighbourIndex.build(tiny_bilm, SENTENCES).save(mine.parent)
    assert mine.read_text() == "mine"


def test_a_word_is_marked_by_stars() -> None:
    settings = text_settings("en_elmo_sm")
    assert split_marked("He lit a *match*.", settings) == (["He", "lit", "a", "match", "."], 3)
    for text in ("no star", "*two words*", "a * b"):
        with pytest.raises(ExplainError, match="before and after the one word"):
            split_marked(text, settings)


def test_the_command_prints_sentences_or_json(tmp_path: Path, tiny_source: str) -> None:
    (tmp_path / "a.txt").write_text("\n".join(map(" ".join, SENTENCES)), "utf8")
    call = [tmp_path / "a.txt", "the *match* burns", "--model", tiny_source, "--format", "tokens", "-n", "2"]
    result = elmo("neighbours", *call, "--json", "--index", tmp_path / "index")
    assert result.code == 0, result.text
    first = json.loads(result.output.splitlines()[0])
    assert first["words"][first["position"]] == "match"
    assert (tmp_path / "index" / "facts.json").exists()
    assert_fails(elmo("neighbours", *call, "--layer", "7"), "--layer 7", "layers 0 to 2")
