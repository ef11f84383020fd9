"""What storing a biLM's weights as float16 changes: the size of the file, the vectors, and the perplexity.

    python bench/storage.py MODEL TEXT [--sentences 500]

MODEL is a directory as `python -m spacy elmo pretrain` leaves it, with float32 weights and the softmax beside them.
TEXT is what it has not seen: a file, directory or glob, as for `pretrain`. The weights are written as `convert --dtype
float16` does and read back; the softmax, which is no part of the biLM, stays float32, and so do all computations.
Prints two Markdown tables.
"""

import argparse
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from spacy_elmo import BiLM, CheckpointError, LanguageModel, Perplexity, load_language_model, save_bilm, score
from spacy_elmo.checkpoints.source import locate
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.sentences import read_sentences
from spacy_elmo.pretraining import companions

Sentences = Sequence[Sequence[str]]
MEGABYTE = 10**6


def weights_file(directory: Path) -> Path:
    """Raises CheckpointError where the model there is not in the native format."""
    location = locate(directory)
    if location.format != "native":
        raise CheckpointError(f"{directory} holds a model in the format {location.format}, not one of `pretrain`.")
    return location.weights[0]


def dtypes(path: Path) -> set[str]:
    """What the numbers of a safetensors file are stored as, such as F32."""
    with safe_open(path, framework="np") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


def store_as_float16(model: LanguageModel, source: Path, target: Path) -> Path:
    """Write the biLM as float16, and copy what lies beside it."""
    save_bilm(model.bilm, target, dtype="float16")
    for path in companions.present(source):
        shutil.copy(path, target)
    return target


def vector_rows(exact: BiLM, near: BiLM, sentences: Sentences) -> list[list[str]]:
    """For each layer and the average of all: the size of its values, and how far float16 moved them."""
    pairs = [np.concatenate(bilm.embed(sentences), axis=1) for bilm in (exact, near)]
    names = ["words", *map(str, range(1, len(pairs[0]))), "average of all"]
    layers, others = (np.concatenate([found, found.mean(axis=0, keepdims=True)]) for found in pairs)
    return [[name, *_distances(one, other)] for name, one, other in zip(names, layers, others, strict=True)]


def _distances(exact: npt.NDArray[np.float32], near: npt.NDArray[np.float32]) -> list[str]:
    difference = near.astype(np.float64) - exact
    relative = np.linalg.norm(difference, axis=1) / np.linalg.norm(exact.astype(np.float64), axis=1)
    size = np.sqrt(np.mean(np.square(exact, dtype=np.float64)))
    figures = (np.abs(difference).max(), relative.mean(), relative.max())
    return [f"{size:.3f}", *(f"{figure:.1e}" for figure in figures)]


def score_rows(exact: LanguageModel, near: LanguageModel, sentences: Sentences) -> list[list[str]]:
    one, other = (Perplexity.of(score(model, sentences)) for model in (exact, near))
    rows = []
    for name in ("forward", "backward", "average"):
        before, after = getattr(one, name), getattr(other, name)
        rows.append([f"perplexity, {name}", f"{before:.4f}", f"{after:.4f}", f"{100 * (after / before - 1):+.4f}%"])
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def compare(directory: Path, text: Path, n_sentences: int) -> str:
    """The tables. Raises CheckpointError where the model is not one of `pretrain`, or holds float16 already."""
    weights = weights_file(directory)
    if (found := dtypes(weights)) != {"F32"}:
        raise CheckpointError(f"{weights} holds {', '.join(sorted(found))}: there is nothing to compare but with F32.")
    exact = load_language_model(directory, device="cpu")
    nlp_config = companions.read_nlp_config(weights.parent)
    sentences = [sentence for sentence in islice(read_sentences([text], nlp_config), n_sentences) if sentence]
    if not sentences:
        raise CorpusError(f"{text} holds no sentences.")
    with TemporaryDirectory() as temporary:
        half = store_as_float16(exact, weights.parent, Path(temporary) / "float16")
        sizes = [path.stat().st_size for path in (weights, weights_file(half))]
        near = load_language_model(half, device="cpu")
        size_row = [
            weights.name,
            *(f"{size / MEGABYTE:.2f} MB" for size in sizes),
            f"{100 * (sizes[1] / sizes[0] - 1):+.1f}%",
        ]
        rows = [size_row, *score_rows(exact, near, sentences)]
        vectors = vector_rows(exact.bilm, near.bilm, sentences)
    words = sum(map(len, sentences))
    return (
        f"{len(sentences):,} sentences, {words:,} words of {text.name}:\n\n"
        + table(["", "float32", "float16", "change"], rows)
        + "\n"
        + table(
            [
                "layer",
                "root mean square of values",
                "largest difference of a value",
                "relative difference of a word's vector, mean",
                "largest",
            ],
            vectors,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--sentences", type=int, default=500, help="of the text's first")
    arguments = parser.parse_args()
    try:
        print(compare(arguments.model, arguments.text, arguments.sentences))
    except (CheckpointError, CorpusError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
