"""Published models onto this machine: fetched, checked, unpacked, and put in their place as a whole."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..disk import digest, new_directory, read_json
from . import published
from .archives import is_archive, unpack
from .cache import ADVICE, cache_directory, caching, exclusive
from .errors import CheckpointError
from .source import locate_directory
from .transfer import Patience, fetch

# What was downloaded and what came of it, beside the files.
RECORD_FILE = "download.json"


def download_model(
    name: str, *, force: bool = False, show_progress: bool = True, patience: Patience | None = None
) -> Path:
    """Download a published model, so that `load_bilm(name)` works offline. One that is here already is only checked.

    Args:
        name: Of the catalogue, see `python -m spacy elmo info`; or the address of one of the model's files.
        force: Download it again, and replace the one that is here.
        show_progress: By bars, where the output is a terminal.
        patience: How long to bear with the server; None for the usual.

    Returns:
        The directory, in the cache that the environment variable SPACY_ELMO_CACHE names or in ~/.cache/spacy-elmo.

    Raises:
        CheckpointError: There is no such model; it cannot be had, see `fetch`; files are not those that the catalogue
            knows, or not those that came from the same place before; or the model is damaged.
        DiskError: The disk does not take it.
    """
    model = _model(name)
    if not force and (here := published.downloaded(model.name)) is not None:
        _check_record(here, model.name)
        return here
    directory = published.directory_of(model.name)
    with exclusive(f"model-{model.name}"):
        if not force and (here := published.downloaded(model.name)) is not None:  # another process was quicker
            _check_record(here, model.name)
            return here
        with caching(directory):
            _install(model, directory, show_progress, patience or Patience())
    return directory


def _model(name: str) -> published.Published:
    known = published.name_of(name)
    model = published.find(known) if known is not None else None
    if model is None:
        near = published.near(name)
        raise CheckpointError(
            f"'{name}' is not a published model that is known here."
            + (f" Did you mean {' or '.join(near)}?" if near else "")
            + " `python -m spacy elmo info` lists them."
        )
    if not model.files:
        raise CheckpointError(f"'{name}' comes with the package; there is nothing to download.")
    return model


def _install(model: published.Published, directory: Path, show_progress: bool, patience: Patience) -> None:
    """Everything happens beside the directory, which changes at the end, and whole."""
    # What is left of a download from other addresses is of no use.
    addresses = sha256("\n".join(file.url for file in model.files).encode("utf8")).hexdigest()[:12]
    working = cache_directory() / "unfinished" / model.name
    fetched = working / f"fetched-{addresses}"
    fetched.mkdir(parents=True, exist_ok=True)
    before = _read_record(directory).get("fetched", {})
    record: dict[str, Any] = {"name": model.name, "fetched": {}, "files": {}}
    for file in model.files:
        _fetch(file, fetched / file.name, show_progress, patience)
        record["fetched"][file.url] = _checked_digest(file, fetched / file.name, before, directory)
    with new_directory(directory, overwrite=True, advice=ADVICE) as ready:
        try:
            _make(model, fetched, ready)
        except CheckpointError as error:
            shutil.rmtree(working)
            urls = ", ".join(file.url for file in model.files)
            raise CheckpointError(f"What came from {urls} is no whole model: {error}") from None
        for path in sorted(path for path in ready.rglob("*") if path.is_file()):
            record["files"][path.relative_to(ready).as_posix()] = digest(path)
        (ready / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", "utf8")
    shutil.rmtree(working, ignore_errors=True)


def _fetch(file: published.PublishedFile, path: Path, show_progress: bool, patience: Patience) -> None:
    if path.exists():
        return  # an earlier call got this far
    import requests
    from tqdm import tqdm

    with (
        requests.Session() as session,
        tqdm(
            desc=path.name, unit="B", unit_scale=True, unit_divisor=1024, disable=None if show_progress else True
        ) as bar,
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
    if location.format.name != model.format:
        raise CheckpointError(f"{ready} is a model in the format {location.format.name}, not {model.format}.")
    location.format.check(location)


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
        record = read_json(directory / RECORD_FILE, CheckpointError)
    except CheckpointError:
        return {}
    sections = ("fetched", "files")
    is_record = isinstance(record, dict) and all(isinstance(record.get(section), dict) for section in sections)
    return record if is_record else {}
