"""JSON that says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

from ..errors import ElmoError


def read_json(path: Path, error: type[ElmoError], advice: str = "", *, max_bytes: int = 1_000_000) -> Any:
    """Read a JSON file, in UTF-8 with or without a byte-order mark, or in UTF-16 or UTF-32.

    Args:
        path: The file.
        error: What to raise.
        advice: What to do where it is missing or damaged, as the end of the message.
        max_bytes: More than such a file ever takes; a longer one is not read.

    Raises:
        error: The file cannot be read, is longer, or is not JSON. The message names it and the reason.
    """
    try:
        if (size := path.stat().st_size) > max_bytes:
            raise ValueError(f"it has {size:,} bytes, and such a file never takes more than {max_bytes:,}")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        reason = "no such file"
    except OSError as fault:
        reason = f"not readable ({fault.strerror or fault})"
    except ValueError as fault:
        reason = f"not readable as JSON ({fault})"
    except RecursionError:
        reason = "not readable as JSON (it is nested too deeply)"
    raise error(f"{path}: {reason}. {advice}".rstrip())
