"""The models that come with the package, and what their cards say of them."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from thinc.api import Config

import spacy_elmo
from spacy_elmo import BiLMConfig, load_bilm
from spacy_elmo.checkpoints import embedded_models
from tests.conftest import shared

ASSETS = Path(spacy_elmo.__file__).parent / "assets"
TEXTS = {"en_elmo_sm": "pretrain", "ja_elmo_sm": "pretrain_ja"}
every_model = pytest.mark.parametrize("name", TEXTS)
MEGABYTE = 1_000_000


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_the_embedded_models() -> None:
    assert embedded_models() == list(TEXTS)


@every_model
def test_they_are_small(name: str) -> None:
    assert sum(path.stat().st_size for path in (ASSETS / name).iterdir()) < 25 * MEGABYTE
    vectors = [ASSETS / name / file for file in ("config.json", "model.safetensors", "lexicon.json")]
    assert sum(path.stat().st_size for path in vectors if path.exists()) < 8 * MEGABYTE


@every_model
def test_their_shape_is_that_of_their_pretraining(name: str) -> None:
    config = Config().from_disk(ASSETS / name / "pretraining.cfg")
    assert load_bilm(name, "cpu").config == BiLMConfig.from_dict({**BiLMConfig().to_dict(), **config["model"]})


@every_model
def test_the_manifest_names_texts_and_no_places(name: str) -> None:
    manifest = json.loads((ASSETS / name / "corpus.json").read_text("utf8"))
    sources = [source for part in manifest["sources"].values() for source in part]
    assert sources
    for source in sources:
        assert source["path"] == Path(source["path"]).name
        assert len(source["sha256"]) == 64
        assert source["size"] > 0


@every_model
def test_the_manifest_is_that_of_the_shared_texts(name: str) -> None:
    texts = shared("data", TEXTS[name])
    manifest = json.loads((ASSETS / name / "corpus.json").read_text("utf8"))
    for source in manifest["sources"]["heldout"]:
        assert sha256((texts / source["path"]).read_bytes()).hexdigest() == source["sha256"]


@every_model
def test_the_card_says_what_the_files_say(name: str) -> None:
    card = (ASSETS / name / "README.md").read_text("utf8")
    bilm = load_bilm(name, "cpu")
    training = json.loads((ASSETS / name / "training.json").read_text("utf8"))
    curve = [json.loads(line) for line in (ASSETS / name / "curve.jsonl").read_text("utf8").splitlines()]
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


SENTENCES = {
    # A game, twice, and a stick to light a fire with.
    "en_elmo_sm": (
        "match",
        "The match ended in a draw after extra time .",
        "Fans left the stadium before the match was over .",
        "He struck a match and lit the candle .",
        "She used her last match to light the stove .",
    ),
    # A book, twice, and the word that long things are counted with.
    "ja_elmo_sm": (
        "本",
        "図書館 で 本 を 借り た 。",
        "寝る 前 に 本 を 読む 。",
        "鉛筆 を 三 本 買っ た 。",
        "道 に 木 が 二 本 立っ て いる 。",
    ),
}


@every_model
def test_a_words_vector_depends_on_its_sentence(name: str) -> None:
    word, *sentences = SENTENCES[name]
    words = [sentence.split() for sentence in sentences]
    layers = load_bilm(name, "cpu").embed(words)
    one, as_one, other, as_other = (
        array[-1, sentence.index(word)] for array, sentence in zip(layers, words, strict=True)
    )
    across = [cosine(a, b) for a in (one, as_one) for b in (other, as_other)]
    assert min(cosine(one, as_one), cosine(other, as_other)) > max(across)


def test_words_that_the_lexicon_lacks_are_read_by_their_characters() -> None:
    bilm = load_bilm("ja_elmo_sm", "cpu")
    words = ["桜ヶ丘市", "三条市", "七十三"]
    assert bilm.lexicon is not None
    assert bilm.lexicon.words is not None
    assert not set(words) & set(bilm.lexicon.words)
    town, other_town, number = (array[0, 0] for array in bilm.embed([[word] for word in words]))
    assert cosine(town, other_town) > cosine(town, number)
