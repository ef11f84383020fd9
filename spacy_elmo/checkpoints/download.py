"""Published models onto this machine: fetched, checked, unpacked, and put in their place as a whole."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from . import allennlp, published
from .archives import is_archive, unpack
from .cache import cache_directory, exclusive, writing
from .errors import CheckpointError, DiskError
from .source import locate_directory
from .transfer import Patience, fetch

# What was downloaded and what came of it, beside the files.
RECORD_FILE = "download.json"
# The model before, while another one takes its place.
_OLD = "old"


def download_model(name: str, *, force: bool = False, progress: bool = True, patience: Patience | None = None) -> Path:
    """Download a published model, so that `load_bilm(name)` works offline. One that is here already is only checked.

    name: of the catalogue, see `python -m spacy elmo info --all`.
    force: download it again, and replace the one that is here.
    progress: show bars, where the output is a terminal.
    patience: how long to bear with the server; None for the usual.
    RETURNS: the directory, in the cache that the environment variable SPACY_ELMO_CACHE names or in ~/.cache/spacy-elmo.
    Raises CheckpointError where there is no such model; where it cannot be had, see `fetch`; where files are not those
        that the catalogue knows, or not those that came from the same place before; where the model is damaged.
    """
    model = published.find(name)
    if model is None:
        near = published.near(name)
        raise CheckpointError(
            f"'{name}' is not a published model that is known here."
            + (f" Did you mean {' or '.join(near)}?" if near else "")
            + " `python -m spacy elmo info --all` lists them."
        )
    if not model.files:
        raise CheckpointError(f"'{name}' comes with the package; there is nothing to download.")
    directory = published.directory_of(model)
    with exclusive(f"model-{model.name}"):
        _undo_half_a_change(directory, _working(model))
        if directory.is_dir() and not force:
            _check_record(directory, model.name)
            return directory
        with writing(directory):
            _install(model, directory, progress, patience or Patience())
    return directory


def digest(*paths: Path) -> str:
    """The SHA-256 of files, one after the other, in hexadecimal."""
    total = sha256()
    for path in paths:
        with path.open("rb") as file:
            while chunk := file.read(1024**2):
                total.update(chunk)
    return total.hexdigest()


def _working(model: published.Published) -> Path:
    """Where a model is made ready."""
    return cache_directory() / "unfinished" / model.name


def _undo_half_a_change(directory: Path, working: Path) -> None:
    """A process may have been killed between the two renames at the end of `_install`."""
    if (working / _OLD).exists() and not directory.exists():
        (working / _OLD).rename(directory)


def _install(model: published.Published, directory: Path, progress: bool, patience: Patience) -> None:
    """Everything happens beside the directory, which changes at the end, and whole."""
    working = _working(model)
    # What is left of a download from other addresses is of no use.
    addresses = sha256("\n".join(file.url for file in model.files).encode("utf8")).hexdigest()[:12]
    fetched, ready = working / f"fetched-{addresses}", working / "ready"
    fetched.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir()
    before = _read_record(directory).get("fetched", {})
    record: dict[str, Any] = {"name": model.name, "fetched": {}, "files": {}}
    for file in model.files:
        path = fetched / file.name
        _fetch(file, path, progress, patience)
        record["fetched"][file.url] = _checked_digest(file, path, before, directory)
    try:
        _make(model, fetched, ready)
    except DiskError:
        raise
    except CheckpointError as error:
        shutil.rmtree(working)
        urls = ", ".join(file.url for file in model.files)
        raise CheckpointError(f"What came from {urls} is no whole model: {error}") from None
    for path in sorted(path for path in ready.rglob("*") if path.is_file()):
        record["files"][path.relative_to(ready).as_posix()] = digest(path)
    (ready / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", "utf8")
    old = working / _OLD
    if directory.exists():
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    directory.parent.mkdir(parents=True, exist_ok=True)
    ready.rename(directory)
    shutil.rmtree(working, ignore_errors=True)


def _fetch(file: published.PublishedFile, path: Path, progress: bool, patience: Patience) -> None:
    if path.exists():
        return  # an earlier call got this far
    import requests
    from tqdm import tqdm

    with (
        requests.Session() as session,
        tqdm(desc=path.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None if progress else True) as bar,
    ):
        fetch(session, file.url, path, file.bytes, patience, bar)


def _checked_digest(file: published.PublishedFile, path: Path, before: dict[str, str], directory: Path) -> str:
    """The SHA-256 of a downloaded file. Where it is not what is expected, the file goes."""
    found = digest(path)
    if found == (expected := file.sha256 or before.get(file.url, found)):
        return found
    path.unlink()
    if file.sha256:
        raise CheckpointError(
            f"{file.url}: what came has the SHA-256 {found}, and not {expected}: it is damaged, or another file."
        )
    raise CheckpointError(
        f"{file.url}: what came has the SHA-256 {found}, but what came from there before had {expected}. Where the "
        f"change is right, delete {directory} and download it again."
    )


def _make(model: published.Published, fetched: Path, ready: Path) -> None:
    """Files that were fetched into a model, checked as far as that goes without reading its weights."""
    for file in model.files:
        if is_archive(fetched / file.name):
            unpack(fetched / file.name, ready)
        else:
            shutil.move(fetched / file.name, ready)
    location = locate_directory(ready)
    if location.format != model.format:
        raise CheckpointError(f"{ready} is a model in the format {location.format}, not {model.format}.")
    if location.format == "allennlp":
        allennlp.check(*location.paths)


def _check_record(directory: Path, name: str) -> None:
    """That all files are what they were when they were downloaded."""
    files = _read_record(directory).get("files", {})
    damaged = [path for path, known in files.items() if not _is_file(directory / path, known)]
    if damaged or not files:
        raise CheckpointError(
            f"{directory / (damaged[0] if damaged else RECORD_FILE)} is not what was downloaded. Fetch the model again "
            f"with: python -m spacy elmo download {name} --force"
        )


def _is_file(path: Path, known: str) -> bool:
    return path.is_file() and digest(path) == known


def _read_record(directory: Path) -> dict[str, Any]:
    """Empty where there is none that can be read."""
    try:
        record = json.loads((directory / RECORD_FILE).read_text("utf8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
