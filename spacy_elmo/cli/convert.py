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
        typer.Argument(metavar="TARGET", help="The directory to write, made where it is not there", show_default=False),
    ],
    to: Annotated[Format, typer.Option("--to", help="The format to write", show_default=False)],
    weights: WeightsOption = None,
    dtype: Annotated[
        Dtype, typer.Option("--dtype", help="How to store numbers; float16 in native alone")
    ] = Dtype.float32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that stands there already")] = False,
) -> None:
    """Write a model in another format.

    "native" is config.json and model.safetensors, with a lexicon.json for a model that has a lexicon, as those of
    ELMoForManyLangs do. "allennlp" is the options.json and weights.hdf5 of AllenNLP and bilm-tf, with the vocab.txt of
    bilm-tf where the model has a vocabulary; it holds no lexicon.

    \b
    Examples:
      python -m spacy elmo convert ./elmo_small ./my_elmo --to native --dtype float16
      python -m spacy elmo convert ./small_options.json ./my_elmo --weights ./small_weights.hdf5 --to native
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
