import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from spacy_elmo import BiLM, load_bilm, save_bilm
from spacy_elmo.checkpoints.published import catalogue
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from tests.checkpoints.test_archives import write_archive
from tests.cli.helpers import assert_fails, elmo
from tests.conftest import TINY
from tests.manylangs import random_model

FACTS = {
    "step": 1200,
    "epoch": 3,
    "n_words": 10_000_000,
    "heldout": {"forward": 41.5, "backward": 43.25},
    "device": "cpu",
}
WORDS = ["<S>", "</S>", "<UNK>", "the", "naïve"]


@pytest.fixture
def trained(tmp_path: Path, tiny_bilm: BiLM) -> Path:
    """A model with what training leaves beside it."""
    directory = save_bilm(tiny_bilm, tmp_path / "trained")
    (directory / "vocabulary.json").write_text(json.dumps(WORDS), encoding="utf8")
    (directory / "training.json").write_text(json.dumps(FACTS), encoding="utf8")
    (directory / "softmax.safetensors").write_bytes(b"12345")
    return directory


def facts_of(*arguments: str | Path) -> dict[str, Any]:
    result = elmo("info", *arguments, "--json")
    assert result.code == 0, result.text
    return json.loads(result.output)


def test_an_embedded_model() -> None:
    facts = facts_of("en_elmo_sm")
    assert (facts["format"], facts["dtype"], facts["width"], facts["layers"]) == ("native", "float16", 256, 3)
    parameters = facts["parameters"]
    assert parameters["total"] == sum(parameters[part] for part in ("char_cnn", "forward_lstms", "backward_lstms"))
    assert facts["vocabulary_size"] == 40_000
    assert facts["training"]["tokens"] > 10_000_000
    for path, size in facts["files"].items():
        assert Path(path).stat().st_size == size


def test_a_trained_model(trained: Path) -> None:
    facts = facts_of(trained)
    assert facts["config"] == json.loads(json.dumps(TINY.to_dict()))
    assert facts["dtype"] == "float32"
    # Of the dimensions in TINY: characters, convolutions, a highway of 18, projection; cells of 10 and outputs of 6.
    char_cnn = 262 * 5 + (1 * 4 + 2 * 6 + 3 * 8) * 5 + 18 + 2 * (18 * 18 + 18) + 18 * 6 + 6
    lstms = 2 * (4 * 10 * 12 + 4 * 10 + 6 * 10)
    assert facts["parameters"] == {
        "char_cnn": char_cnn,
        "forward_lstms": lstms,
        "backward_lstms": lstms,
        "total": char_cnn + 2 * lstms,
    }
    assert facts["vocabulary_size"] == 5
    assert facts["training"] == FACTS
    names = ["config.json", "model.safetensors", "vocabulary.json", "softmax.safetensors", "training.json"]
    assert facts["files"] == {str(trained / name): (trained / name).stat().st_size for name in names}


def test_a_trained_model_for_people(trained: Path) -> None:
    result = elmo("info", trained)
    assert result.code == 0
    for words in (
        "native, stored as float32",
        "3 layers, 12 wide",
        "4 of width 1, 6 of width 2, 8 of width 3",
        "5 words",
        "softmax.safetensors 5 bytes",
        "step 1200",
        "device cpu",
        '{"forward": 41.5, "backward": 43.25}',
    ):
        assert words in result.text


@pytest.mark.parametrize("as_pair", [False, True])
def test_an_allennlp_model(tmp_path: Path, as_pair: bool) -> None:
    options, weights = write_pair(tmp_path, OPTIONS, WEIGHTS, prefix="small_")
    facts = facts_of(options, "--weights", weights) if as_pair else facts_of(tmp_path)
    assert (facts["format"], facts["dtype"], facts["width"]) == ("allennlp", "float32", 10)
    assert facts["files"] == {str(path): path.stat().st_size for path in (options, weights)}


def test_clips_of_none_are_shown(tmp_path: Path) -> None:
    options = {**OPTIONS, "lstm": {**OPTIONS["lstm"], "cell_clip": None, "proj_clip": 0.5}}
    write_pair(tmp_path, options, WEIGHTS)
    assert "cells none, outputs 0.5" in elmo("info", tmp_path).text


def test_a_source_that_names_nothing() -> None:
    assert_fails(elmo("info", "en_elmo_xl"), "'en_elmo_xl' names no ELMo model", "en_elmo_sm")


def test_a_damaged_model(trained: Path) -> None:
    path = trained / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert_fails(elmo("info", trained, "--json"), "model.safetensors: not a whole safetensors file")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocabulary.json", "{}", "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", '["<S>", 7]', "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", "null", "vocabulary.json: not a vocabulary, which is a JSON list of words"),
        ("vocabulary.json", '["the", "a"]', "its first words are ['the', 'a'] and not ['<S>', '</S>', '<UNK>']"),
        ("vocabulary.json", '["<S>"', "vocabulary.json: not readable as JSON"),
        ("training.json", "[1]", "training.json: not the facts of a training"),
        ("training.json", "null", "training.json: not the facts of a training"),
        ("training.json", "", "training.json: not readable as JSON"),
    ],
)
def test_a_damaged_companion_is_named(trained: Path, name: str, content: str, message: str) -> None:
    (trained / name).write_text(content, encoding="utf8")
    assert_fails(elmo("info", trained), message)


# What is known of a model beyond its files


def test_an_embedded_models_facts() -> None:
    facts = facts_of("en_elmo_sm")
    assert (facts["family"], facts["languages"], facts["licence"]) == ("spacy-elmo", ["en"], "MIT")
    path = next(path for path in facts["files"] if path.endswith(".safetensors"))
    assert facts["sha256"] == sha256(Path(path).read_bytes()).hexdigest()
    text = elmo("info", "en_elmo_sm").text
    for words in ("Family spacy-elmo", "Languages en", "Licence MIT", f"SHA-256 {facts['sha256']} (parameters)"):
        assert words in text


def test_a_model_that_was_trained_here_is_of_our_family_with_a_lexicon_too() -> None:
    """What another code's model becomes in our format, without facts of a training, is still that code's."""
    facts = facts_of("ja_elmo_sm")
    assert (facts["family"], facts["lexicon"]["words"]) == ("spacy-elmo", 16000)


def test_what_a_model_says_of_itself_is_told_where_the_catalogue_does_not_know_it(trained: Path) -> None:
    (trained / "training.json").write_text(json.dumps({**FACTS, "language": "da", "licence": "CC0"}), "utf8")
    facts = facts_of(trained)
    assert (facts["languages"], facts["licence"]) == (["da"], "CC0")


def test_nothing_is_made_up_of_an_unknown_model(trained: Path) -> None:
    facts = facts_of(trained)
    assert facts["sha256"] == sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    assert "licence" not in facts
    assert "Languages not known Licence not known" in elmo("info", trained).text


@pytest.mark.parametrize("given", ["elmo.zip", "small_options.json", "small_weights.hdf5"])
def test_archives_and_single_files(tmp_path: Path, given: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS, prefix="small_")
    write_archive(tmp_path / "elmo.zip", {path.name: path.read_bytes() for path in pair})
    facts = json.loads(elmo("info", tmp_path / given, "--json", environment=cache_in(tmp_path)).output)
    assert (facts["format"], facts["width"]) == ("allennlp", 10)
    assert facts["sha256"] == sha256(pair[1].read_bytes()).hexdigest()
    assert [Path(path).name for path in facts["files"]] == [path.name for path in pair]


def cache_in(directory: Path) -> dict[str, str]:
    return {"SPACY_ELMO_CACHE": str(directory / "cache")}


def test_a_published_model_that_is_not_here(tmp_path: Path) -> None:
    result = elmo("info", "original", environment=cache_in(tmp_path))
    assert result.code == 0, result.text
    for words in (
        "Vectors 3 layers, 1,024 wide",
        "Parameters 93,600,000",
        "elmo_2x4096_512_2048cnn_2xhighway_weights.hdf5",
        "Licence not stated",
        "Tokenisation Moses",
        "Facts from https://allennlp.org/elmo",
        "It is not on this machine. Fetch it with: python -m spacy elmo download original",
    ):
        assert words in result.text
    facts = json.loads(elmo("info", "original", "--json", environment=cache_in(tmp_path)).output)
    assert (facts["name"], facts["width"]) == ("original", 1024)


def test_the_list_of_models(tmp_path: Path) -> None:
    (tmp_path / "cache" / "models" / "medium").mkdir(parents=True)
    models = json.loads(elmo("info", "--all", "--json", environment=cache_in(tmp_path)).output)
    assert [model["name"] for model in models] == list(catalogue())
    assert {model["name"] for model in models if model["here"]} == {"en_elmo_sm", "ja_elmo_sm", "medium"}
    lines = elmo("info", "--all", environment=cache_in(tmp_path)).output.splitlines()
    rows = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert set(catalogue()) <= set(rows)
    assert rows["small"] == ["small", "en", "bilm-tf", "3", "256", "13,600,000", "not", "stated"]
    assert rows["medium"][-1] == "yes"
    assert rows["ja_elmo_sm"][:3] == ["ja_elmo_sm", "ja", "spacy-elmo"]
    assert rows["nlpl-217"] == ["nlpl-217", "no", "bilm-tf", "3", "?", "?", "not", "known"]


def test_without_a_source_models_are_listed(tmp_path: Path) -> None:
    result = elmo("info", environment=cache_in(tmp_path))
    assert result.code == 0
    assert result.output == elmo("info", "--all", environment=cache_in(tmp_path)).output


def test_a_source_or_all() -> None:
    result = elmo("info", "en_elmo_sm", "--all")
    assert result.code == 2
    assert "Give either a SOURCE or --all." in result.text


# Models with a lexicon

# Characters, convolutions, two highways of 12; words; and the projection of 12 and 7.
_CHARACTERS, _CONVOLUTIONS, _HIGHWAYS = 5, (1 * 4 + 2 * 3 + 3 * 5) * 5 + 12, 2 * 2 * (12 * 12 + 12)


def test_a_model_of_elmoformanylangs(tmp_path: Path) -> None:
    reference = random_model(tmp_path / "model").reference
    n_words, n_characters = len(reference.words), len(reference.characters)
    facts = facts_of(tmp_path / "model")
    assert (facts["format"], facts["family"], facts["dtype"]) == ("manylangs", "ELMoForManyLangs", "float32")
    assert facts["lexicon"] == {"words": n_words, "characters": n_characters}
    encoder = n_words * 7 + n_characters * _CHARACTERS + _CONVOLUTIONS + _HIGHWAYS + 19 * 6 + 6
    lstms = 2 * (4 * 10 * 12 + 4 * 10 + 6 * 10)
    assert facts["parameters"]["lexicon_encoder"] == encoder
    assert facts["parameters"]["total"] == encoder + 2 * lstms
    names = ["char.dic", "cnn.json", "config.json", "encoder.pkl", "token_embedder.pkl", "word.dic"]
    assert [Path(path).name for path in facts["files"]] == names
    content = b"".join((tmp_path / "model" / f"{name}.pkl").read_bytes() for name in ("token_embedder", "encoder"))
    assert facts["sha256"] == sha256(content).hexdigest()
    text = elmo("info", tmp_path / "model").text
    for words in (
        "Family ELMoForManyLangs",
        "Vectors 3 layers, 12 wide",
        f"Lexicon {n_words} words, {n_characters} characters",
        "Words 7 wide",
        "Characters 50 a word, 5 wide",
        f"lexicon encoder {encoder:,}",
    ):
        assert words in text


def test_a_lexicon_of_words_alone_in_the_native_format(tmp_path: Path) -> None:
    random_model(tmp_path / "model", char_dim=0)
    native = save_bilm(load_bilm(tmp_path / "model", device="cpu"), tmp_path / "native")
    facts = facts_of(native)
    assert (facts["format"], facts["family"]) == ("native", "ELMoForManyLangs")
    assert [Path(path).name for path in facts["files"]] == ["config.json", "lexicon.json", "model.safetensors"]
    text = elmo("info", native).text
    assert "Lexicon 14 words, 0 characters" in text
    assert "Filters" not in text
    assert "Highway" not in text
