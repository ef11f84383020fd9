import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import Location, embedded_models, locate, published
from spacy_elmo.checkpoints.allennlp import ALLENNLP
from spacy_elmo.checkpoints.manylangs import MANYLANGS
from tests.checkpoints.test_allennlp import OPTIONS, WEIGHTS, message_of, write_pair


def assert_allennlp(bilm: BiLM) -> None:
    """It is the model of WEIGHTS."""
    np.testing.assert_array_equal(bilm.char_cnn.projection.bias.detach(), WEIGHTS["CNN_proj/b_proj"])


def assert_same_parameters(found: BiLM, wanted: BiLM) -> None:
    assert found.config == wanted.config
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor), name


# Sources that name a model


@pytest.mark.parametrize("kind", [str, Path])
def test_a_native_directory(tmp_path: Path, tiny_bilm: BiLM, kind: type) -> None:
    assert_same_parameters(load_bilm(kind(save_bilm(tiny_bilm, tmp_path)), device="cpu"), tiny_bilm)


@pytest.mark.parametrize("prefix", ["", "xyz_", "elmo_2x1024_128_2048cnn_1xhighway_", "lm_"])
def test_an_allennlp_directory(tmp_path: Path, prefix: str) -> None:
    write_pair(tmp_path, OPTIONS, WEIGHTS, prefix)
    (tmp_path / "vocab.txt").write_text("the\n", encoding="utf8")
    assert_allennlp(load_bilm(str(tmp_path), device="cpu"))


@pytest.mark.parametrize("sequence", [list, tuple])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_pair(tmp_path: Path, sequence: type, kind: type) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    renamed = [pair[0].rename(tmp_path / "a.txt"), pair[1].rename(tmp_path / "b")]
    assert_allennlp(load_bilm(sequence(map(kind, renamed)), device="cpu"))


def test_an_embedded_model_by_its_name() -> None:
    assert "en_elmo_sm" in embedded_models()
    config = load_bilm("en_elmo_sm", device="cpu").config
    assert (config.projection_dim, config.cell_dim, config.n_layers) == (128, 512, 2)


def test_a_name_goes_before_a_directory_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bilm: BiLM
) -> None:
    save_bilm(tiny_bilm, tmp_path / "en_elmo_sm")
    monkeypatch.chdir(tmp_path)
    assert load_bilm("en_elmo_sm", device="cpu").config.projection_dim == 128
    for source in ("./en_elmo_sm", Path("en_elmo_sm"), str(tmp_path / "en_elmo_sm")):
        assert_same_parameters(load_bilm(source, device="cpu"), tiny_bilm)


def test_native_files_go_before_allennlps(tmp_path: Path, tiny_bilm: BiLM) -> None:
    save_bilm(tiny_bilm, tmp_path)
    write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert_same_parameters(load_bilm(tmp_path, device="cpu"), tiny_bilm)


PAIRS = [
    ("options.json", "weights.hdf5"),
    ("small_options.json", "small_weights.hdf5"),
    ("options.json", "model.hdf5"),
    ("options.json", "elmo_pt_weights_dgx1.hdf5"),
    ("elmo_2x4_options.json", "elmo_2x4_weights_PubMed_only.hdf5"),
    ("[a] options.json", "[a] weights.hdf5"),
]


def write_named_pair(directory: Path, names: tuple[str, str]) -> list[Path]:
    directory.mkdir(exist_ok=True)
    pair = write_pair(directory, OPTIONS, WEIGHTS, "unnamed_")
    return [path.rename(directory / name) for path, name in zip(pair, names, strict=True)]


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("given", [None, 0, 1])
def test_the_names_of_published_pairs(tmp_path: Path, names: tuple[str, str], given: int | None) -> None:
    pair = write_named_pair(tmp_path, names)
    for name in ("meta.json", "vocab.txt", "vocab.txt.gz", "README"):
        (tmp_path / name).write_bytes(b"{}")
    source = tmp_path if given is None else pair[given]
    assert locate(source) == Location(ALLENNLP, tmp_path, tuple(pair))
    assert_allennlp(load_bilm(source, device="cpu"))


@pytest.mark.parametrize("given", [0, 1])
def test_a_single_file_means_the_pair_of_its_prefix(tmp_path: Path, given: int) -> None:
    write_named_pair(tmp_path, ("b_options.json", "b_weights.hdf5"))
    pair = write_named_pair(tmp_path, ("a_options.json", "a_weights.hdf5"))
    assert locate(str(pair[given])).paths == tuple(pair)


@pytest.mark.parametrize("given", [0, 1])
def test_a_single_file_without_its_sibling(tmp_path: Path, given: int) -> None:
    pair = write_named_pair(tmp_path, ("a_options.json", "a_weights.hdf5"))
    pair[1 - given].unlink()
    assert f"it has no {pair[1 - given].name}" in message_of(pair[given])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_single_native_file(tmp_path: Path, tiny_bilm: BiLM, name: str) -> None:
    assert_same_parameters(load_bilm(save_bilm(tiny_bilm, tmp_path) / name, device="cpu"), tiny_bilm)


def test_a_directory_with_one_directory_of_a_model(tmp_path: Path) -> None:
    pair = write_named_pair(tmp_path / "inner", PAIRS[0])
    (tmp_path / "README").touch()
    (tmp_path / "empty").mkdir()
    assert locate(tmp_path) == Location(ALLENNLP, tmp_path / "inner", tuple(pair))
    write_named_pair(tmp_path / "second", PAIRS[0])
    assert "holds several models: inner, second. Name one." in message_of(tmp_path)


@pytest.mark.parametrize("held", [["token_embedder.pkl", "encoder.pkl"], ["encoder.pkl"]])
def test_a_manylangs_directory_is_known_by_its_files(tmp_path: Path, held: list[str]) -> None:
    for name in [*held, "config.json", "char.dic", "word.dic"]:
        (tmp_path / name).touch()
    location = Location(MANYLANGS, tmp_path, (tmp_path / "token_embedder.pkl", tmp_path / "encoder.pkl"))
    for source in (tmp_path, *(tmp_path / name for name in [*held, "config.json", "char.dic", "word.dic"])):
        assert locate(source) == location
    assert location.weights == (tmp_path / "token_embedder.pkl", tmp_path / "encoder.pkl")


# Published models by name


def test_a_published_model_that_is_not_here_says_what_to_type() -> None:
    for name in ("original", "elmo-original", "5.5B", "manylangs-de", "nlpl-217"):
        message = message_of(name)
        assert f"'{name}' is a published model that is not on this machine yet." in message
        assert f"python -m spacy elmo download {name}." in message
        assert "./" not in message


@pytest.mark.parametrize(
    ("typed", "meant"), [("orignal", "original"), ("en_elmo_m", "en_elmo_sm"), ("Manylangs-German", "manylangs-german")]
)
def test_near_names_are_suggested(typed: str, meant: str) -> None:
    message = message_of(typed)
    assert f"'{typed}' names no ELMo model. Did you mean" in message
    assert meant in message.partition("Did you mean")[2].partition("?")[0]


def test_a_published_name_goes_before_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_named_pair(tmp_path / "small", PAIRS[0])
    assert 'For the local "small", write "./small".' in message_of("small")
    for source in ("./small", Path("small")):
        assert_allennlp(load_bilm(source, device="cpu"))
    model = published.find("small")
    assert model is not None
    directory = published.directory_of(model.name)
    directory.parent.mkdir(parents=True)
    pair = write_named_pair(directory, PAIRS[1])
    assert locate("small") == locate("elmo-small") == Location(ALLENNLP, directory, tuple(pair))


HOSTS = ["https://s3-us-west-2.amazonaws.com/allennlp", "https://allennlp.s3.amazonaws.com"]
SMALL = "/models/elmo/2x1024_128_2048cnn_1xhighway/elmo_2x1024_128_2048cnn_1xhighway_"
PUBMED = "/models/elmo/contributed/pubmed/elmo_2x4096_512_2048cnn_2xhighway_"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("address", "name"), [(SMALL, "small"), (PUBMED, "pubmed")])
def test_the_address_of_a_published_file_means_its_model(host: str, address: str, name: str) -> None:
    """As Flair has them, and programs written for AllenNLP."""
    pair = [f"{host}{address}{ending}" for ending in ("options.json", "weights.hdf5")]
    if name == "pubmed":
        pair[1] = pair[1].replace("weights", "weights_PubMed_only")
    for source in (pair, tuple(pair), *pair):
        assert (
            f"published model {name} that is not on this machine yet. Fetch it with: python -m spacy elmo download "
            f"{name}." in message_of(source)
        )
    directory = published.directory_of(name)
    directory.parent.mkdir(parents=True)
    write_named_pair(directory, PAIRS[0])
    for source in (pair, pair[1]):
        assert_allennlp(load_bilm(source, device="cpu"))


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/elmo_options.json",
        ["https://example.org/options.json", "https://example.org/weights.hdf5"],
        [f"{HOSTS[0]}{SMALL}options.json"] * 2,
        [f"{HOSTS[0]}{SMALL}options.json", "weights.hdf5"],
    ],
)
def test_another_address_is_called_one(source: Any) -> None:
    message = message_of(source)
    assert "othing is downloaded from other addresses" in message
    assert "https://" in message


def test_a_home_directory_is_known_by_its_sign(
    tmp_path: Path, tiny_bilm: BiLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_bilm(tiny_bilm, tmp_path / "native")
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    for source in ("~/native", Path("~/native")):
        assert_same_parameters(load_bilm(source, device="cpu"), tiny_bilm)
    assert_allennlp(load_bilm([f"~/{path.name}" for path in pair], device="cpu"))
    assert "'~nobody_of_this_name/x' names no ELMo model" in message_of("~nobody_of_this_name/x")


# Sources that do not


@pytest.mark.parametrize(
    "source", ["en_elmo_xl", "no/such/directory", "./en_elmo_sm", Path("en_elmo_sm"), "__main__", "torch", "not_here"]
)
def test_a_source_that_names_nothing_lists_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    message = message_of(source)
    assert f"'{source}' names no ELMo model" in message
    for name in embedded_models():
        assert name in message
    for word in ("config.json", "model.safetensors", "options.json", "weights.hdf5", "[options, weights]"):
        assert word in message


@pytest.mark.parametrize("name", ["vocab.txt", "weights.txt", "elmo"])
def test_a_file_of_another_name_is_no_source(tmp_path: Path, name: str) -> None:
    write_pair(tmp_path, OPTIONS, WEIGHTS)
    (tmp_path / name).write_bytes(b"the")
    message = message_of(tmp_path / name)
    assert f"{tmp_path / name} has no name by which a part of an ELMo model is known" in message
    assert "[options, weights]" in message


def test_nothing_is_not_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path, OPTIONS, WEIGHTS)
    monkeypatch.chdir(tmp_path)
    assert "is empty" in message_of("")


@pytest.mark.parametrize("held", [[], ["pytorch_model.bin", "vocab.txt"]])
def test_a_directory_of_no_model_shows_what_it_holds(tmp_path: Path, held: list[str]) -> None:
    for name in held:
        (tmp_path / name).touch()
    message = message_of(tmp_path)
    assert f"{tmp_path} is not an ELMo model" in message
    for word in ("options.json", "config.json", "model.safetensors"):
        assert word in message
    assert f"It holds: {', '.join(held) or 'nothing'}." in message


@pytest.mark.parametrize(("removed", "ending"), [(0, "options.json"), (1, "weights.hdf5")])
def test_a_directory_with_half_a_pair(tmp_path: Path, removed: int, ending: str) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS, "xyz_")
    pair[removed].unlink()
    message = message_of(tmp_path)
    assert f"{tmp_path} is not an ELMo model: it has no *{ending}" in message
    assert f"It holds: {pair[1 - removed].name}." in message


@pytest.mark.parametrize("doubled", [0, 1])
def test_a_directory_of_two_models_asks_for_a_pair(tmp_path: Path, doubled: int) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS, "a_")
    ending = pair[doubled].name.removeprefix("a_")
    os.link(pair[doubled], tmp_path / f"b_{ending}")
    message = message_of(tmp_path)
    assert f"{tmp_path} holds 2 files *{ending}" in message
    assert "give a pair of paths [options, weights]" in message
    for name in os.listdir(tmp_path):
        assert name in message


@pytest.mark.parametrize("missing", [0, 1])
def test_a_pair_with_a_missing_file(tmp_path: Path, missing: int) -> None:
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    pair[missing].unlink()
    assert f"{pair[missing]}: no such file" in message_of(pair)


def test_a_pair_with_a_directory(tmp_path: Path) -> None:
    options, _ = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert f"{tmp_path}: no such file" in message_of([options, tmp_path])


@pytest.mark.parametrize("n_members", [0, 1, 3])
def test_a_pair_has_two_members(tmp_path: Path, n_members: int) -> None:
    members = [*write_pair(tmp_path, OPTIONS, WEIGHTS), tmp_path / "third"][:n_members]
    message = message_of(members)
    assert "[options, weights]" in message
    assert f"{members!r} has {n_members}" in message


@pytest.mark.parametrize("source", [None, 7, b"en_elmo_sm"])
def test_a_source_of_another_type_is_refused(source: Any) -> None:
    with pytest.raises((CheckpointError, TypeError)) as error:
        load_bilm(source)
    assert repr(source) in str(error.value)
    assert "[options, weights]" in str(error.value)
