"""Prepare a corpus once: what stands there already is opened, and what is written stands there whole or not at all."""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import texts
from .build import build
from .corpus import MANIFEST, Corpus, read_manifest
from .errors import CorpusError

# A text file as the manifest has it: "path", "size", "mtime_ns", "sha256".
Record = dict[str, Any]
MAX_SHOWN = 5


def prepare(
    train: Sequence[Path],
    heldout: Sequence[Path] | None,
    nlp_config: dict[str, Any],
    directory: Path,
    *,
    n_workers: int,
    show_progress: bool,
) -> Corpus:
    """Tokenise and count texts, and write the corpus that `Corpus.open` opens. Where the directory holds one already,
    of the same texts and config, it is opened. The same texts give the same bytes, whatever `n_workers` is.

    train, heldout: files, directories or globs, see `texts.find`. None for `heldout` sets training documents aside:
        one in a hundred, or fewer, so that together they have about 200,000 words at most.
    nlp_config: "nlp" and "components" in spaCy's format: the tokenizer, and what finds sentences. A document in which
        nothing marks sentences is one sentence.
    directory: is written under another name beside it, and renamed when it is whole. What a killed preparation has left
        there is removed first; so two must not prepare one directory at the same time.
    n_workers: processes; a small corpus uses fewer.
    show_progress: to stderr.
    Raises CorpusError for texts that cannot be read or hold no words; where the directory holds a corpus of other texts
        or another config, or something else; and where it cannot be written.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers is {n_workers}; it has to be 1 or more.")
    nlp_config = json.loads(json.dumps(nlp_config))  # as the manifest gives it back
    train_files = texts.find(train)
    heldout_files = None if heldout is None else texts.find(heldout)
    if heldout_files is not None:
        texts.check_distinct(train_files + heldout_files)
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        return _open_prepared(directory, {"train": train_files, "heldout": heldout_files}, nlp_config)
    with _whole_or_nothing(directory) as unfinished:
        build(train_files, heldout_files, nlp_config, unfinished, n_workers=n_workers, show_progress=show_progress)
    return Corpus.open(directory)


def _open_prepared(directory: Path, files: dict[str, list[Path] | None], nlp_config: dict[str, Any]) -> Corpus:
    if not (directory / MANIFEST).is_file():
        raise CorpusError(f"{directory}: there already, and not a prepared corpus. Choose another output directory.")
    manifest = read_manifest(directory)
    changes = [
        f"{key} was {_shown(old)}, now {_shown(new)}" for key, old, new in _config_changes(manifest["nlp"], nlp_config)
    ]
    for part, now in files.items():
        changes += [f"{part} text: {change}" for change in _text_changes(manifest["sources"][part] or [], now or [])]
    if changes:
        shown = changes[:MAX_SHOWN] + ([f"{len(changes) - MAX_SHOWN} more"] if len(changes) > MAX_SHOWN else [])
        raise CorpusError(
            f"{directory} holds a corpus of other texts, or prepared in another way: {'; '.join(shown)}. Choose "
            f"another output directory, or remove {directory} to prepare it again."
        )
    return Corpus.open(directory)


def _shown(value: Any) -> str:
    return "left out" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


_ABSENT = object()


def _config_changes(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            path = f"{key}.{name}" if key else name
            yield from _config_changes(old.get(name, _ABSENT), new.get(name, _ABSENT), path)
    elif old != new:
        yield key, old, new


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
    digest = sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == record["sha256"]


def _has_path(record: Record, file: Path) -> bool:
    return record["path"] == str(file.absolute())


@contextmanager
def _whole_or_nothing(directory: Path) -> Iterator[Path]:
    """A new directory beside the one named, which takes its name in the end. Of an error nothing remains."""
    prefix = f"{directory.name}.preparing-"
    unfinished = directory.with_name(prefix + uuid.uuid4().hex)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        for path in directory.parent.iterdir():
            if path.name.startswith(prefix):
                shutil.rmtree(path)
        unfinished.mkdir()
        yield unfinished
        if directory.exists():
            directory.rmdir()  # empty, or it is not ours to remove
        unfinished.rename(directory)
    except OSError as error:
        raise CorpusError(
            f"{directory}: the corpus cannot be written ({error.strerror or error}). Free space there, or choose "
            "another output directory."
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
