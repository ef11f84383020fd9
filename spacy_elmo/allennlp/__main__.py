"""AllenNLP's command `elmo`, with its arguments: `python -m spacy_elmo.allennlp elmo INPUT OUTPUT --all`."""

import argparse
import sys
from collections.abc import Sequence

from ..errors import ElmoError
from .embedder import DEFAULT_BATCH_SIZE, DEFAULT_OPTIONS_FILE, ElmoEmbedder
from .vectors_file import FORMATS

_DESCRIPTIONS = dict(zip(FORMATS, ("all layers", "the top layer", "the average of the layers"), strict=True))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Errors of input and of files end it with their message and exit code 1."""
    options = _parser().parse_args(arguments)
    try:
        embedder = ElmoEmbedder(
            options.options_file, options.weight_file, options.cuda_device, stateful=options.stateful
        )
        with open(options.input_file, encoding="utf-8") as lines:
            embedder.embed_file(
                lines,
                options.output_file,
                options.output_format,
                options.batch_size,
                options.forget_sentences,
                options.use_sentence_keys,
            )
    except UnicodeDecodeError as error:
        sys.exit(f"{options.input_file}: the file is not in UTF-8 ({error}).")
    except (ElmoError, OSError) as error:
        sys.exit(f"{error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m spacy_elmo.allennlp")
    elmo = parser.add_subparsers(required=True, metavar="elmo").add_parser(
        "elmo", help="embed a text file", description="Embed the sentences of a text file into an HDF5 file of vectors."
    )
    elmo.add_argument("input_file", help="a sentence a line, its words between spaces, in UTF-8")
    elmo.add_argument("output_file", help="the HDF5 file to write")
    formats = elmo.add_mutually_exclusive_group(required=True)
    for name, what in _DESCRIPTIONS.items():
        formats.add_argument(f"--{name}", dest="output_format", action="store_const", const=name, help=f"write {what}")
    elmo.add_argument("--options-file", default=DEFAULT_OPTIONS_FILE, help="path or published address of the options")
    elmo.add_argument("--weight-file", default=None, help="path or published address of the weights")
    elmo.add_argument("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, help="sentences to embed together")
    elmo.add_argument("--cuda-device", type=int, default=-1, help="number of a GPU; -1 for the CPU")
    elmo.add_argument("--forget-sentences", action="store_true", help="do not write which sentence stood in which line")
    elmo.add_argument("--use-sentence-keys", action="store_true", help="name vectors by their sentences")
    elmo.add_argument("--stateful", action="store_true", help="go on from batch to batch, as AllenNLP did")
    return parser


if __name__ == "__main__":
    main()
