"""`python -m spacy elmo convert`: a model from one format into another."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .arguments import Dtype, SourceArgument, WeightsOption, source_of
from .failing import failing


class Format(str, Enum):
    """What a model can be written in."""

    native = "native"
    allennlp = "allennlp"


def convert(
    source: SourceArgument,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET", help="The directory to write; it is made if it does not exist", show_default=False
        ),
    ],
    to: Annotated[Format, typer.Option("--to", help="The format to write", show_default=False)],
    weights: WeightsOption = None,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="How to store the weights; float16 only in the format native")
    ] = Dtype.float32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there already")] = False,
) -> None:
    """Write a model in another format.

    The format "native" is this package's own: config.json and model.safetensors, and lexicon.json if the model has a
    lexicon, as models of ELMoForManyLangs do.

    The format "allennlp" is for AllenNLP and bilm-tf: options.json and weights.hdf5, and vocab.txt if the model has a
    vocabulary. It cannot hold a model with a lexicon.

    \b
    Examples:
      python -m spacy elmo convert ./elmo_small ./my_elmo --to native --dtype float16
      python -m spacy elmo convert ./options.json ./my_elmo --weights ./weights.hdf5 --to native
      python -m spacy elmo convert ./my_elmo ./allennlp --to allennlp
      python -m spacy elmo convert ./142.zip ./elmo_de --to native
    """
    with failing():
        from .. import checkpoints
        from ..language import metadata

        location = checkpoints.locate(source_of(source, weights))
        words = metadata.read_vocabulary(location.directory) if to is Format.allennlp else None
        done = checkpoints.convert(location, target, to.value, dtype=dtype.value, overwrite=overwrite, vocabulary=words)
    msg.good(f"Wrote {target}")
    taken = {metadata.VOCABULARY_FILE} if words is not None else set()
    if left := [path.name for path in done.left if path.name not in taken]:
        msg.info(f"Left behind: {', '.join(left)}. Vectors do not need them.")
    for limit in done.limits:
        msg.warn(f"AllenNLP itself cannot use this model. {limit}")
