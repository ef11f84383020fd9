"""What goes wrong with a job of embedding."""

from ..errors import ElmoError


class EmbeddingError(ElmoError, ValueError):
    """Inputs that are not there, settings that contradict each other, or an output that belongs to another job.

    The message names the file or the setting.
    """
