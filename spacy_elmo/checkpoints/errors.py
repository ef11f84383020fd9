"""What goes wrong with checkpoint files."""

from collections.abc import Collection

from ..errors import ElmoError

_MOST_NAMES = 12


class CheckpointError(ElmoError, ValueError):
    """A checkpoint that is not there, not whole, or not what it says it is. The message names the file."""


def listed(names: Collection[str]) -> str:
    """Names for a message: all of them where they are few, else the first ones and how many more there are."""
    first = list(names)[:_MOST_NAMES]
    more = len(names) - len(first)
    return (", ".join(first) or "nothing") + (f" and {more:,} more" if more else "")
