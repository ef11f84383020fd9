"""`python -m spacy elmo download`: a published model onto this machine."""

from typing import Annotated

import typer
from wasabi import msg

from .failing import failing


def download(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A published model; `info --all` lists them", show_default=False)
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Download it again, and replace the model that is here")
    ] = False,
) -> None:
    """Download a published model, once, to use it by its name.

    The model goes to ~/.cache/spacy-elmo, or to the directory in the environment variable SPACY_ELMO_CACHE. HTTPS_PROXY
    and the like are respected.

    If a download was interrupted, the same command continues it. Files are checked against the length and SHA-256 in
    the catalogue. If the catalogue has none, they are checked against the first download. A model that is here already
    is only checked.

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
