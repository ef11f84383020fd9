"""Prepare a corpus once: what stands there already is opened, and what is written stands there whole or not at all."""

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import spacy

from ..disk import changes, digest, lock, new_directory
from .build import build
from .corpus import FORMAT_VERSION, MANIFEST, Corpus, read_manifest
from .errors import CorpusError
from .files import check_distinct, find, suffix
from .tokenize import TextSettings

# A text file as the manifest has it: "path", "size", "mtime_ns", "sha256".
Record = dict[str, Any]
# The training and the held-out files; None where training documents are to be set aside.
Files = tuple[list[Path], list[Path] | None]
MAX_SHOWN = 5


def prepare(
    train: Sequence[Path],
    heldout: Sequence[Path] | None,
    settings: TextSettings,
    directory: Path,
    *,
    n_workers: int,
    show_progress: bool,
) -> Corpus:
    """Tokenise and count texts, and write the corpus that `Corpus.open` opens.

    Where the directory holds one already, of the same texts and settings, it is opened. The same texts give the same
    bytes, whatever `n_workers` is.

    Args:
        train: Files, directories or globs, see `files.find`.
        heldout: The same. None sets training documents aside: one in a hundred, or fewer, so that together they have
            about 200,000 words at most.
        settings: How texts become words.
        directory: The corpus. Where another process prepares it at the moment, this one waits, and opens it.
        n_workers: Processes; a small corpus uses fewer.
        show_progress: To stderr.

    Raises:
        CorpusError: Texts cannot be read or hold no words; or the directory holds a corpus of other texts or settings,
            or something else.
        DiskError: The corpus cannot be written.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers is {n_workers}; it has to be 1 or more.")
    settings = _plain(settings)
    files = _find(train, heldout)
    with lock(directory.with_name(f".{directory.name}.lock"), f"The corpus {directory}", wait=True):
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            return _open_prepared(directory, files, settings)
        with new_directory(directory) as unfinished:
            build(*files, settings, unfinished, n_workers=n_workers, show_progress=show_progress)
    return Corpus.open(directory)


def shared_directory(
    corpora: Path, train: Sequence[Path], heldout: Sequence[Path] | None, settings: TextSettings
) -> Path:
    """Where `prepare` finds a corpus that others have prepared from the same texts in the same way.

    Args:
        corpora: A directory of corpora.
        train: As for `prepare`.
        heldout: As for `prepare`.
        settings: As for `prepare`.

    Returns:
        A directory below, named by a digest of all that the corpus depends on.
    """
    files, settings = _find(train, heldout), _plain(settings)
    texts = [[(suffix(file), digest(file)) for file in part] if part is not None else None for part in files]
    contents = [FORMAT_VERSION, spacy.__version__, settings.nlp, settings.format, settings.code_digest, texts]
    return corpora / sha256(json.dumps(contents, sort_keys=True).encode("utf8")).hexdigest()[:32]


def _plain(settings: TextSettings) -> TextSettings:
    """Settings as the manifest gives them back."""
    return replace(settings, nlp=json.loads(json.dumps(settings.nlp)))


def _find(train: Sequence[Path], heldout: Sequence[Path] | None) -> Files:
    train_files = find(train)
    if heldout is None:
        return train_files, None
    heldout_files = find(heldout)
    check_distinct(train_files + heldout_files)
    return train_files, heldout_files


def _open_prepared(directory: Path, files: Files, settings: TextSettings) -> Corpus:
    if not (directory / MANIFEST).is_file():
        raise CorpusError(f"{directory}: there already, and not a prepared corpus. Choose another output directory.")
    manifest = read_manifest(directory)
    if found := list(_changes(manifest, files, settings)):
        shown = found[:MAX_SHOWN] + ([f"{len(found) - MAX_SHOWN} more"] if len(found) > MAX_SHOWN else [])
        raise CorpusError(
            f"{directory} holds a corpus of other texts, or prepared in another way: {'; '.join(shown)}. Choose "
            f"another output directory, or remove {directory} to prepare it again."
        )
    if manifest.get("code") != settings.code_digest:
        # It need not have to do with words: loggers stand in such files too.
        warnings.warn(
            f"{directory} was prepared with other code of yours than is given now. If that changes how texts are "
            f"tokenised, remove {directory} to prepare it again.",
            stacklevel=2,
        )
    return Corpus.open(directory)


def _changes(manifest: dict[str, Any], files: Files, settings: TextSettings) -> Iterator[str]:
    """How a prepared corpus differs from what is wanted."""
    old = {**manifest["nlp"], "corpus": {"format": manifest.get("text_format", "documents")}}
    new = {**settings.nlp, "corpus": {"format": settings.format}}
    yield from changes(old, new)
    for part, found in zip(("train", "heldout"), files, strict=True):
        for change in _text_changes(manifest["sources"][part] or [], found or []):
            yield f"{part} text: {change}"


def _text_changes(records: list[Record], files: list[Path]) -> Iterator[str]:
    if len(records) == len(files):
        for record, file in zip(records, files, strict=True):
            if not _is_same(record, file):
                yield f"{record['path']} has changed" if _has_path(record, file) else f"{file} was {record['path']}"
    else:
        before, now = {record["path"] for record in records}, {str(file.absolute()) for file in files}
        yield from (f"{path} is new" for path in sorted(now - before))
        yield from (f"{path} is missing" for path in sorted(before - now))


def _is_same(record: Record, file: Path) -> bool:
    """Whether the file is what was read. One that was moved or touched is, by its digest."""
    stat = file.stat()
    if stat.st_size != record["size"]:
        return False
    if _has_path(record, file) and stat.st_mtime_ns == record["mtime_ns"]:
        return True
    return digest(file) == record["sha256"]


def _has_path(record: Record, file: Path) -> bool:
    return record["path"] == str(file.absolute())
