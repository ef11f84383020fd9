"""`python -m spacy elmo download`: a published model onto this machine."""

from typing import Annotated

import typer
from wasabi import msg

from .failing import failing


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A published model; `info --all` lists them", show_default=False)
    ],
    force: Annotated[bool, typer.Option("--force", help="Download it again, and replace the one that is here")] = False,
) -> None:
    """Download a published model, for use by its name from then on, without a network.

    The environment variable SPACY_ELMO_CACHE says where to, else it is ~/.cache/spacy-elmo; HTTPS_PROXY and the like
    are honoured.

    A download that was cut goes on where it was. Files are checked against the catalogue's length and SHA-256 where it
    has them, else against those of the first download. A model that is here already is only checked.

    \b
    Examples:
      python -m spacy elmo download small
      python -m spacy elmo download original --force
      SPACY_ELMO_CACHE=/data/elmo python -m spacy elmo download manylangs-de
    """
    with failing():
        from ..checkpoints import download_model

        directory = download_model(name, force=force)
    msg.good(f"{name} is here: {directory}")
