"""What storing a biLM's weights as float16 changes: the size of the file, the vectors, and the perplexity.

    python -m bench.storage MODEL TEXT [--sentences 500] [--pipelines training/uner/elmo-100pct-seed0/model-best …
        --test corpus/uner/test.spacy --score ents_f]

MODEL is a directory as `python -m spacy elmo pretrain` leaves it, with float32 weights and the softmax beside them.
TEXT is what it has not seen: a file, directory or glob, as for `pretrain`. The biLM and the softmax are written as
float16, as the embedded model is, and read back; all computations stay float32.
Prints two Markdown tables; and a third with the test scores of trained pipelines, with each biLM in turn.
"""

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import spacy
from safetensors import safe_open
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Config

from spacy_elmo import (
    BiLM,
    CheckpointError,
    LanguageModel,
    Perplexity,
    load_bilm,
    load_language_model,
    save_bilm,
    score,
)
from spacy_elmo.checkpoints.source import locate
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.sentences import read_sentences
from spacy_elmo.language import metadata, save_language_model
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.layers.shim import BiLMShim

Sentences = Sequence[Sequence[str]]
MEGABYTE = 10**6


def weights_file(directory: Path) -> Path:
    """Raises CheckpointError where the model there is not in the native format."""
    location = locate(directory)
    if location.format.name != "native":
        raise CheckpointError(f"{directory} holds a model in the format {location.format.name}, not one of `pretrain`.")
    return location.weights[0]


def dtypes(path: Path) -> set[str]:
    """What the numbers of a safetensors file are stored as, such as F32."""
    with safe_open(path, framework="np") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


def store_as_float16(model: LanguageModel, source: Path, target: Path) -> Path:
    """Write the biLM and the softmax as float16, and what lies beside them."""
    config = Config().from_disk(source / metadata.CONFIG_FILE)
    save_language_model(model, target, config, metadata.read_facts(source) or {}, dtype="float16")
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


def size_row(name: str, exact: Path, near: Path) -> list[str]:
    before, after = ((directory / name).stat().st_size for directory in (exact, near))
    return [name, *(f"{size / MEGABYTE:.2f} MB" for size in (before, after)), f"{100 * (after / before - 1):+.1f}%"]


def score_rows(exact: LanguageModel, near: LanguageModel, sentences: Sentences) -> list[list[str]]:
    one, other = (Perplexity.of(score(model, sentences)) for model in (exact, near))
    rows = []
    for name in ("forward", "backward", "average"):
        before, after = getattr(one, name), getattr(other, name)
        rows.append([f"perplexity, {name}", f"{before:.4f}", f"{after:.4f}", f"{100 * (after / before - 1):+.4f}%"])
    return rows


def pipeline_rows(models: Sequence[Path], pipelines: Sequence[Path], test: Path, key: str) -> list[list[str]]:
    """Scores of pipelines whose component "elmo" is given the weights of one model and then of the other."""
    rows = []
    for path in pipelines:
        nlp = spacy.load(path)
        found = []
        for model in models:
            elmo: Any = nlp.get_pipe("elmo")
            bilm_shim(elmo.encoder).from_bytes(BiLMShim(model, "float32").to_bytes())
            gold = DocBin().from_disk(test).get_docs(nlp.vocab)
            examples = [Example(Doc(nlp.vocab, [token.text for token in doc]), doc) for doc in gold]
            found.append(100 * nlp.evaluate(examples)[key])
        rows.append([path.parent.name, *(f"{value:.2f}" for value in found), f"{found[1] - found[0]:+.2f}"])
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
    settings = metadata.read_text_settings(weights.parent)
    sentences = [sentence for sentence in islice(read_sentences([text], settings), n_sentences) if sentence]
    if not sentences:
        raise CorpusError(f"{text} holds no sentences.")
    with TemporaryDirectory() as temporary:
        half = store_as_float16(exact, weights.parent, Path(temporary) / "float16")
        near = load_language_model(half, device="cpu")
        sizes = [size_row(name, weights.parent, half) for name in (weights.name, metadata.SOFTMAX_FILE)]
        rows = [*sizes, *score_rows(exact, near, sentences)]
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
    parser.add_argument("--pipelines", type=Path, nargs="+", default=[], help="trained, with a component elmo")
    parser.add_argument("--test", type=Path, help="what to score them on, a .spacy file")
    parser.add_argument("--score", default="ents_f", help="the key in spaCy's scores")
    arguments = parser.parse_args()
    if arguments.pipelines and not arguments.test:
        parser.error("--pipelines needs --test")
    try:
        print(compare(arguments.model, arguments.text, arguments.sentences))
        if arguments.pipelines:
            with TemporaryDirectory() as temporary:
                half = Path(temporary) / "float16"
                save_bilm(load_bilm(arguments.model, "cpu"), half, dtype="float16")
                rows = pipeline_rows([arguments.model, half], arguments.pipelines, arguments.test, arguments.score)
            print(table(["pipeline", f"{arguments.score}, float32", "float16", "change"], rows))
    except (CheckpointError, CorpusError, OSError, ValueError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
