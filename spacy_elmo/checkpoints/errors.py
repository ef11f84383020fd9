"""What goes wrong with checkpoint files."""

from ..errors import ElmoError


class CheckpointError(ElmoError, ValueError):
    """A checkpoint that is not there, not whole, or not what it says it is. The message names the file."""


class DiskError(CheckpointError):
    """The disk does not take what is written to it. The message names the place."""
