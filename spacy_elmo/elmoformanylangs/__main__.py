"""ELMoForManyLangs' command, with its arguments: `python -m spacy_elmo.elmoformanylangs test --input FILE …`."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..errors import ArgumentError, ElmoError
from .embedder import ALL, AVERAGE, Embedder, select
from .files import INPUT_FORMATS, OUTPUT_FORMATS, read_sentences, vectors_file

# Enough to make wide products of, and few enough to hold.
SENTENCES_AT_ONCE = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Errors of input and of files end it with their message and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        _embed(options)
    except (ElmoError, OSError) as error:
        sys.exit(f"{error}")


def _embed(options: argparse.Namespace) -> None:
    # Of equal sentences one is written: they name one dataset.
    sentences = list(dict.fromkeys(map(tuple, read_sentences(options.input, options.input_format))))
    embedder = Embedder(options.model, device="cpu" if options.gpu < 0 else f"cuda:{options.gpu}")
    n_layers = embedder.bilm.config.n_layers + 1
    if unknown := [number for number in options.output_layer if not AVERAGE <= number < n_layers]:
        raise ArgumentError(
            f"There is no layer {unknown[0]}: give numbers from 0 to {n_layers - 1}, or -1 for the average."
        )
    outputs = [(number, kind) for kind in options.output_format for number in options.output_layer]
    paths = [Path(f"{options.output_prefix}.ly{number}.{kind}") for number, kind in outputs]
    with ExitStack() as stack:
        files = [stack.enter_context(vectors_file(path, kind)) for path, (_, kind) in zip(paths, outputs, strict=True)]
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            part = sentences[start : start + SENTENCES_AT_ONCE]
            for words, layers in zip(part, embedder.sents2elmo(part, ALL), strict=True):
                for (number, _), write in zip(outputs, files, strict=True):
                    write(words, select(layers, number))
    print(*paths, sep="\n")


def _formats(value: str) -> list[str]:
    formats = value.split(",")
    if unknown := sorted(set(formats) - set(OUTPUT_FORMATS)):
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(OUTPUT_FORMATS)}")
    return formats


def _numbers(value: str) -> list[int]:
    return [int(number) for number in value.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spacy_elmo.elmoformanylangs")
    test = parser.add_subparsers(required=True, metavar="test").add_parser(
        "test", help="embed a file", description="Embed the sentences of a file; the same sentence once."
    )
    test.add_argument("--input", type=Path, required=True, help="the file, in UTF-8")
    test.add_argument(
        "--input_format",
        choices=INPUT_FORMATS,
        default="plain",
        help="a sentence a line with tabs between its words; CoNLL-U; the characters of its words; their parts",
    )
    test.add_argument("--model", required=True, help="directory of the model, or what else names one")
    test.add_argument("--output_prefix", required=True, help="of the files PREFIX.lyLAYER.FORMAT")
    test.add_argument("--output_format", type=_formats, default=["hdf5"], help="hdf5, txt, or both with a comma")
    test.add_argument(
        "--output_layer", type=_numbers, required=True, help="numbers of layers, with commas; -1 for the average"
    )
    test.add_argument("--gpu", type=int, default=-1, help="number of a GPU; -1 for the CPU")
    test.add_argument("--batch_size", "--batch", type=int, default=1, help="taken, and without an effect")
    return parser


if __name__ == "__main__":
    main()
