"""The arguments by which commands are told a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..checkpoints import Source

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="An embedded model (en_elmo_sm), a directory with a model, or AllenNLP's options file beside --weights",
        show_default=False,
    ),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", help="AllenNLP's weights file, where SOURCE is its options file")
]


def source_of(source: str, weights: Path | None) -> "Source":
    """What `load_bilm` loads."""
    return source if weights is None else (source, weights)
