"""Small random models of ELMoForManyLangs, in the layout of the published ones, and the sentences to try them with."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.reference.numpy_manylangs import MARKS, NumpyManyLangs, random_arrays, shapes

# Words in the lexicon and out of it, cut and not cut, of characters that the model knows and does not know; marks as
# words of a text; and lone surrogates, which no file of UTF-8 holds.
SENTENCES = [
    ["Nobody", "looked", "up", "from", "the", "naïve", "cards", "."],
    ["one"],
    ["日本語", "🙂", "Ωmega", "é", "é", "\ud800", "", "\u3000", "a b"],
    ["x" * 47, "x" * 48, "x" * 49, "the" * 16 + "Z", "the" * 20, "é" * 100],
    ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>", "<S>", "</S>"],
    ["a", "b"] * 6,
]
# Half of what the sentences need, so that the rest is unknown, and one word that is longer than words may be.
WORDS = ["the", "looked", "naïve", "one", "日本語", "x" * 48, "x" * 49, "é", "a", "."]
CHARACTERS = list("Nobdylkupfrmthecas.nxé日本🙂a\u3000")

PUBLISHED = "cnn_50_100_512_4096_sample.json"


@dataclass(frozen=True)
class ManyLangs:
    """A model's directory, and the same in NumPy."""

    directory: Path
    reference: NumpyManyLangs


def random_model(directory: Path, seed: int = 0, scale: float = 1.0, **overrides: Any) -> ManyLangs:
    """Write a model and whatever is around it. An override replaces the dimension of its name."""
    rng = np.random.default_rng(seed)
    encoder: dict[str, Any] = {
        "name": "elmo", "projection_dim": 6, "cell_clip": 3, "proj_clip": 3, "dim": 10, "n_layers": 2,
    }  # fmt: skip
    embedder: dict[str, Any] = {
        "name": "cnn", "activation": "relu", "filters": [[1, 4], [2, 3], [3, 5]], "n_highway": 2, "word_dim": 7,
        "char_dim": 5, "max_characters_per_token": 50,
    }  # fmt: skip
    for name, value in overrides.items():
        (encoder if name in encoder and name != "name" else embedder)[name] = value
    options = {"encoder": encoder, "token_embedder": embedder, "dropout": 0.1}
    words = _numbered([*MARKS[:4], *WORDS], rng) if embedder["word_dim"] else None
    characters = _numbered([*MARKS, *dict.fromkeys(CHARACTERS)], rng) if embedder["char_dim"] else None
    arrays = (random_arrays(part, rng, scale) for part in shapes(options, len(words or ()), len(characters or ())))
    reference = NumpyManyLangs(options, words, characters, *arrays)
    write(directory, reference)
    return ManyLangs(directory, reference)


def write(directory: Path, model: NumpyManyLangs, architecture: str | None = "cnn.json") -> None:
    """architecture: the name of the file of dimensions; None for no such file, as in the published archives."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, entries in (("word.dic", model.words), ("char.dic", model.characters)):
        if entries is not None:
            lines = [f"{entry}\t{number}\n" for entry, number in entries.items()]
            (directory / name).write_text("".join(lines), "utf8", newline="\n")
    for name, arrays in (("token_embedder.pkl", model.embedder), ("encoder.pkl", model.encoder)):
        torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, directory / name)
    # Where the models' makers had the file; nobody else does.
    path = f"/users/somebody/models/{architecture or PUBLISHED}"
    (directory / "config.json").write_text(json.dumps({"seed": 1, "gpu": 3, "config_path": path}), "utf8")
    if architecture is not None:
        (directory / architecture).write_text(json.dumps(model.options), "utf8")


def _numbered(entries: list[str], rng: np.random.Generator) -> dict[str, int]:
    return dict(zip(entries, rng.permutation(len(entries)).tolist(), strict=True))
