"""What goes wrong with a disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ElmoError

ADVICE = "Free some space, or choose another place; what was there before is unchanged."
# Where space would not help.
_OTHER_PLACE = "Choose another place."
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskError(ElmoError, OSError):
    """The disk does not take what is written to it. The message names the place."""


class TakenError(ElmoError, FileExistsError):
    """Something has the name already, and is not to be replaced. The message names it."""


@contextmanager
def writing(path: Path, advice: str = ADVICE) -> Iterator[None]:
    """Turn faults of the disk into errors that say what to do.

    Args:
        path: What is being written. Faults of files that are neither it nor in it pass as they are.
        advice: What to do, as the end of the message.

    Raises:
        DiskError: In place of an OSError.
    """
    try:
        yield
    except ElmoError:
        raise
    except OSError as error:
        if not _concerns(error, path):
            raise
        if advice is ADVICE and error.errno not in _FULL:
            advice = _OTHER_PLACE
        raise DiskError(f"{path}: could not be written ({error}). {advice}") from None


def _concerns(error: OSError, path: Path) -> bool:
    """A write to an open file fails without a name.

    All else names one: the path or a directory that it is in; or what is in it, also while it is built under a hidden
    name.
    """
    if not isinstance(error.filename, str | bytes):
        return True
    name = Path(os.fsdecode(error.filename))
    if name == path or name in path.parents:
        return True
    beside = [part.name for part in (name, *name.parents) if part.parent == path.parent]
    return any(part == path.name or part.startswith(f".{path.name}.") for part in beside)
