"""Models of ELMoForManyLangs, read as they are published."""

import io
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spacy_elmo import BiLMConfig, CheckpointError, load_bilm, save_bilm
from spacy_elmo.bilm.config import LexiconConfig
from spacy_elmo.checkpoints import bounds
from spacy_elmo.checkpoints.bounds import MAX_LEXICON_BYTES
from tests.checkpoints.test_archives import contents_of, write_archive
from tests.checkpoints.test_native import MakesDirectory
from tests.conftest import random_bilm
from tests.manylangs import PUBLISHED, SENTENCES, ManyLangs, random_model, write

# Together these hold every choice: words, characters and both; highway layers 0 to 2, LSTM layers 1 to 3, activations,
# each clip and none, long and short words; and words alone with either name of their encoder.
KINDS: list[dict[str, Any]] = [
    {},
    {"word_dim": 0, "n_highway": 0, "n_layers": 1},
    {"char_dim": 0, "n_layers": 3},
    {"char_dim": 0, "name": "lstm"},
    {"char_dim": 0, "max_characters_per_token": 5},
    {"activation": "tanh", "n_highway": 1, "filters": [[7, 3], [2, 8]], "cell_clip": 0, "proj_clip": None},
    {"max_characters_per_token": 9, "cell_clip": None, "proj_clip": 0.4, "projection_dim": 9, "dim": 4},
    {"name": "CNN", "cell_clip": 0.5},
]


@pytest.fixture
def model(tmp_path: Path) -> ManyLangs:
    return random_model(tmp_path / "model")


def assert_equal_to(source: Any, model: ManyLangs, tolerance: float = 1e-5) -> None:
    for found, sentence in zip(load_bilm(source, device="cpu").embed(SENTENCES), SENTENCES, strict=True):
        wanted = model.reference.embed(sentence)
        assert found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def message_of(source: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_bilm(source, device="cpu")
    return str(caught.value)


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    values = json.loads(path.read_text("utf8"))
    change(values)
    path.write_text(json.dumps(values), "utf8")


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-5), (4.0, 1e-4)])
@pytest.mark.parametrize("overrides", KINDS)
def test_vectors_equal_the_references(
    tmp_path: Path, overrides: dict[str, Any], scale: float, tolerance: float
) -> None:
    overrides = {"name": "cnn", **overrides}
    model = random_model(tmp_path, KINDS.index({**overrides} if overrides in KINDS else {}), scale, **overrides)
    # The code of ELMoForManyLangs takes the name in either case.
    reference = replace(model.reference, options=json.loads(json.dumps(model.reference.options).lower()))
    assert_equal_to(tmp_path, replace(model, reference=reference), tolerance)


def test_the_config_is_that_of_the_files(model: ManyLangs) -> None:
    bilm = load_bilm(model.directory, device="cpu")
    assert bilm.config == BiLMConfig(
        filters=((1, 4), (2, 3), (3, 5)),
        char_dim=5,
        max_characters=50,
        n_highway=2,
        activation="relu",
        projection_dim=6,
        cell_dim=10,
        n_layers=2,
        cell_clip=3,
        projection_clip=3,
        lexicon=LexiconConfig(
            n_words=len(model.reference.words), word_dim=7, n_characters=len(model.reference.characters)
        ),
    )
    assert (bilm.lexicon.words, bilm.lexicon.characters) == (model.reference.words, model.reference.characters)
    assert not bilm.training


# Where the dimensions are


def published(directory: Path) -> ManyLangs:
    """As the archives are: without the file of dimensions, of which half are those of all published models."""
    model = random_model(directory)
    shutil.rmtree(directory)
    write(directory, model.reference, architecture=None)
    assert not list(directory.glob("cnn*"))
    return model


def test_a_published_model_needs_no_file_of_dimensions(tmp_path: Path) -> None:
    model = published(tmp_path / "142")
    assert_equal_to(model.directory, model)
    assert_equal_to(model.directory / "encoder.pkl", model)


@pytest.mark.parametrize("overrides", [{"word_dim": 0, "n_highway": 1, "n_layers": 1}, {"char_dim": 0}])
def test_what_a_published_model_knows_shows_in_its_arrays(tmp_path: Path, overrides: dict[str, Any]) -> None:
    model = random_model(tmp_path, **overrides)
    (tmp_path / "cnn.json").rename(tmp_path / "elsewhere.txt")
    edit(tmp_path / "config.json", lambda config: config.update(config_path="/a/cnn_0_100_512_4096_sample.json"))
    assert_equal_to(tmp_path, model)


@pytest.mark.parametrize(
    "config",
    [
        {"config_path": f"/Users/somebody/models/{PUBLISHED}"},
        {"config_path": f"C:\\models\\{PUBLISHED}"},
        {"config_path": PUBLISHED},
        {"config_path": None},
        {},
        None,
    ],
)
def test_any_path_in_the_config_will_do(tmp_path: Path, config: Any) -> None:
    model = published(tmp_path)
    (tmp_path / "config.json").unlink()
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config), "utf8")
    assert_equal_to(tmp_path, model)
    # The file that is there goes before what is known of others.
    (tmp_path / PUBLISHED).write_text(json.dumps(model.reference.options), "utf8")
    edit(tmp_path / PUBLISHED, lambda options: options["encoder"].update(cell_clip=0.25))
    assert load_bilm(tmp_path, device="cpu").config.cell_clip == 0.25


def test_the_file_of_dimensions_may_lie_elsewhere(tmp_path: Path) -> None:
    model = random_model(tmp_path / "model")
    (tmp_path / "model" / "cnn.json").rename(tmp_path / "dims.json")
    for path in (tmp_path / "dims.json", "../dims.json"):
        edit(model.directory / "config.json", lambda config, path=path: config.update(config_path=str(path)))
        assert_equal_to(model.directory, model)


def test_a_file_of_dimensions_that_nobody_has_is_asked_for(model: ManyLangs) -> None:
    (model.directory / "cnn.json").unlink()
    message = message_of(model.directory)
    assert str(model.directory / "config.json") in message
    assert "/users/somebody/models/cnn.json" in message
    assert "Put that file beside it" in message


@pytest.mark.parametrize("ending", [".zip", ".tar.bz2"])
def test_an_archive(tmp_path: Path, ending: str) -> None:
    model = published(tmp_path / "142")
    files = {f"da.model/{name}": content for name, content in contents_of(model.directory).items()}
    files |= {"meta.json": b"{}", "README": b"text"}
    assert_equal_to(write_archive(tmp_path / f"archive{ending}", files), model)


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("encoder", "name", "lstm", ["cnn.json", "encoder is 'lstm'"]),
        ("token_embedder", "name", "lstm", ["cnn.json", "LSTM", "fails to run such a model"]),
        ("token_embedder", "name", "gru", ["cnn.json", "token embedder is 'gru'"]),
        ("token_embedder", "activation", "gelu", ["cnn.json", "'activation' is 'gelu'"]),
        ("token_embedder", "word_dim", "7", ["cnn.json", "'word_dim' is '7'"]),
        ("token_embedder", "word_dim", 8, ["token_embedder.pkl", "word_emb_layer.embedding.weight", "8)"]),
        ("token_embedder", "char_dim", 0, ["token_embedder.pkl", "surplus: char_emb_layer.embedding.weight"]),
        ("token_embedder", "filters", [[1, 4], [2, 3]], ["surplus: convolutions.2.bias"]),
        ("token_embedder", "n_highway", 3, ["missing: highways._layers.2.weight"]),
        ("token_embedder", "n_highway", 10**9, ["'n_highway' is 1,000,000,000"]),
        ("token_embedder", "max_characters_per_token", 2, ["'max_characters' is 2"]),
        ("token_embedder", "max_characters_per_token", 10**9, ["'max_characters' is 1,000,000,000"]),
        ("encoder", "dim", 10**9, ["cannot hold the"]),
        ("encoder", "n_layers", 10**9, ["'n_layers' is 1,000,000,000"]),
        ("encoder", "n_layers", 1, ["encoder.pkl", "surplus: backward_layer_1.input_linearity.weight"]),
        ("encoder", "proj_clip", "3", ["cnn.json", "'projection_clip' is '3'"]),
    ],
)
def test_dimensions_that_are_wrong_are_named(
    model: ManyLangs, section: str, key: str, value: Any, words: list[str]
) -> None:
    edit(model.directory / "cnn.json", lambda options: options[section].update({key: value}))
    message = message_of(model.directory)
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("section", "key"),
    [("encoder", "dim"), ("encoder", "name"), ("token_embedder", "char_dim"), ("token_embedder", "filters")],
)
def test_dimensions_that_are_missing_are_named(model: ManyLangs, section: str, key: str) -> None:
    edit(model.directory / "cnn.json", lambda options: options[section].pop(key))
    message = message_of(model.directory)
    assert str(model.directory / "cnn.json") in message
    assert f"'{key}'" in message


@pytest.mark.parametrize("values", [[], 3, None, {}, {"encoder": 3, "token_embedder": {"word_dim": 7, "char_dim": 5}}])
def test_json_of_something_else(model: ManyLangs, values: Any) -> None:
    (model.directory / "cnn.json").write_text(json.dumps(values), "utf8")
    assert str(model.directory / "cnn.json") in message_of(model.directory)


def test_a_config_path_that_is_no_path(model: ManyLangs) -> None:
    for value in (3, ["a"], "a\0b", "x" * 100_000):
        edit(model.directory / "config.json", lambda config, value=value: config.update(config_path=value))
        assert str(model.directory / "config.json") in message_of(model.directory)


# Lexicons


def test_lines_are_read_as_the_original_does(tmp_path: Path) -> None:
    """A blank goes with the space around its line; of two entries of a name the last counts; any of Unicode's marks of
    a line's end ends one; and numbers are Python's.
    """
    model = random_model(tmp_path)
    lines = (tmp_path / "word.dic").read_text("utf8").splitlines()
    number = model.reference.words["the"]
    lines[[line.split("\t")[0] for line in lines].index("the")] = f" the\t{number}"
    (tmp_path / "word.dic").write_text("the\t0\n" + "\u2028".join(lines) + "\r\n", "utf8", newline="")
    assert_equal_to(tmp_path, model)
    text = (tmp_path / "word.dic").read_text("utf8").replace(f"the\t{number}", f"\xa0\t+{number}")
    (tmp_path / "word.dic").write_text(text.replace("the\t0\n", ""), "utf8", newline="")
    words = {"\u3000" if word == "the" else word: number for word, number in model.reference.words.items()}
    assert_equal_to(tmp_path, replace(model, reference=replace(model.reference, words=words)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["line 3: ''"]),
        ("word", ["line 3: 'word'"]),
        ("a\tb\t3", [r"line 3: 'a\tb\t3'"]),
        ("a\tb", [r"line 3: 'a\tb'"]),
        ("a 3", ["line 3: 'a 3'"]),
        ("a\t1000", ["the number of 'a' is 1000, but there are 15 entries"]),
        ("a\t-1", ["the number of 'a' is -1"]),
        ("another\t14", ["word_emb_layer.embedding.weight has the shape (14, 7), but (15, 7)"]),
    ],
)
def test_a_line_that_is_no_entry_is_named(model: ManyLangs, line: str, words: list[str]) -> None:
    path = model.directory / "word.dic"
    lines = [other for other in path.read_text("utf8").splitlines() if not (line[:2] == "a\t" and other[:2] == "a\t")]
    lines[2:2] = [line, *(["spare\t0"] if len(lines) < 14 else [])]
    path.write_text("\n".join(lines) + "\n", "utf8")
    message = message_of(model.directory)
    for word in (str(model.directory), *words):
        assert word in message


@pytest.mark.parametrize(("name", "mark"), [("char.dic", "<bow>"), ("char.dic", "<bos>"), ("word.dic", "<oov>")])
def test_a_mark_that_is_missing_is_named(model: ManyLangs, name: str, mark: str) -> None:
    path = model.directory / name
    path.write_text(path.read_text("utf8").replace(f"{mark}\t", "other\t"), "utf8")
    message = message_of(model.directory)
    assert f"has no {mark}" in message
    assert str(model.directory) in message


def test_a_lexicon_that_is_no_text(model: ManyLangs) -> None:
    (model.directory / "char.dic").write_bytes(b"\xff\xfe\t1\n")
    assert f"{model.directory / 'char.dic'}: not readable" in message_of(model.directory)


def test_a_lexicon_that_is_far_too_large_is_not_read(model: ManyLangs) -> None:
    with (model.directory / "word.dic").open("r+b") as file:
        file.truncate(MAX_LEXICON_BYTES + 1)  # a hole, which takes no space
    assert "never takes more than" in message_of(model.directory)


@pytest.mark.parametrize("name", ["char.dic", "word.dic", "encoder.pkl", "token_embedder.pkl"])
def test_a_file_that_is_missing_is_named(model: ManyLangs, name: str) -> None:
    (model.directory / name).unlink()
    assert f"{model.directory / name}: no such file" in message_of(model.directory)


# Pickles


def arrays_of(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("name", ["encoder.pkl", "token_embedder.pkl"])
def test_a_program_in_a_pickle_does_not_run(tmp_path: Path, model: ManyLangs, name: str, old: bool) -> None:
    trap, path = tmp_path / "trap", model.directory / name
    content = {**arrays_of(path), "more": MakesDirectory(trap)}
    torch.save(content, path, _use_new_zipfile_serialization=not old)
    message = message_of(model.directory)
    assert str(path) in message
    assert "may be a program" in message
    assert "mkdir)" in message
    assert "weights_only" not in message  # torch's advice is to run it
    assert not trap.exists()
    torch.load(path, weights_only=False)
    assert trap.exists(), "the trap is none"


def test_a_bare_pickle_does_not_run(tmp_path: Path, model: ManyLangs) -> None:
    trap, path = tmp_path / "trap", model.directory / "encoder.pkl"
    path.write_bytes(pickle.dumps(MakesDirectory(trap), protocol=2))
    assert str(path) in message_of(model.directory)
    assert not trap.exists()


def test_files_of_old_versions_of_torch(model: ManyLangs) -> None:
    for name in ("encoder.pkl", "token_embedder.pkl"):
        path = model.directory / name
        torch.save(arrays_of(path), path, _use_new_zipfile_serialization=False)
        assert not zipfile.is_zipfile(path)
    assert_equal_to(model.directory, model)


def test_other_precisions(model: ManyLangs) -> None:
    path = model.directory / "encoder.pkl"
    torch.save({name: array.double() for name, array in arrays_of(path).items()}, path)
    assert_equal_to(model.directory, model)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("n_bytes", [0, 1, 100, 2000, -20])
def test_half_a_file(model: ManyLangs, old: bool, n_bytes: int) -> None:
    path = model.directory / "encoder.pkl"
    torch.save(arrays_of(path), path, _use_new_zipfile_serialization=not old)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert str(path) in message_of(model.directory)


@pytest.mark.parametrize(
    "content",
    [
        3,
        torch.ones(3),
        [torch.ones(3)],
        {"a": 3},
        {3: torch.ones(3)},
        {"a": torch.ones(3, dtype=torch.int64)},
        {"a": torch.eye(3).to_sparse()},
        {"a": {"b": torch.ones(3)}},
    ],
)
def test_something_else_than_parameters(model: ManyLangs, content: Any) -> None:
    path = model.directory / "encoder.pkl"
    torch.save(content, path)
    assert f"{path}: not the parameters of a model" in message_of(model.directory)


def test_arrays_that_are_compressed_are_not_read(model: ManyLangs) -> None:
    path = model.directory / "encoder.pkl"
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    path.write_bytes(buffer.getvalue())
    assert "is compressed" in message_of(model.directory)


def test_arrays_that_are_larger_than_their_file_take_no_memory(model: ManyLangs) -> None:
    """One number that says it is a million."""
    path = model.directory / "encoder.pkl"
    arrays = arrays_of(path)
    for name, array in arrays.items():
        shape = [100_000 if size == 40 else 25_000 if size == 10 else size for size in array.shape]
        arrays[name] = torch.zeros(1).expand(shape)
    torch.save(arrays, path)
    edit(model.directory / "cnn.json", lambda options: options["encoder"].update(dim=25_000))
    assert "cannot hold the" in message_of(model.directory)


def test_parameters_are_counted_without_making_any(tmp_path: Path) -> None:
    for number, overrides in enumerate(KINDS[:3]):
        bilm = load_bilm(random_model(tmp_path / str(number), **overrides).directory, device="cpu")
        assert bounds.n_parameters(bilm.config) == sum(parameter.numel() for parameter in bilm.parameters())


# Saved natively


@pytest.mark.parametrize("overrides", KINDS[:3])
def test_saved_natively_and_read_again(tmp_path: Path, overrides: dict[str, Any]) -> None:
    model = random_model(tmp_path / "model", **overrides)
    bilm = load_bilm(model.directory, device="cpu")
    directory = save_bilm(bilm, tmp_path / "native")
    assert sorted(os.listdir(directory)) == ["config.json", "lexicon.json", "model.safetensors"]
    again = load_bilm(directory, device="cpu")
    assert again.config == bilm.config
    assert again.lexicon == bilm.lexicon
    for found, wanted in zip(again.embed(SENTENCES), bilm.embed(SENTENCES), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_any_unicode_in_a_native_lexicon(tmp_path: Path, model: ManyLangs) -> None:
    odd = ["\ud800", "\u2028", '"', "\\", "\t", "🙂"]
    words = {**model.reference.words, **dict.fromkeys(odd, 0)}
    bilm = load_bilm(model.directory, device="cpu")
    object.__setattr__(bilm.lexicon_encoder.lexicon, "words", words)
    assert load_bilm(save_bilm(bilm, tmp_path / "native"), device="cpu").lexicon.words == words


def test_overwriting_leaves_no_lexicon_of_another_model(tmp_path: Path, model: ManyLangs) -> None:
    directory = save_bilm(load_bilm(model.directory, device="cpu"), tmp_path / "native")
    save_bilm(random_bilm(), directory, overwrite=True)
    assert sorted(os.listdir(directory)) == ["config.json", "model.safetensors"]
    (directory / "config.json").unlink()
    (directory / "model.safetensors").unlink()
    (directory / "lexicon.json").write_text("{}", "utf8")
    with pytest.raises(FileExistsError, match=r"lexicon\.json exists already"):
        save_bilm(random_bilm(), directory)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["no such file"]),
        ("{", ["not the lexicon of this model"]),
        ("[]", ["an object with the keys words and characters"]),
        ('{"words": null}', ["an object with the keys words and characters"]),
        ('{"words": null, "characters": [1]}', ["objects with numbers"]),
        ('{"words": null, "characters": {"a": true}}', ["objects with numbers"]),
        ('{"words": {"<oov>": 0, "<pad>": 1}, "characters": {}}', ["lexicon of characters has no"]),
        ('{"words": {"<oov>": 0, "<pad>": 99}, "characters": null}', ["'<pad>' is 99", "14 words"]),
        ('{"words": {"<oov>": 0, "<pad>": 1}, "characters": null}', ["characters, and the lexicon has 0"]),
    ],
)
def test_a_native_lexicon_that_is_wrong(
    tmp_path: Path, model: ManyLangs, content: str | None, words: list[str]
) -> None:
    path = save_bilm(load_bilm(model.directory, device="cpu"), tmp_path / "native") / "lexicon.json"
    path.unlink()
    if content is not None:
        path.write_text(content, "utf8")
    message = message_of(tmp_path / "native")
    for word in (str(path), *words):
        assert word in message


def test_allennlps_format_has_no_place_for_a_lexicon(tmp_path: Path, model: ManyLangs) -> None:
    with pytest.raises(ValueError, match="with a lexicon in AllenNLP's format"):
        save_bilm(load_bilm(model.directory, device="cpu"), tmp_path / "there", format="allennlp")
    assert not (tmp_path / "there").exists()
