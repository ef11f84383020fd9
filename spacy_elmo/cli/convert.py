"""`python -m spacy elmo convert`: a model from one format into another."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from .failing import failing
from .source import SourceArgument, WeightsOption, source_of


class Format(str, Enum):
    native = "native"
    allennlp = "allennlp"


class Dtype(str, Enum):
    float32 = "float32"
    float16 = "float16"


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
    """Write a model in another format. "native" is config.json and model.safetensors, with a lexicon.json for a model
    that has a lexicon, as those of ELMoForManyLangs do. "allennlp" is the options.json and weights.hdf5 of AllenNLP and
    bilm-tf, with the vocab.txt of bilm-tf where the model has a vocabulary; it holds no lexicon.

    \b
    Examples:
      python -m spacy elmo convert ./elmo_small ./my_elmo --to native --dtype float16
      python -m spacy elmo convert ./small_options.json ./my_elmo --weights ./small_weights.hdf5 --to native
      python -m spacy elmo convert ./my_elmo ./allennlp --to allennlp
      python -m spacy elmo convert ./142.zip ./elmo_de --to native
    """
    with failing():
        from ..checkpoints import allennlp, load_located, native
        from ..checkpoints.source import locate
        from ..language import metadata

        location = locate(source_of(source, weights))
        directory = location.directory
        _check_target(target)
        words = metadata.read_vocabulary(directory) if to is Format.allennlp else None
        bilm = load_located(location, device="cpu")
        if to is Format.allennlp:
            allennlp.write(bilm, target, dtype=dtype.value, overwrite=overwrite, vocabulary=words)
        else:
            native.write(bilm, target, dtype=dtype.value, overwrite=overwrite)
    msg.good(f"Wrote {target}")
    taken = {metadata.VOCABULARY_FILE} if words is not None else set()
    if left := [path.name for path in metadata.present(directory) if path.name not in taken]:
        msg.info(f"Left behind: {', '.join(left)}. Vectors do not need them.")
    for limit in allennlp.limits(bilm.config) if to is Format.allennlp else []:
        msg.warn(f"AllenNLP itself cannot use this model. {limit}")


def _check_target(directory: Path) -> None:
    """A converted model beside another one's softmax would look like a model that can go on training."""
    from ..disk import TakenError
    from ..language import metadata

    for path in metadata.present(directory):
        raise TakenError(f"{path} is part of a model that was trained here; choose another directory.")
