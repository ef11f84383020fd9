"""Arguments that several commands take."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..checkpoints import Source

SOURCE_HELP = (
    "A model: its name (en_elmo_sm, or one that you downloaded); its directory, archive or file; or a saved or "
    "installed pipeline with ELMo"
)
ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="SOURCE", help=SOURCE_HELP)]
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP, show_default=False)]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="AllenNLP's weights file, if the model is an options file in another directory",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", help="What each line of text is: documents, sentences, or tokens", show_default=False
    ),
]


class Dtype(str, Enum):
    """How numbers can be stored."""

    float32 = "float32"
    float16 = "float16"


def source_of(source: str, weights: Path | None) -> "Source":
    """What `load_bilm` loads."""
    return source if weights is None else (source, weights)
