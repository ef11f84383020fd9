"""Digests of files."""

from hashlib import sha256
from pathlib import Path

_CHUNK = 1024**2


def digest(*paths: Path) -> str:
    """The SHA-256 of files, one after the other, in hexadecimal."""
    total = sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    return total.hexdigest()
