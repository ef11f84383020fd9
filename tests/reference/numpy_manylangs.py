"""The biLM of ELMoForManyLangs in plain NumPy, as a reference for parity tests.

The model is that of Che et al. (2018), "Towards Better UD Parsing", in the package's own layout: the dimensions as in
its JSON file, two lexicons, and the arrays of its two state dicts. It is written for clarity: one word, one time step
and one layer at a time, in float64.

Shape letters: T words of a sentence, M characters per word, E character and W word embedding dims, F CNN filters in
total, P projection_dim, C cell dim, L LSTM layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .numpy_elmo import ACTIVATIONS, Array, clip, sigmoid

MARKS = ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>"]

Lexicon = dict[str, int]


@dataclass(frozen=True)
class NumpyManyLangs:
    """options: the file of dimensions. words, characters: the lexicons; None where the model has none.
    embedder, encoder: the arrays of token_embedder.pkl and encoder.pkl.
    """

    options: dict[str, Any]
    words: Lexicon | None
    characters: Lexicon | None
    embedder: dict[str, Array]
    encoder: dict[str, Array]

    def embed(self, sentence: list[str]) -> Array:
        """Layers (L + 1, T, 2P) of a sentence, from a zero state. Layer 0 is the word vector twice."""
        xs = np.stack([self.word_vector(word) for word in ["<bos>", *map(self.cut, sentence), "<eos>"]])
        forward = self.run_direction(xs, "forward")
        backward = [outputs[::-1] for outputs in self.run_direction(xs[::-1], "backward")]
        layers = [np.concatenate(pair, axis=1) for pair in zip([xs, *forward], [xs, *backward], strict=True)]
        return np.stack(layers)[:, 1:-1]

    def cut(self, word: str) -> str:
        """A word longer than the convolutions' M less two marks is cut, before it is looked up, too."""
        embedder = self.options["token_embedder"]
        return word[: embedder["max_characters_per_token"] - 2] if embedder["name"] == "cnn" else word

    def word_vector(self, word: str) -> Array:
        """The vector (P,) of a word that is cut already: its own embedding, then what its characters give."""
        parts = []
        if self.words is not None:
            number = self.words.get(word, self.words["<oov>"])
            parts.append(self.embedder["word_emb_layer.embedding.weight"][number])
        if self.characters is not None:
            parts.append(self.character_features(self.spell(word, self.characters)))
        return self.linear(self.embedder, "projection", np.concatenate(parts))

    def spell(self, word: str, characters: Lexicon) -> list[int]:
        """The M numbers of a word's characters. It begins with <eow> and ends with <bow>, as in the original."""
        inner = [word] if word in ("<bos>", "<eos>") else list(word)
        numbers = [characters.get(character, characters["<oov>"]) for character in inner]
        numbers = [characters["<eow>"], *numbers, characters["<bow>"]]
        length = self.options["token_embedder"]["max_characters_per_token"]
        return numbers + [characters["<pad>"]] * (length - len(numbers))

    def character_features(self, numbers: list[int]) -> Array:
        """Convolutions over all M positions, the maximum, then the activation, and highway layers: (F,)."""
        embedder = self.options["token_embedder"]
        chars = self.embedder["char_emb_layer.embedding.weight"][numbers]  # (M, E)
        pooled = []
        for i, (width, _) in enumerate(embedder["filters"]):
            kernel, bias = (self.embedder[f"convolutions.{i}.{kind}"] for kind in ("weight", "bias"))  # (n, E, width)
            windows = [chars[p : p + width] for p in range(len(chars) - width + 1)]
            features = np.stack([np.einsum("we,new->n", window, kernel) for window in windows]) + bias
            pooled.append(ACTIVATIONS[embedder["activation"]](features.max(axis=0)))
        x = np.concatenate(pooled)
        for k in range(embedder["n_highway"]):
            transformed, gate = np.split(self.linear(self.embedder, f"highways._layers.{k}", x), 2)
            x = sigmoid(gate) * x + (1 - sigmoid(gate)) * np.maximum(transformed, 0)
        return x

    def linear(self, arrays: dict[str, Array], name: str, x: Array) -> Array:
        y: Array = arrays[f"{name}.weight"] @ x
        return y + arrays[f"{name}.bias"] if f"{name}.bias" in arrays else y

    def run_direction(self, xs: Array, direction: str) -> list[Array]:
        """All layers of one direction over xs (T + 2, P) in the order of reading. All but the first add their input."""
        outputs: list[Array] = []
        for layer in range(self.options["encoder"]["n_layers"]):
            inputs = outputs[-1] if outputs else xs
            hs = self.run_layer(inputs, f"{direction}_layer_{layer}")
            outputs.append(hs + inputs if layer else hs)
        return outputs

    def run_layer(self, xs: Array, name: str) -> Array:
        """The outputs (T + 2, P) of a layer. Gates in the order input, forget, candidate, output."""
        options, arrays = self.options["encoder"], self.encoder
        h, c = np.zeros(options["projection_dim"]), np.zeros(options["dim"])
        hs = []
        for x in xs:
            gates = self.linear(arrays, f"{name}.input_linearity", x)
            i, f, j, o = np.split(gates + self.linear(arrays, f"{name}.state_linearity", h), 4)
            c = clip(sigmoid(f) * c + sigmoid(i) * np.tanh(j), options["cell_clip"] or None)
            m = sigmoid(o) * np.tanh(c)
            h = clip(self.linear(arrays, f"{name}.state_projection", m), options["proj_clip"] or None)
            hs.append(h)
        return np.stack(hs)


def shapes(options: dict[str, Any], n_words: int, n_characters: int) -> tuple[dict[str, tuple[int, ...]], ...]:
    """The shapes of all arrays of token_embedder.pkl, and of encoder.pkl."""
    tokens, encoder = options["token_embedder"], options["encoder"]
    projection, cell, n_filters, width = encoder["projection_dim"], encoder["dim"], 0, 0
    embedder: dict[str, tuple[int, ...]] = {}
    if n_words:
        embedder["word_emb_layer.embedding.weight"] = (n_words, tokens["word_dim"])
        width += tokens["word_dim"]
    if n_characters:
        embedder["char_emb_layer.embedding.weight"] = (n_characters, tokens["char_dim"])
        for i, (size, count) in enumerate(tokens["filters"]):
            embedder |= {f"convolutions.{i}.weight": (count, tokens["char_dim"], size)}
            embedder |= {f"convolutions.{i}.bias": (count,)}
            n_filters += count
        for k in range(tokens["n_highway"]):
            embedder |= {f"highways._layers.{k}.weight": (2 * n_filters, n_filters)}
            embedder |= {f"highways._layers.{k}.bias": (2 * n_filters,)}
        width += n_filters
    embedder |= {"projection.weight": (projection, width), "projection.bias": (projection,)}
    lstms: dict[str, tuple[int, ...]] = {}
    for direction in ("forward", "backward"):
        for layer in range(encoder["n_layers"]):
            name = f"{direction}_layer_{layer}"
            lstms |= {f"{name}.input_linearity.weight": (4 * cell, projection)}
            lstms |= {f"{name}.state_linearity.weight": (4 * cell, projection)}
            lstms |= {f"{name}.state_linearity.bias": (4 * cell,)}
            lstms |= {f"{name}.state_projection.weight": (projection, cell)}
    return embedder, lstms


def random_arrays(sizes: dict[str, tuple[int, ...]], rng: np.random.Generator, scale: float = 1.0) -> dict[str, Array]:
    """Random normal float32 arrays: std 1 / sqrt(fan-in) for matrices, 1 for embeddings, 1 / 2 for biases.

    `scale` multiplies the biases and projections of LSTMs: from about 4, states often reach a clip of 3.
    """
    arrays = {}
    for name, shape in sizes.items():
        fan_in = 4 if len(shape) == 1 else 1 if "embedding" in name else int(np.prod(shape[1:]))
        factor = scale if name.endswith(("state_linearity.bias", "state_projection.weight")) else 1.0
        arrays[name] = (factor / np.sqrt(fan_in) * rng.standard_normal(shape)).astype(np.float32)
    return arrays
