"""Arguments that several commands take."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..checkpoints import Source

SOURCE_HELP = (
    "A model's name (en_elmo_sm, or one you downloaded); a directory, an archive, or a file of the model; a saved or "
    "installed pipeline"
)
ModelOption = Annotated[str, typer.Option("--model", "-m", metavar="SOURCE", help=SOURCE_HELP)]
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP, show_default=False)]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="AllenNLP's weights file, where SOURCE is its options file and they do not lie together",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", "-f", help="What a line of text is: documents, sentences, or tokens", show_default=False),
]


class Dtype(str, Enum):
    """How numbers can be stored."""

    float32 = "float32"
    float16 = "float16"


def source_of(source: str, weights: Path | None) -> "Source":
    """What `load_bilm` loads."""
    return source if weights is None else (source, weights)
