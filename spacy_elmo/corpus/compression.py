"""Compressed files to the bytes in them, as they stream by."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .errors import CorpusError

SUFFIXES = (".gz", ".zst", ".bz2", ".xz")


def decompressed(chunks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """The chunks of a file, without the compression that the end of its name tells.

    Args:
        chunks: What the file holds.
        path: Its name.

    Raises:
        CorpusError: It is damaged, cut off, or compressed in another way; or a package is missing.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        yield from chunks
        return
    new_decompressor, fault = _decompressor(suffix, path)
    try:
        yield from _frames(chunks, new_decompressor)
    except (EOFError, fault) as error:
        raise CorpusError(f"{path}: damaged, or not compressed as its name says ({error}).") from None


def _decompressor(suffix: str, path: Path) -> tuple[Callable[[], Any], type[Exception]]:
    """What makes decompressors, and what they raise."""
    if suffix == ".gz":
        return lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16), zlib.error
    if suffix == ".bz2":
        return bz2.BZ2Decompressor, OSError
    if suffix == ".xz":
        return lzma.LZMADecompressor, lzma.LZMAError
    return _zst_decompressor(path)


def _zst_decompressor(path: Path) -> tuple[Callable[[], Any], type[Exception]]:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        try:
            import zstandard as zstd
        except ImportError:
            raise CorpusError(
                f"{path}: reading .zst takes the package zstandard. Install it: pip install zstandard"
            ) from None
    new = zstd.ZstdDecompressor if hasattr(zstd, "ZstdFile") else zstd.ZstdDecompressor().decompressobj
    return new, zstd.ZstdError


def _frames(chunks: Iterator[bytes], new_decompressor: Callable[[], Any]) -> Iterator[bytes]:
    """A compressed file may be several, one after another. Raises EOFError where the last one is cut off."""
    decompressor, is_first = None, True
    for chunk in chunks:
        while chunk:
            if decompressor is None:
                if not is_first and not (chunk := chunk.lstrip(b"\0")):  # what .gz and .xz may be filled up with
                    break
                decompressor, is_first = new_decompressor(), False
            yield decompressor.decompress(chunk)
            chunk = decompressor.unused_data
            if decompressor.eof:
                decompressor = None
    if decompressor is not None:
        raise EOFError("it ends in the middle")
