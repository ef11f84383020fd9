"""Make a small random model in the format of ELMoForManyLangs, with the words and characters of a corpus.

    python -m experiments.random_manylangs CORPUS.spacy OUTPUT [--seed 0]

It stands in for a trained model where none is at hand: everything that reads such a model can be tried, and its vectors
tell words apart, but it has learned nothing. The same corpus and seed give the same model. As in the published
archives, the dimensions are in no file but in the arrays.
"""

import argparse
import json
import math
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from .datasets import read_docs

CHAR_DIM, WORD_DIM, PROJECTION_DIM, CELL_DIM = 16, 32, 64, 128
FILTERS = [(1, 16), (2, 32), (3, 64), (4, 64)]
N_HIGHWAY, N_LAYERS = 2, 2
MOST_WORDS = 20_000
WORD_MARKS = ["<oov>", "<bos>", "<eos>", "<pad>"]
CHARACTER_MARKS = ["<bos>", "<eos>", "<oov>", "<pad>", "<bow>", "<eow>"]

Arrays = dict[str, Tensor]


def lexicons(path: Path) -> tuple[list[str], list[str]]:
    """The words that come more than once, the most frequent first, and the characters of all words. What cannot be an
    entry of a file stays unknown.
    """
    counts = Counter(token.text for doc in read_docs(path) for token in doc)
    words = [word for word, count in counts.most_common(MOST_WORDS) if count > 1 and len(word.split()) == 1]
    characters = sorted({character for word in counts for character in word if not character.isspace()})
    return (
        [*WORD_MARKS, *(word for word in words if word not in WORD_MARKS)],
        [*CHARACTER_MARKS, *characters],
    )


def token_embedder(n_words: int, n_characters: int) -> Arrays:
    n_filters = sum(count for _, count in FILTERS)
    arrays = {
        "word_emb_layer.embedding.weight": torch.randn(n_words, WORD_DIM),
        "char_emb_layer.embedding.weight": torch.randn(n_characters, CHAR_DIM),
    }
    for number, (width, count) in enumerate(FILTERS):
        arrays |= layer(f"convolutions.{number}", count, CHAR_DIM, width)
    for number in range(N_HIGHWAY):
        arrays |= layer(f"highways._layers.{number}", 2 * n_filters, n_filters)
    return arrays | layer("projection", PROJECTION_DIM, WORD_DIM + n_filters)


def encoder() -> Arrays:
    arrays: Arrays = {}
    for direction in ("forward", "backward"):
        for number in range(N_LAYERS):
            name = f"{direction}_layer_{number}"
            parts = layer(f"{name}.input_linearity", 4 * CELL_DIM, PROJECTION_DIM)
            parts |= layer(f"{name}.state_linearity", 4 * CELL_DIM, PROJECTION_DIM)
            parts |= layer(f"{name}.state_projection", PROJECTION_DIM, CELL_DIM)
            parts[f"{name}.state_linearity.bias"][CELL_DIM : 2 * CELL_DIM] = 1  # of the gate that forgets
            # The state's biases are those of the input, too; and a projection has none.
            arrays |= {key: parts[key] for key in parts if key.endswith("weight") or "state_linearity" in key}
    return arrays


def layer(name: str, *shape: int) -> Arrays:
    fan_in = math.prod(shape[1:])
    return {f"{name}.weight": torch.randn(*shape) / math.sqrt(fan_in), f"{name}.bias": torch.zeros(shape[0])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    words, characters = lexicons(arguments.corpus)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    for name, entries in (("word.dic", words), ("char.dic", characters)):
        lines = (f"{entry}\t{number}\n" for number, entry in enumerate(entries))
        (output / name).write_text("".join(lines), "utf8", newline="\n")
    torch.save(token_embedder(len(words), len(characters)), output / "token_embedder.pkl")
    torch.save(encoder(), output / "encoder.pkl")
    (output / "config.json").write_text(json.dumps({"config_path": "cnn_50_100_512_4096_sample.json"}) + "\n", "utf8")
    print(f"{output}: {len(words)} words, {len(characters)} characters")


if __name__ == "__main__":
    main()
