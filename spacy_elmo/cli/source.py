"""The arguments by which commands are told a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..checkpoints import Source

SOURCE_HELP = (
    "A model's name (en_elmo_sm, or one you downloaded); a directory, an archive, or a file of the model; a saved or "
    "installed pipeline"
)
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE_HELP, show_default=False)]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="AllenNLP's weights file, where SOURCE is its options file and they do not lie together",
    ),
]


def source_of(source: str, weights: Path | None) -> "Source":
    """What `load_bilm` loads."""
    return source if weights is None else (source, weights)
