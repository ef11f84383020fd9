"""All formats. One that comes before another is meant where a directory has files of both."""

from pathlib import Path

from .allennlp import ALLENNLP
from .allennlp_archive import ALLENNLP_ARCHIVE
from .format import Format
from .manylangs import MANYLANGS
from .native import NATIVE
from .saved_pipelines import SAVED_PIPELINE

# The first two before the native format, for their config.json is called so, too.
FORMATS: tuple[Format, ...] = (MANYLANGS, ALLENNLP_ARCHIVE, NATIVE, SAVED_PIPELINE, ALLENNLP)


def named(name: str) -> Format | None:
    """The format of a name."""
    return next((format for format in FORMATS if format.name == name), None)


def format_in(directory: Path) -> Format | None:
    """The format of the model in a directory, by the names of its files; None where there is none."""
    return next((format for format in FORMATS if format.recognises(directory)), None)
