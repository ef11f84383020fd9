"""What goes wrong with texts and corpora."""

from ..errors import ElmoError


class CorpusError(ElmoError, ValueError):
    """Texts that cannot be read, or a prepared corpus that is not there, not whole, or of other texts.

    The message names the file.
    """
