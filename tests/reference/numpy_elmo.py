"""The ELMo biLM in plain NumPy, as a reference for parity tests.

The model is that of Peters et al. (2018), "Deep contextualized word representations", in the weight format
of bilm-tf and AllenNLP: an options.json and an HDF5 file, given here as a dict of dataset path -> array. It
is written for clarity: one word, one time step and one layer at a time, in float64.

Shape letters: T tokens of a sentence, M characters per word, E character embedding dim, F CNN filters in
total, P projection_dim, C cell dim, L LSTM layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

BOS, EOS, BOW, EOW, PAD = 256, 257, 258, 259, 260  # character ids above the 256 byte values
N_CHARS = 261  # rows of the stored char_embed: 256 bytes and the five above

Array = np.ndarray
CellState = tuple[Array, Array]  # (h, c), of shapes (P,) and (C,), both after clipping
State = list[list[CellState]]  # state[direction][layer]
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": lambda x: np.maximum(x, 0.0), "tanh": np.tanh}


def sigmoid(x: Array) -> Array:
    """Logistic function, elementwise; the tanh form cannot overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def clip(x: Array, bound: float | None) -> Array:
    """Limit x to [-bound, bound]; a bound of None (null in options.json) means no clipping."""
    return x if bound is None else np.clip(x, -bound, bound)


def frame(inner: list[int], max_chars: int) -> list[int]:
    """Ids of a word between BOW and EOW, padded with PAD to M ids; all plus 1, so that 0 can mask."""
    ids = [BOW, *inner, EOW]
    return [i + 1 for i in ids + [PAD] * (max_chars - len(ids))]


def word_ids(word: str, max_chars: int) -> list[int]:
    """The M character ids of a word: its UTF-8 bytes, cut at M - 2 bytes (which may split a character)."""
    return frame(list(word.encode("utf-8", "ignore"))[: max_chars - 2], max_chars)


def sentence_ids(sentence: list[str], max_chars: int, boundary_words: bool = False) -> list[list[int]]:
    """Character ids (T + 2, M) of <S> w1 .. wT </S>; each boundary word holds one special character. "<S>" and "</S>"
    among the words are boundaries, too, as bilm-tf has it, or text.
    """
    boundaries = {"<S>": frame([BOS], max_chars), "</S>": frame([EOS], max_chars)}
    special = boundaries if boundary_words else {}
    words = [special.get(word) or word_ids(word, max_chars) for word in sentence]
    return [boundaries["<S>"], *words, boundaries["</S>"]]


def convolve(chars: Array, kernel: Array, bias: Array) -> Array:
    """Valid cross-correlation: (M, E), kernel (1, width, E, n), bias (n,) -> (M - width + 1, n)."""
    width = kernel.shape[1]
    windows = [chars[p : p + width] for p in range(chars.shape[0] - width + 1)]
    features: Array = np.stack([np.einsum("we,wen->n", window, kernel[0]) for window in windows]) + bias
    return features


def highway(x: Array, w: dict[str, Array], k: int) -> Array:
    """Highway layer k on (F,): the carry gate g weighs the transformed input, 1 - g the input itself."""
    name = f"CNN_high_{k}"
    gate = sigmoid(x @ w[f"{name}/W_carry"] + w[f"{name}/b_carry"])
    transformed = np.maximum(x @ w[f"{name}/W_transform"] + w[f"{name}/b_transform"], 0.0)
    y: Array = gate * transformed + (1.0 - gate) * x
    return y


class NumpyELMo:
    """The biLM of parsed options.json `options` and `weights`, a dict of HDF5 dataset path -> array."""

    boundary_words = False

    def __init__(self, options: dict[str, Any], weights: dict[str, Array]) -> None:
        self.cnn, self.lstm = options["char_cnn"], options["lstm"]
        self.w = {path: np.asarray(array, dtype=np.float64) for path, array in weights.items()}
        # Ids are shifted by 1, so a zero row comes first.
        zero_row = np.zeros((1, self.w["char_embed"].shape[1]))
        self.char_table = np.concatenate([zero_row, self.w["char_embed"]])  # (262, E)

    def zero_state(self) -> State:
        """State of a fresh batch row: zero h (P,) and c (C,) for two directions and L layers."""
        h, c = np.zeros(self.lstm["projection_dim"]), np.zeros(self.lstm["dim"])
        return [[(h.copy(), c.copy()) for _ in range(self.lstm["n_layers"])] for _ in range(2)]

    def token_vector(self, ids: list[int]) -> Array:
        """Context-independent vector (P,) of a word: CNN, max over positions, highways, projection."""
        chars = self.char_table[ids]
        activation = ACTIVATIONS[self.cnn["activation"]]
        pooled = []
        for i in range(len(self.cnn["filters"])):
            features = convolve(chars, self.w[f"CNN/W_cnn_{i}"], self.w[f"CNN/b_cnn_{i}"])
            pooled.append(activation(features.max(axis=0)))
        x = np.concatenate(pooled)
        for k in range(self.cnn.get("n_highway") or 0):
            x = highway(x, self.w, k)
        return x @ self.w["CNN_proj/W_proj"] + self.w["CNN_proj/b_proj"]

    def cell_step(self, x: Array, state: CellState, direction: int, layer: int) -> CellState:
        """One LSTMCell step on x (P,). Gate order is i, j, f, o; the forget bias of 1 is not stored."""
        h, c = state
        name = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
        z = np.concatenate([x, h]) @ self.w[f"{name}/W_0"] + self.w[f"{name}/B"]
        i, j, f, o = np.split(z, 4)
        c = clip(sigmoid(f + 1.0) * c + sigmoid(i) * np.tanh(j), self.lstm.get("cell_clip"))
        m = sigmoid(o) * np.tanh(c)
        return clip(m @ self.w[f"{name}/W_P_0"], self.lstm.get("proj_clip")), c

    def run_layer(self, xs: Array, state: CellState, direction: int, layer: int) -> tuple[Array, CellState]:
        """One layer of one direction over xs (T + 2, P), as ordered: h of every step, last state."""
        hs = []
        for x in xs:
            state = self.cell_step(x, state, direction, layer)
            hs.append(state[0])
        return np.stack(hs), state

    def run_direction(self, xs: Array, states: list[CellState], direction: int) -> tuple[list[Array], list[CellState]]:
        """All layers of one direction over xs (T + 2, P): L outputs in sentence order, and L final states.

        Direction 1 reads from </S> to <S>. A skip connection adds the input of layers 1 and up to their
        output, outside the recurrence: the state keeps the bare h.
        """
        order = slice(None) if direction == 0 else slice(None, None, -1)
        inputs, outputs, new_states = xs[order], [], []
        for layer in range(self.lstm["n_layers"]):
            hs, new_state = self.run_layer(inputs, states[layer], direction, layer)
            if layer >= 1 and self.lstm["use_skip_connections"]:
                hs = hs + inputs
            inputs = hs
            outputs.append(hs[order])
            new_states.append(new_state)
        return outputs, new_states

    def embed_stateful(self, sentence: list[str], state: State | None = None) -> tuple[Array, State]:
        """Layers (L + 1, T, 2P) of a sentence, and the state to start the next sentence of its batch row.

        Layer 0 is the token vector twice, layer l + 1 is [forward, backward] of LSTM layer l; the outputs at
        <S> and </S> are dropped. The new state follows the last step: </S> forward, <S> backward.
        """
        state = self.zero_state() if state is None else state
        ids = sentence_ids(sentence, self.cnn["max_characters_per_token"], self.boundary_words)
        xs = np.stack([self.token_vector(word) for word in ids])
        forward, forward_state = self.run_direction(xs, state[0], 0)
        backward, backward_state = self.run_direction(xs, state[1], 1)
        layers = [np.concatenate(pair, axis=1) for pair in zip([xs, *forward], [xs, *backward], strict=True)]
        return np.stack(layers)[:, 1:-1], [forward_state, backward_state]

    def embed(self, sentence: list[str], state: State | None = None) -> Array:
        """Layers (L + 1, T, 2P) of a sentence, from a zero state unless given; drops the new state."""
        return self.embed_stateful(sentence, state)[0]


def random_options(rng: np.random.Generator, **overrides: Any) -> dict[str, Any]:
    """Options of a small model, drawn at random; an override replaces the key of that name in its section."""
    widths = rng.choice(np.arange(1, 8), size=int(rng.integers(1, 5)), replace=False)
    lstm: dict[str, Any] = {
        "cell_clip": [None, 3][rng.integers(2)],
        "use_skip_connections": bool(rng.integers(2)),
        "n_layers": int(rng.integers(1, 4)),
        "proj_clip": [None, 3][rng.integers(2)],
        "projection_dim": int(rng.integers(2, 17)),
        "dim": int(rng.integers(2, 33)),
    }
    cnn: dict[str, Any] = {
        "embedding": {"dim": int(rng.integers(2, 9))},
        "filters": [[int(width), int(rng.integers(1, 17))] for width in sorted(widths)],
        "n_highway": int(rng.integers(3)),
        "n_characters": N_CHARS + 1,
        "max_characters_per_token": 50,
        "activation": ["relu", "tanh"][rng.integers(2)],
    }
    if unknown := set(overrides) - set(lstm) - set(cnn):
        raise ValueError(f"unknown options: {sorted(unknown)}")
    for section in (lstm, cnn):
        section.update({key: value for key, value in overrides.items() if key in section})
    return {"lstm": lstm, "char_cnn": cnn}


def weight_shapes(options: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of every dataset of the weight file, by path. Every LSTM layer has input size P."""
    cnn, lstm = options["char_cnn"], options["lstm"]
    emb, proj, cell = cnn["embedding"]["dim"], lstm["projection_dim"], lstm["dim"]
    n_filters = sum(n for _, n in cnn["filters"])
    shapes: dict[str, tuple[int, ...]] = {"char_embed": (N_CHARS, emb)}
    for i, (width, n) in enumerate(cnn["filters"]):
        shapes |= {f"CNN/W_cnn_{i}": (1, width, emb, n), f"CNN/b_cnn_{i}": (n,)}
    for k in range(cnn.get("n_highway") or 0):
        for part in ("carry", "transform"):
            shapes[f"CNN_high_{k}/W_{part}"] = (n_filters, n_filters)
            shapes[f"CNN_high_{k}/b_{part}"] = (n_filters,)
    shapes |= {"CNN_proj/W_proj": (n_filters, proj), "CNN_proj/b_proj": (proj,)}
    for direction in range(2):
        for layer in range(lstm["n_layers"]):
            name = f"RNN_{direction}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            shapes |= {f"{name}/W_0": (2 * proj, 4 * cell), f"{name}/B": (4 * cell,)}
            shapes[f"{name}/W_P_0"] = (cell, proj)
    return shapes


def random_weights(options: dict[str, Any], rng: np.random.Generator, scale: float = 1.0) -> dict[str, Array]:
    """Random normal float32 weights: std 1 / sqrt(fan-in) for matrices, 1 / 2 for biases.

    `scale` multiplies the LSTM's B and W_P_0: from about 4, cells and projections both often reach a clip of
    3. The other weights are left alone: larger ones make the recurrence amplify float32 rounding.
    """
    weights = {}
    for path, shape in weight_shapes(options).items():
        fan_in = 4 if len(shape) == 1 else 1 if path == "char_embed" else int(np.prod(shape[:-1]))
        factor = scale if path.endswith(("/B", "/W_P_0")) else 1.0
        weights[path] = (factor / np.sqrt(fan_in) * rng.standard_normal(shape)).astype(np.float32)
    return weights
