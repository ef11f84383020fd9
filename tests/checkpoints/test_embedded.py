"""The model that comes with the package, and what its card says of it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from thinc.api import Config

import spacy_elmo
from spacy_elmo import BiLMConfig, load_bilm
from tests.conftest import shared

DIRECTORY = Path(spacy_elmo.__file__).parent / "assets" / "en_elmo_sm"
MEGABYTE = 1_000_000


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 25 * MEGABYTE


def test_its_shape_is_that_of_its_pretraining() -> None:
    config = Config().from_disk(DIRECTORY / "pretraining.cfg")
    assert load_bilm("en_elmo_sm", "cpu").config == BiLMConfig.from_dict({**BiLMConfig().to_dict(), **config["model"]})


def test_the_manifest_names_texts_and_no_places() -> None:
    manifest = json.loads((DIRECTORY / "corpus.json").read_text("utf8"))
    sources = [source for part in manifest["sources"].values() for source in part]
    assert sources
    for source in sources:
        assert source["path"] == Path(source["path"]).name
        assert len(source["sha256"]) == 64
        assert source["size"] > 0


def test_the_manifest_is_that_of_the_shared_texts() -> None:
    texts = shared("data", "pretrain")
    manifest = json.loads((DIRECTORY / "corpus.json").read_text("utf8"))
    for source in manifest["sources"]["heldout"]:
        assert sha256((texts / source["path"]).read_bytes()).hexdigest() == source["sha256"]


def test_the_card_says_what_the_files_say() -> None:
    card = (DIRECTORY / "README.md").read_text("utf8")
    bilm = load_bilm("en_elmo_sm", "cpu")
    training = json.loads((DIRECTORY / "training.json").read_text("utf8"))
    curve = [json.loads(line) for line in (DIRECTORY / "curve.jsonl").read_text("utf8").splitlines()]
    assert curve[-1]["tokens"] == tokens_seen(training)
    assert f"{sum(parameter.numel() for parameter in bilm.parameters()) / 1e6:.1f} million" in card
    assert f"{tokens_seen(training) / 1e6:.1f} million tokens" in card
    assert f"cell {bilm.config.cell_dim}, projection {bilm.config.projection_dim}" in card
    assert "$" not in card, "a place of the template that was not filled"
    assert "{{" not in card, "a table of the template that was not filled"


def tokens_seen(training: dict[str, Any]) -> int:
    """In this run and in those before."""
    earlier = training.get("earlier")
    return int(training["tokens"]) + (tokens_seen(earlier) if earlier else 0)


def test_a_words_vector_depends_on_its_sentence() -> None:
    sentences = [
        "The match ended in a draw after extra time .",
        "Fans left the stadium before the match was over .",
        "He struck a match and lit the candle .",
        "She used her last match to light the stove .",
    ]
    words = [sentence.split() for sentence in sentences]
    layers = load_bilm("en_elmo_sm", "cpu").embed(words)
    game, other_game, stick, other_stick = (
        array[-1, sentence.index("match")] for array, sentence in zip(layers, words, strict=True)
    )
    across = [cosine(a, b) for a in (game, other_game) for b in (stick, other_stick)]
    assert min(cosine(game, other_game), cosine(stick, other_stick)) > max(across)
