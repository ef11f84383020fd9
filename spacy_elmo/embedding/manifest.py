"""What a directory of parts says of itself: of which job it is, and whether it is complete."""

import json
from typing import Any

from ..disk import changes
from .errors import EmbeddingError
from .parts import finished, read_record, remove_record
from .places import Place

FORMAT = "spacy-elmo-embeddings"
FORMAT_VERSION = 1
# Readers of Parquet pass over names that begin so.
MANIFEST = "_manifest.json"
REJECTS = "_rejects.jsonl"
_SHOWN = 5


def begin(place: Place, job: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a directory that is this job's; one is written where there is nothing yet.

    Args:
        place: The directory.
        job: All that decides what is in the parts, JSON-ready.

    Raises:
        EmbeddingError: The directory is another job's, or holds something else.
    """
    names = {name for name in place.names() if not name.rpartition("/")[2].startswith(".")}
    if MANIFEST in names:
        manifest = read(place)
        if found := list(changes(manifest["job"], job)):
            more = f", and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise EmbeddingError(
                f"{place}: the output is of another job, and vectors of two are not mixed: "
                f"{'; '.join(found[:_SHOWN])}{more}. Choose another output, or remove it to begin again."
            )
        return manifest
    if names:
        raise EmbeddingError(
            f"{place}: the output is not empty, and was not begun by such a job: it holds {min(names)}. Choose "
            f"another one."
        )
    return _write(place, {"format": FORMAT, "format_version": FORMAT_VERSION, "complete": False, "job": job})


def complete(place: Place) -> dict[str, Any]:
    """Write the rejects and the final manifest of a job all of whose parts are finished, and remove their records."""
    names = finished(place.names())
    records = []
    n_rejects = 0
    with place.new_file(REJECTS) as path, path.open("w", encoding="utf8") as file:
        for name in names:
            record = read_record(place, name)
            assert record is not None
            for reject in record.rejects:
                file.write(json.dumps(vars(reject), ensure_ascii=True) + "\n")
            n_rejects += len(record.rejects)
            records.append({**vars(record), "rejects": len(record.rejects)})
    manifest = read(place)
    totals = {key: sum(record[key] for record in records) for key in ("documents", "tokens", "rejects")}
    manifest = _write(place, {**manifest, "complete": True, **totals, "parts": records})
    remove_records(place)
    return manifest


def remove_records(place: Place) -> None:
    """Of parts that the final manifest tells of."""
    for name in finished(place.names()):
        remove_record(place, name)


def read(place: Place) -> dict[str, Any]:
    """The manifest of a directory.

    Raises:
        EmbeddingError: There is none, it is damaged, or a later version wrote it.
    """
    try:
        manifest = json.loads(place.read(MANIFEST))
    except FileNotFoundError:
        raise EmbeddingError(f"no {MANIFEST}: this is no directory of vectors.") from None
    except ValueError as error:
        raise EmbeddingError(f"{MANIFEST} is damaged: {error}.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise EmbeddingError(f"{MANIFEST} is of something else than vectors.")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise EmbeddingError(
            f"{MANIFEST} is of version {manifest.get('format_version')}, and this package reads {FORMAT_VERSION}."
        )
    return manifest


def _write(place: Place, manifest: dict[str, Any]) -> dict[str, Any]:
    with place.new_file(MANIFEST) as path:
        path.write_text(json.dumps(manifest, indent=2) + "\n", "utf8")
    return manifest
