"""Files and directories that are there whole or not at all.

One promise for everything that this package writes: whoever reads finds what was there before, whole, or what is new,
whole, also if the writing process is killed or the machine loses power on the way. What is new is on the disk itself
(fsync) before it takes its name. Permissions are those that the umask leaves, or those of what is replaced. What a
killed process has left lies hidden beside the name, and goes when that name is next written.
"""

from .changes import changes
from .digest import digest
from .directory import new_directory
from .errors import DiskError, TakenError, writing
from .file import new_file, write_whole
from .json import read_json
from .leftovers import settle
from .lock import lock

__all__ = [
    "DiskError",
    "TakenError",
    "changes",
    "digest",
    "lock",
    "new_directory",
    "new_file",
    "read_json",
    "settle",
    "write_whole",
    "writing",
]
