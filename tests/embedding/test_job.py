"""Jobs: whole, resumed, refused."""

import json
import random
import signal
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest
import spacy
from spacy.util import import_file

from spacy_elmo.disk import DiskError
from spacy_elmo.embedding import EmbeddingError, embed, manifest, parts
from spacy_elmo.embedding.places import Place
from spacy_elmo.embedding.worker import Window, Worker
from tests.conftest import random_bilm
from tests.corpus.test_workers import CODE, CONFIG
from tests.disk.full import full_disk

from .jobs import SENTENCIZER, contents, documents, numbered, run, start_and_kill, write


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    write(folder / "a.txt", *numbered(40))
    write(folder / "b.jsonl", *(json.dumps({"id": i % 3, "text": line}) for i, line in enumerate(numbered(30))), "bad")
    return folder


def test_nothing_is_lost_and_the_order_is_the_input_s(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    report = run([texts], tmp_path / "out", tiny_source, layers="all")
    found = documents(tmp_path / "out")
    assert [one.text for one in found] == numbered(40) + numbered(30)
    assert [one.id for one in found] == [f"{texts}/a.txt:{i}" for i in range(1, 41)] + [str(i % 3) for i in range(30)]
    bilm, nlp = random_bilm(), spacy.blank("en")
    nlp.add_pipe("sentencizer")
    for one in found[::7]:
        sents = [[token.text for token in sent] for sent in nlp(one.text).sents]
        assert [one.tokens[a:b] for a, b in one.sentences] == sents
        assert [one.text[a:b] for a, b in one.offsets] == one.tokens
        np.testing.assert_allclose(one.vectors, np.concatenate(bilm.embed(sents), axis=1), rtol=0, atol=1e-6)

    assert (report.documents, report.tokens, report.rejects) == (70, sum(len(one.tokens) for one in found), 1)
    (reject,) = map(json.loads, Path(report.rejects_file).read_text("utf8").splitlines())
    assert reject["id"] == f"{texts}/b.jsonl:31"
    assert "not JSON" in reject["reason"]
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text("utf8"))
    assert manifest["complete"]
    assert manifest["tokens"] == report.tokens
    assert len(manifest["parts"]) == report.computed_parts > 10
    assert not (tmp_path / "out" / "_finished").exists()


def test_parts_are_in_order_however_many_files_there_are() -> None:
    names = ["part-00009-000000", "part-99999-000000", "part-99999-999999", "part-99999-1000000", "part-100000-000000"]
    assert parts.finished(f"_finished/{name}.json" for name in sorted(names)) == names


def test_others_read_the_parts(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    run([texts], tmp_path / "out", tiny_source, layers="top", dtype="float16")
    table = pyarrow.dataset.dataset(tmp_path / "out").to_table()
    assert str(table.schema.field("vectors").type.value_type) == "fixed_size_list<element: halffloat>[12]"
    assert table["text"].to_pylist() == numbered(40) + numbered(30)
    found = documents(tmp_path / "out")
    vectors = table["vectors"][3].as_py()
    assert np.array_equal(np.array(vectors, np.float16), found[3].vectors)
    run([texts], tmp_path / "pooled", tiny_source, pool="doc")
    table = pyarrow.dataset.dataset(tmp_path / "pooled").to_table()
    assert str(table.schema.field("vectors").type) == "fixed_size_list<element: float>[12]"
    assert np.array_equal(table["vectors"][69].as_py(), documents(tmp_path / "pooled")[69].vectors)


def test_killed_at_any_moment_the_result_has_the_same_bytes(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    output, moments = tmp_path / "out", random.Random(0)
    run([texts], tmp_path / "whole", tiny_source, part=40)
    whole = contents(tmp_path / "whole")
    finished: dict[str, int] = {}
    for _ in range(10):
        code = start_and_kill(moments.randint(0, 5), moments.uniform(0, 0.03), texts, output, tiny_source)
        assert code == -signal.SIGKILL
        now = {name: (output / f"{name}.parquet").stat().st_mtime_ns for name in parts.finished(contents(output))}
        assert finished.items() <= now.items(), "a finished part is gone, or was computed again"
        finished = now
    n_parts = sum(name.startswith("part-") for name in whole)
    assert 10 < len(finished) < n_parts
    assert run([texts], output, tiny_source, part=40).computed_parts == n_parts - len(finished)
    assert contents(output) == whole
    for name, written in finished.items():
        assert (output / f"{name}.parquet").stat().st_mtime_ns == written, "a finished part was computed again"


@pytest.mark.parametrize("n_removed", [0, 3])
def test_killed_while_it_completes(
    tmp_path: Path, texts: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch, n_removed: int
) -> None:
    """When the manifest is written, and records of parts are still there."""
    run([texts], tmp_path / "whole", tiny_source)
    remove, n_left = manifest.remove_record, iter(range(n_removed))

    def killed(place: Place, name: str) -> None:
        if next(n_left, None) is None:
            raise KeyboardInterrupt
        remove(place, name)

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "remove_record", killed)
        with pytest.raises(KeyboardInterrupt):
            run([texts], tmp_path / "out", tiny_source)
    assert (tmp_path / "out" / "_finished").exists()
    assert run([texts], tmp_path / "out", tiny_source).computed_parts == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_another_job_is_refused(tmp_path: Path, texts: Path, tiny_source: str, other_source: str) -> None:
    output = tmp_path / "out"
    run([texts], output, tiny_source)
    before = contents(output)
    for settings, change in [
        ({"layers": "top"}, r'settings.layers was "average", now "top"'),
        ({"pool": "doc"}, r'settings.pool was "none", now "doc"'),
        ({"part": 100}, "settings.part_characters was 200, now 100"),
        ({"nlp": {**SENTENCIZER, "nlp": {"lang": "da", "pipeline": []}}}, 'settings.nlp.nlp.lang was "en", now "da"'),
    ]:
        with pytest.raises(EmbeddingError, match=f"{output}: the output is of another job.*{change}"):
            run([texts], output, tiny_source, **settings)
    with pytest.raises(EmbeddingError, match="model was"):
        run([texts], output, other_source)
    write(texts / "a.txt", *numbered(41))
    with pytest.raises(EmbeddingError, match=r"inputs was .*Choose another output, or remove it to begin again"):
        run([texts], output, tiny_source)
    assert contents(output) == before


def test_a_directory_of_something_else_is_refused(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    write(output / "mine.txt", "precious")
    with pytest.raises(EmbeddingError, match=rf"{output}: the output is not empty.*mine\.txt"):
        run([texts], output, tiny_source)
    assert list(contents(output)) == ["mine.txt"]


def test_input_that_changes_on_the_way_is_found(
    tmp_path: Path, texts: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = Worker._write

    def change(self: Worker, part: parts.Part, windows: Iterable[Window]) -> parts.Record:
        write(texts / "a.txt", "another")
        return write_part(self, part, windows)

    monkeypatch.setattr(Worker, "_write", change)
    with pytest.raises(EmbeddingError, match=r"a\.txt: has changed while it was read"):
        run([texts], tmp_path / "out", tiny_source)
    assert not json.loads((tmp_path / "out" / "_manifest.json").read_text("utf8"))["complete"]


def test_two_at_once_are_not_let_in(
    tmp_path: Path, texts: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = Worker._write
    tried: list[parts.Part] = []

    def another(self: Worker, part: parts.Part, windows: Iterable[Window]) -> parts.Record:
        if not tried:
            tried.append(part)
            (tmp_path / "link").symlink_to(tmp_path / "out")
            for name in ("out", "link"):
                with pytest.raises(DiskError, match="in use by another process"):
                    run([texts], tmp_path / name, tiny_source)
        return write_part(self, part, windows)

    monkeypatch.setattr(Worker, "_write", another)
    assert run([texts], tmp_path / "out", tiny_source).documents == 70
    assert tried


def test_a_full_disk_is_told_and_gone_on_after(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    run([texts], tmp_path / "whole", tiny_source, part=1000)
    with pytest.raises(DiskError, match=r"part-00000-000000\.parquet: could not be written"), full_disk(5000):
        run([texts], tmp_path / "out", tiny_source, part=1000)
    assert not [name for name in contents(tmp_path / "out") if "part" in name]
    run([texts], tmp_path / "out", tiny_source, part=1000)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_interrupted_it_goes_on(tmp_path: Path, texts: Path, tiny_source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_part, n_left = Worker._write, iter(range(3))

    def interrupted(self: Worker, part: parts.Part, windows: Iterable[Window]) -> parts.Record:
        if next(n_left, None) is None:
            raise KeyboardInterrupt
        return write_part(self, part, windows)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run([texts], tmp_path / "out", tiny_source)
    whole = run([texts], tmp_path / "whole", tiny_source)
    assert run([texts], tmp_path / "out", tiny_source).computed_parts == whole.computed_parts - 3
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_model_that_does_not_know_how_to_tokenise(tmp_path: Path, texts: Path, tiny_source: str) -> None:
    with pytest.raises(EmbeddingError, match=r"does not say how texts become words.*Name a language"):
        embed([texts], tmp_path / "out", tiny_source)
    assert run([texts / "a.txt"], tmp_path / "out", tiny_source, nlp=None, format="tokens").documents == 40


def test_worker_processes_write_the_same_and_know_a_tokenizer_of_one_s_own(tmp_path: Path, tiny_source: str) -> None:
    (tmp_path / "code.py").write_text(CODE)
    import_file("python_code", tmp_path / "code.py")
    path = write(tmp_path / "a.txt", "one-line", "unreadable", "last", *(f"line-{i}-has-words" for i in range(30)))
    for workers in (1, 2):
        output = tmp_path / f"out{workers}"
        report = run([path], output, tiny_source, nlp=CONFIG, part=60, workers=workers, code=tmp_path / "code.py")
        assert (report.documents, report.rejects) == (32, 1)
        assert "not tokenised: too long for me" in Path(report.rejects_file).read_text("utf8")
        assert documents(output)[0].tokens == ["one", "line"]
    assert report.computed_parts > 5
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
