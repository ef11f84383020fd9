import json
import re
from pathlib import Path

import pytest

from spacy_elmo.disk import read_json
from spacy_elmo.errors import ElmoError


class Damaged(ElmoError, ValueError):
    pass


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_any_of_its_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"ä": [1, "日"]}, ensure_ascii=False), encoding)
    assert read_json(tmp_path / "a.json", Damaged) == {"ä": [1, "日"]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable as JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"{", "not readable as JSON ("),
        (b'"\xff"', "not readable as JSON ("),
        (b"[" * 500_000, "not readable as JSON (it is nested too deeply)"),
        (b"1" * 5_000, "not readable as JSON ("),
        (b" " * 1_000_001, "not readable as JSON (it has 1,000,001 bytes, and such a file never takes more than"),
    ],
)
def test_a_damaged_file_is_an_error_of_the_callers_that_says_why(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=f"^{re.escape(f'{path}: {reason}')}.* Fetch it again.$") as error:
        read_json(path, Damaged, "Fetch it again.")
    assert len(str(error.value)) < 400


def test_a_missing_file_is_one_too(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=r"missing\.json: no such file\.$"):
        read_json(tmp_path / "missing.json", Damaged)
    with pytest.raises(Damaged, match=r"not readable \(Is a directory\)"):
        read_json(tmp_path, Damaged)
