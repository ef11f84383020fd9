import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.util import registry

from spacy_elmo.pretraining.errors import RunError
from spacy_elmo.pretraining.progress import LOG_FILE, Progress, keep_log_until
from tests.disk.full import full_disk


def train_record(step: int) -> dict[str, Any]:
    return {"step": step, "epoch": step / 10, "loss": 4.25, "tokens_per_second": 1234.5, "learn_rate": 0.001}


def evaluate_record(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step / 10,
        "tokens": step * 100,
        "seconds": 1.5,
        "loss": 4.25,
        "perplexity": 70.125,
        "forward_perplexity": 71.0,
        "backward_perplexity": 69.25,
        "mean_log_probability": -4.25,
        "unknown_share": 0.0317,
    }


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf8").splitlines()]


@pytest.fixture
def nlp() -> Language:
    return spacy.blank("en")


class Recording:
    """A logger as spaCy has them, that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any] | None] = []
        self.nlp: Language | None = None
        self.n_closed = 0

    def __call__(
        self, nlp: Language, stdout: Any, stderr: Any
    ) -> tuple[Callable[[dict[str, Any] | None], None], Callable[[], None]]:
        self.nlp = nlp
        return self.steps.append, self._close

    def _close(self) -> None:
        self.n_closed += 1


def test_the_log_has_a_line_for_each_record(tmp_path: Path, nlp: Language) -> None:
    written = [train_record(5), train_record(10), evaluate_record(10)]
    with Progress(tmp_path, 20, 0, None, nlp) as progress:
        progress.train(written[0])
        assert records(tmp_path / LOG_FILE) == written[:1], "at once, for those who look on"
        progress.train(written[1])
        progress.evaluate(written[2])
    assert records(tmp_path / LOG_FILE) == written


def test_a_run_that_goes_on_drops_the_lines_it_will_write_again(tmp_path: Path, nlp: Language) -> None:
    with Progress(tmp_path, 20, 0, None, nlp) as progress:
        for step in (5, 10, 15):
            progress.train(train_record(step))
    with (tmp_path / LOG_FILE).open("a", encoding="utf8") as file:
        file.write('{"step": 16, "epo')
    with Progress(tmp_path, 20, 10, None, nlp) as progress:
        progress.train(train_record(12))
    assert [record["step"] for record in records(tmp_path / LOG_FILE)] == [5, 10, 12]
    assert [path.name for path in tmp_path.iterdir()] == [LOG_FILE]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('{"step": 10, "loss": NaN}', True),
        ('{"step": 11}', False),
        ('{"step": 1', False),
        ('{"loss": 3}', False),
        ("[10]", False),
        ("[" * 100_000, False),
        ("", False),
        ('{"step": null}', False),
    ],
)
def test_only_whole_lines_up_to_the_step_are_kept(tmp_path: Path, line: str, kept: bool) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"step": 3}}\n{line}\n{{"step": 4}}\n', encoding="utf8")
    keep_log_until(path, 10)
    assert path.read_text("utf8").splitlines() == ['{"step": 3}', *([line] if kept else []), '{"step": 4}']


def test_a_bad_byte_in_the_log_stops_no_run(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"step": 3}\n{"step": 4\xff}\n{"step": 5}\n{"step": 1')
    keep_log_until(path, 10)
    assert path.read_bytes() == b'{"step": 3}\n{"step": 5}\n'


def test_a_run_that_begins_again_writes_all_of_its_log(tmp_path: Path) -> None:
    """The evaluation before the first step, too."""
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}\n', encoding="utf8")
    keep_log_until(path, 0)
    assert path.read_text("utf8") == ""


def test_a_full_disk_ends_the_run_with_what_to_do(tmp_path: Path, nlp: Language) -> None:
    with Progress(tmp_path, 20, 0, None, nlp) as progress:
        progress.train(train_record(1))
        with full_disk(4000), pytest.raises(RunError, match=r"Could not write to .* run the same command") as error:
            progress.train({**train_record(2), "long": "x" * 5000})
    assert str(tmp_path / LOG_FILE) in str(error.value)
    Progress(tmp_path, 20, 1, None, nlp).__exit__()
    assert records(tmp_path / LOG_FILE) == [train_record(1)], "and what was written in part is dropped"


def test_without_a_log_there_is_nothing_to_drop(tmp_path: Path) -> None:
    keep_log_until(tmp_path / "log.jsonl", 10)
    assert list(tmp_path.iterdir()) == []


def test_the_bar_shows_where_the_run_is(tmp_path: Path, nlp: Language, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(tmp_path, 20, 18, None, nlp) as progress:
        for step in (19, 20):
            progress.advance()
            progress.train(train_record(step))
        progress.evaluate(evaluate_record(20))
    out, err = capsys.readouterr()
    assert out == ""
    assert "18/20" in err
    last = err.replace("\r", "\n").strip().splitlines()[-1]
    for shown in ("20/20", "Epoch 2.00", "loss=4.250", "tokens_s=1,234", "perplexity=70.1", "unknown=3.2%"):
        assert shown in last


def test_a_logger_hears_of_every_step_and_of_evaluations(tmp_path: Path, nlp: Language) -> None:
    logger = Recording()
    with Progress(tmp_path, 20, 0, logger, nlp) as progress:
        progress.advance()
        progress.train(train_record(1))
        progress.advance()
        progress.evaluate(evaluate_record(2))
        assert logger.n_closed == 0
    assert logger.nlp is nlp
    assert logger.n_closed == 1
    first, second, told = logger.steps
    assert first is second is None
    assert told is not None
    assert told["score"] == -4.25
    assert told["losses"] == {"elmo": 4.25}
    assert told["other_scores"] == {
        "perplexity": 70.125,
        "forward_perplexity": 71.0,
        "backward_perplexity": 69.25,
    }
    assert (told["step"], told["epoch"], told["words"], told["seconds"]) == (2, 0, 200, 1)


def test_a_logger_is_closed_when_a_run_fails(tmp_path: Path, nlp: Language) -> None:
    logger = Recording()
    with pytest.raises(RuntimeError, match="diverged"), Progress(tmp_path, 20, 0, logger, nlp):
        raise RuntimeError("diverged")
    assert logger.n_closed == 1


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_loggers_of_spacy_take_what_they_are_told(
    tmp_path: Path, nlp: Language, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    logger = registry.get("loggers", f"spacy.ConsoleLogger.{version}")()
    nlp.config["training"]["score_weights"] = {}
    with Progress(tmp_path, 20, 0, logger, nlp) as progress:
        progress.advance()
        progress.evaluate(evaluate_record(1))
    assert "SCORE" in capsys.readouterr().out
