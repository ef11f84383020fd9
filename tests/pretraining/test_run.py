"""Whole runs: killed and resumed, refused, diverging, adapted, and what they have learned."""

import json
import random
import re
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
import torch
from safetensors.torch import load_file
from spacy.tokens import DocBin

from spacy_elmo import BiLM, load_bilm, save_bilm
from spacy_elmo.checkpoints import CheckpointError
from spacy_elmo.corpus.corpus import MARKS, Corpus
from spacy_elmo.corpus.errors import CorpusError
from spacy_elmo.corpus.sentences import read_sentences
from spacy_elmo.corpus.tokenize import TextSettings
from spacy_elmo.language import LanguageModel, Perplexity, load_language_model, score
from spacy_elmo.language.softmax import Softmax
from spacy_elmo.pretraining.errors import ConfigError, RunError
from spacy_elmo.pretraining.run import pretrain
from spacy_elmo.pretraining.schedule import learn_rate
from tests.conftest import REPOSITORY
from tests.corpus.corpora import ENGLISH, write_lines
from tests.manylangs import random_model
from tests.pretraining.runs import (
    CONFIG,
    SETTINGS,
    STEPS,
    WORDS,
    Run,
    assert_same_run,
    digests,
    documents,
    evaluations,
    log,
    results,
    run_here,
    snapshot,
    steps_of,
    write_texts,
)

FINETUNE = REPOSITORY / "configs" / "pretrain_finetune.cfg"
ADAPTATION = {
    "training.batch_size": 8,
    "training.unroll": 10,
    "training.max_epochs": 0,
    "training.max_steps": 20,
    "training.evaluation.every": 10,
    "training.optimizer.warmup_steps": 4,
    "training.optimizer.learn_rate": 0.02,
}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    """The output of a run that nothing disturbed."""
    output = tmp_path_factory.mktemp("whole") / "run"
    Run(output, texts).finish()
    return output


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    """The output of a run that was killed between the checkpoints of steps 20 and 30."""
    output = tmp_path_factory.mktemp("killed") / "run"
    Run(output, texts, pause_when="checkpoints/step-*20").kill_at_pause()
    return output


@pytest.fixture
def killed(tmp_path: Path, killed_run: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(killed_run, tmp_path / "run"))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> Path:
    """The output of a run that learns well."""
    output = tmp_path_factory.mktemp("learned") / "run"
    settings = {"training.optimizer.learn_rate": 0.03, "training.max_steps": 80, "training.dropout": 0.0}
    run_here(output, {**texts, **settings, "training.evaluation.max_words": 0})
    return output


def perplexity(model: LanguageModel, text: str) -> float:
    return Perplexity.of(score(model, list(read_sentences([Path(text)], TextSettings(ENGLISH))))).average


# Killed and resumed


def test_a_run_that_nothing_disturbs(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == [
        ".corpus.lock",
        ".lock",
        "checkpoints",
        "corpus",
        "log.jsonl",
        "model-best",
        "model-last",
        "pretraining.cfg",
    ]
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["step-000000050", "step-000000060"]
    wanted = [(step, False) for step in range(5, STEPS + 1, 5)] + [(step, True) for step in range(20, STEPS + 1, 20)]
    assert steps_of(whole) == sorted(wanted)


def test_killed_at_the_worst_moments(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    moments = [
        ".corpus.*.new/*",
        "corpus/manifest.json",
        "checkpoints/step-*10",
        "checkpoints/.step-*20.*",
        ".model-best.*/model.safetensors",
        "checkpoints/step-*50",
        "checkpoints/.step-*60.*",
        ".model-last.*",
    ]
    for moment in moments:
        Run(output, texts, pause_when=moment).kill_at_pause()
    Run(output, texts).finish()
    assert_same_run(output, whole)
    # Nothing remains of what was not finished.
    assert set(digests(output)) == set(digests(whole))


def test_killed_again_and_again(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    settings = {**texts, "training.checkpoints.every_steps": 3}  # so that each attempt gets on
    chance = random.Random(0)
    for _ in range(7):
        run = Run(output, settings)
        time.sleep(chance.uniform(0.1, 1.5))
        run.kill()
    Run(output, settings).finish()
    assert {**results(output), **_configs(whole)} == results(whole)
    assert steps_of(output) == steps_of(whole)


def _configs(output: Path) -> dict[str, str]:
    """The digests of the configs, which name settings that do not matter."""
    return {name: digest for name, digest in results(output).items() if name.endswith("pretraining.cfg")}


def test_what_a_killed_process_left_half_written(killed: Path, texts: dict[str, str], whole: Path) -> None:
    unfinished = killed / "checkpoints" / ".step-000000030.0123abcd.new"
    unfinished.mkdir()
    newest = (snapshot(killed, 20) / "tensors.safetensors").read_bytes()
    (unfinished / "tensors.safetensors").write_bytes(newest[: len(newest) // 2])
    # Between the two renames that put a new model in the place of the one before it.
    (killed / "model-best").rename(killed / ".model-best.0123abcd.old")
    with (killed / "log.jsonl").open("a") as file:
        file.write('{"step": 25, "epo')
    run_here(killed, texts)
    assert_same_run(killed, whole)
    assert set(digests(killed)) == set(digests(whole))


def test_asked_to_stop(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    run = Run(output, texts, pause_when="checkpoints/step-*20")
    run.terminate_at_pause()
    message = run.fail()
    newest = max(path.name for path in (output / "checkpoints").iterdir())
    step = int(newest.removeprefix("step-"))
    assert 20 < step < 30
    assert f"Stopped at step {step} because a signal asked for it. All is saved: the same command goes on" in message
    Run(output, texts).finish()
    assert_same_run(output, whole)


def test_a_finished_run_ends_at_once(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    before = digests(output)
    assert run_here(output, texts) == output / "model-last"
    assert digests(output) == before


# Refused


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"training.dropout": 0.2}, "training.dropout was 0.1, now 0.2"),
        ({"training.unroll": 5}, "training.unroll was 10, now 5"),
        ({"system.seed": 1}, "system.seed was 0, now 1"),
        ({"model.cell_dim": 40, "vocabulary.min_count": 2}, "model.cell_dim was 32, now 40; vocabulary.min_count"),
    ],
)
def test_another_config(killed_run: Path, texts: dict[str, str], changed: dict[str, Any], named: str) -> None:
    before = digests(killed_run)
    with pytest.raises(RunError, match="another --output") as error:
        run_here(killed_run, {**texts, **changed})
    assert named in str(error.value)
    assert digests(killed_run) == before


@pytest.mark.parametrize("name", ["model-best", "model-last", "log.jsonl"])
def test_what_others_have_written_is_not_replaced(tmp_path: Path, texts: dict[str, str], name: str) -> None:
    """`spacy train` has the same names."""
    (tmp_path / "run" / name).mkdir(parents=True)
    with pytest.raises(RunError, match=f"{name} is there already, and of no run of `pretrain`"):
        run_here(tmp_path / "run", texts)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", name]


def test_what_an_error_advises_to_change_may_be_changed(
    tmp_path: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that has not begun holds to no config."""
    with pytest.raises(CorpusError, match=r"corpus is too small: .* lower training\.batch_size or training\.unroll"):
        run_here(tmp_path / "run", {**texts, "training.unroll": 1000})
    run_here(tmp_path / "run", {**texts, "training.unroll": 20, "training.max_steps": 10})
    assert "10 of 160 tokens each, 1.0 epochs, all of them warm-up" in " ".join(capsys.readouterr().err.split())


def test_settings_that_do_not_matter(tmp_path: Path, killed: Path, texts: dict[str, str], whole: Path) -> None:
    moved = {key: str(shutil.copy(path, tmp_path)) for key, path in texts.items()}
    changed = {"training.checkpoints.every_steps": 7, "training.checkpoints.keep": 3, "system.workers": 1}
    run_here(killed, {**moved, **changed, "system.device": "cpu"})
    assert {**results(killed), **_configs(whole)} == results(whole)
    assert steps_of(killed) == steps_of(whole)
    assert sorted(path.name for path in (killed / "checkpoints").iterdir()) == [
        "step-000000049",
        "step-000000056",
        "step-000000060",
    ]


@pytest.mark.parametrize("steps", [10, 30, 70])
def test_made_shorter_or_longer(killed: Path, texts: dict[str, str], steps: int) -> None:
    """It had come to step 20 of 60. Its rates are from there on those of a run of the new length."""
    run_here(killed, {**texts, "training.max_steps": steps})
    record = [json.loads(line) for line in (killed / "log.jsonl").read_text("utf8").splitlines()]
    rates = {line["step"]: line["learn_rate"] for line in record if "learn_rate" in line}
    assert max(rates) == max(steps, 20)
    for step, rate in rates.items():
        total = 60 if step <= 20 else steps
        assert rate == pytest.approx(learn_rate(step - 1, total, 0.005, 10, "cosine"))
    facts = json.loads((killed / "model-last" / "training.json").read_text("utf8"))
    assert facts["step"] == max(steps, 20)


@pytest.mark.parametrize("part", ["train", "heldout"])
def test_another_text(tmp_path: Path, part: str) -> None:
    texts = write_texts(tmp_path)
    output = tmp_path / "run"
    run_here(output, {**texts, "training.max_steps": 1})
    before = digests(output)
    path = Path(texts[f"paths.{part}"])
    path.write_text(path.read_text("utf8") + "one more .\n", "utf8")
    with pytest.raises(CorpusError, match="another output directory") as error:
        run_here(output, {**texts, "training.max_steps": 1})
    assert f"{part} text: {path} has changed" in str(error.value)
    assert digests(output) == before


@pytest.mark.parametrize("file", ["tensors.safetensors", "facts.json"])
def test_a_damaged_checkpoint(killed: Path, texts: dict[str, str], whole: Path, file: str) -> None:
    path = snapshot(killed, 20) / file
    path.write_bytes(path.read_bytes()[:-50])
    before = digests(killed)
    with pytest.raises(RunError, match="Remove that directory to go on from the one before") as error:
        run_here(killed, texts)
    assert str(path.parent) in str(error.value)
    assert digests(killed) == before
    shutil.rmtree(path.parent)
    run_here(killed, texts)
    assert_same_run(killed, whole)


def test_a_damaged_corpus(killed: Path, texts: dict[str, str]) -> None:
    path = killed / "corpus" / "shard-00000.tokens.npy"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    before = digests(killed)
    with pytest.raises(CorpusError, match=r"shard-00000\.tokens\.npy: damaged"):
        run_here(killed, texts)
    assert digests(killed) == before


@pytest.mark.parametrize("name", ["model.bilm.", "optimizer.exp_avg_sq.", "state.cell"])
def test_a_bit_that_flipped_in_a_checkpoint(killed: Path, texts: dict[str, str], name: str) -> None:
    """In weights, moments and state: another model would come of it."""
    path = snapshot(killed, 20) / "tensors.safetensors"
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    places = {key: entry["data_offsets"] for key, entry in json.loads(data[8 : 8 + length]).items() if name in key}
    data[8 + length + next(iter(places.values()))[0]] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"tensors\.safetensors: its content is not what was written"):
        run_here(killed, texts)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: "", "damaged (it is empty)"),
        (lambda text: text[: text.index("[training.optimizer]") + 9], "damaged ("),
        (lambda text: text[: text.index("[training.optimizer]")], "optimizer.learn_rate was left out, now 0.005"),
        (lambda text: text.replace("seed = 0", "seed = \xff"), "damaged ("),
    ],
)
def test_a_damaged_config_beside_the_run(killed: Path, texts: dict[str, str], damage: Any, said: str) -> None:
    path = killed / "pretraining.cfg"
    path.write_text(damage(path.read_text("utf8")), "latin1")
    before = digests(killed)
    with pytest.raises(RunError) as error:
        run_here(killed, texts)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert digests(killed) == before


def test_a_log_that_cannot_be_read_stops_no_run(killed: Path, texts: dict[str, str], whole: Path) -> None:
    with (killed / "log.jsonl").open("ab") as file:
        file.write(b'{"step": 15\xff}\n')
    run_here(killed, texts)
    assert_same_run(killed, whole)


def test_two_runs_into_one_output(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    first = Run(output, texts, pause_when="checkpoints/step-*20")
    first.wait_for_pause()
    before = digests(output)
    message = Run(output, texts, written="second.written").fail()
    assert f"The run in {output} is in use by another process" in message
    assert digests(output) == before
    first.go_on()
    first.finish()
    assert_same_run(output, whole)


# Gone wrong


def test_a_loss_that_rises(tmp_path: Path, texts: dict[str, str]) -> None:
    settings = {"training.optimizer.learn_rate": 50.0, "training.optimizer.warmup_steps": 1000}
    run = Run(tmp_path / "run", {**texts, **settings})
    message = run.fail()
    assert "Training diverged at step 1" in message
    assert "the loss has risen from 3." in message
    assert "The last good checkpoint, of step 10, is kept." in message
    assert "Lower training.optimizer.learn_rate (now 50.0)" in message
    assert "model-best" not in message  # it has not come to an evaluation
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000000010"]


def test_a_loss_that_is_no_number(killed: Path, tmp_path: Path, texts: dict[str, str]) -> None:
    tensors = load_file(snapshot(killed, 20) / "tensors.safetensors")
    with pytest.raises(RunError, match="Training diverged at step 1: the loss is nan"):
        run_here(tmp_path / "other", {**texts, "training.optimizer.learn_rate": 1e38})
    assert not list((tmp_path / "other").glob("checkpoints/*"))
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize(
    ("file_bytes", "every_steps", "words"),
    [
        (200_000, 10, ["Could not write the checkpoint of step 30", "The last good one is", "step-000000020"]),
        (50_000, 0, ["could not be written", "model-best"]),
    ],
)
def test_a_full_disk(
    killed: Path, texts: dict[str, str], whole: Path, file_bytes: int, every_steps: int, words: list[str]
) -> None:
    before = digests(killed)
    settings = {**texts, "training.checkpoints.every_steps": every_steps}
    message = Run(killed, settings, file_bytes=file_bytes).fail()
    for word in [*words, "run the same command again"]:
        assert word in message
    after = digests(killed)
    assert all(after[name] == before[name] for name in before if name != "log.jsonl")
    run_here(killed, texts)
    assert_same_run(killed, whole)
    assert set(digests(killed)) == set(digests(whole))


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, texts: dict[str, str], whole: Path) -> None:
    output = tmp_path / "run"
    message = Run(output, texts, file_bytes=500).fail()
    assert re.search(rf"{re.escape(str(output))}/\S+: could not be written", message)
    Run(output, texts).finish()
    assert_same_run(output, whole)


# Adapted


def adapt(output: Path, source: Any, texts: dict[str, str], **settings: Any) -> Path:
    return pretrain(FINETUNE, output, {**ADAPTATION, **texts, **settings}, source)


def fresh(source: Any, output: Path) -> LanguageModel:
    """A model as its adaptation began: with the vocabulary of the texts, and a softmax that knows nothing."""
    torch.manual_seed(0)
    return LanguageModel(load_bilm(source, "cpu"), Corpus.open(output / "corpus").vocabulary(2, 40_000)).eval()


@pytest.fixture(params=["native", "pair"])
def source(request: pytest.FixtureRequest, tmp_path: Path, tiny_bilm: BiLM) -> Path | list[str]:
    """A model without a softmax."""
    if request.param == "native":
        return save_bilm(tiny_bilm, tmp_path / "source")
    directory = save_bilm(tiny_bilm, tmp_path / "source", format="allennlp")
    return [str(directory / "options.json"), str(directory / "weights.hdf5")]


def test_a_model_without_a_softmax_goes_on(tmp_path: Path, source: Any, texts: dict[str, str]) -> None:
    model = load_language_model(adapt(tmp_path / "run", source, texts), "cpu")
    before = load_bilm(source, "cpu")
    assert model.bilm.config == before.config
    assert perplexity(model, texts["paths.heldout"]) < 0.9 * perplexity(
        fresh(source, tmp_path / "run"), texts["paths.heldout"]
    )
    changed = {
        name for name, tensor in model.bilm.state_dict().items() if not torch.equal(tensor, before.state_dict()[name])
    }
    assert changed == set(before.state_dict())


def test_a_model_of_elmoformanylangs_goes_on_with_its_lexicon(tmp_path: Path, texts: dict[str, str]) -> None:
    source = random_model(tmp_path / "manylangs").directory
    before = load_bilm(source, "cpu")
    settings = {"training.max_steps": 2, "model.cell_dim": before.config.cell_dim}
    after = load_bilm(adapt(tmp_path / "run", source, texts, **settings), "cpu")
    assert after.lexicon == before.lexicon
    assert after.config == before.config
    changed = [
        name for name, tensor in after.state_dict().items() if not torch.equal(tensor, before.state_dict()[name])
    ]
    assert {name.partition(".")[0] for name in changed} == {"lexicon_encoder", "forward_layers", "backward_layers"}


def test_a_source_with_damaged_facts_is_refused_before_the_corpus(
    tmp_path: Path, tiny_bilm: BiLM, texts: dict[str, str]
) -> None:
    source = save_bilm(tiny_bilm, tmp_path / "source")
    (source / "training.json").write_text("[1]", "utf8")
    with pytest.raises(CheckpointError, match=r"training\.json: not the facts of a training"):
        adapt(tmp_path / "run", source, texts)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "softmax.safetensors", "vocabulary.json"])
def test_a_damaged_source_is_refused_before_the_corpus(
    tmp_path: Path, learned: Path, texts: dict[str, str], name: str
) -> None:
    source = Path(shutil.copytree(learned / "model-last", tmp_path / "source"))
    (source / name).write_bytes((source / name).read_bytes()[:-5])
    with pytest.raises(CheckpointError, match=re.escape(name)):
        adapt(tmp_path / "run", source, texts)
    assert not (tmp_path / "run").exists()


def test_a_config_that_names_no_model_is_refused_at_once(tmp_path: Path, texts: dict[str, str]) -> None:
    """It would train a new one of the default shape, for hours."""
    with pytest.raises(ConfigError, match=r"Say which model to go on from \(--init-from"):
        pretrain(FINETUNE, tmp_path / "run", texts)
    assert not (tmp_path / "run").exists()


def test_it_is_measured_before_the_first_step(
    tmp_path: Path, learned: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And where training does it no good, the best model is the one that it began with."""
    output = tmp_path / "run"
    settings = {"training.optimizer.learn_rate": 0.1, "training.max_steps": 10, "training.evaluation.every": 5}
    adapt(output, learned / "model-last", texts, **settings)
    first, *others = evaluations(output)
    assert first["step"] == 0
    assert "loss" not in first
    model = load_language_model(learned / "model-last", "cpu")
    assert first["perplexity"] == pytest.approx(perplexity(model, texts["paths.heldout"]), rel=1e-4)
    assert all(one["perplexity"] > 2 * first["perplexity"] for one in others)
    best, last = (
        json.loads((output / name / "training.json").read_text("utf8")) for name in ("model-best", "model-last")
    )
    assert best["step"] == 0
    assert last["step"] == 10
    found = {key: first[key] for key in ("perplexity", "unknown_share", "heldout_unknown")}
    for facts in (best, last):
        assert {key: facts["before"][key] for key in found} == found
    assert last["perplexity"] == others[-1]["perplexity"]

    told = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    for line in (
        "Trained on 1,557 words, 0.0% of them unknown",
        "Measured on 270 words of the held-out texts",
        "Vocabulary 54 words",
        f"Model goes on from {learned / 'model-last'}",
        f"Parameters {sum(p.numel() for p in model.bilm.parameters()):,} of the biLM, 918 of the softmax",
        "Steps 10 of 80 tokens each, 0.5 epochs",
        "Device cpu",
        f"Perplexity before {first['perplexity']:.1f}, 0.0% of the predictions of unknown words",
        f"Perplexity now {last['perplexity']:.1f}, 0.0% of the predictions of unknown words",
        f"Best {first['perplexity']:.1f} at step 0: {output / 'model-best'}",
    ):
        assert line in told


def test_perplexities_before_and_after_are_of_the_same_words(
    tmp_path: Path, learned: Path, texts: dict[str, str]
) -> None:
    """Though the words of the new texts are others. And training brings the perplexity down."""
    settings = {key: str(tmp_path / key) for key in texts}
    for key, path in settings.items():
        write_lines(
            Path(path), [line.replace("baf", "new") for line in Path(texts[key]).read_text("utf8").splitlines()]
        )
    settings |= {"training.max_steps": 30, "training.evaluation.max_words": 0}
    adapted = adapt(tmp_path / "run", learned / "model-last", settings)
    before, after = (load_language_model(path, "cpu") for path in (learned / "model-last", adapted))
    assert after.vocabulary == before.vocabulary
    first, *_, last = evaluations(tmp_path / "run")
    assert first["perplexity"] == pytest.approx(perplexity(before, settings["paths.heldout"]), rel=1e-4)
    assert last["perplexity"] == pytest.approx(perplexity(after, settings["paths.heldout"]), rel=1e-4)
    assert last["perplexity"] < first["perplexity"]
    n_new = Path(settings["paths.heldout"]).read_text("utf8").count("new")
    assert first["heldout_unknown"] == last["heldout_unknown"] == n_new > 0


def test_killed_before_the_first_checkpoint(tmp_path: Path, learned: Path, texts: dict[str, str]) -> None:
    """It is measured again, and the log has it once."""
    output = tmp_path / "run"
    for _ in range(2):
        adapt(output, learned / "model-last", texts, **{"training.max_steps": 1})
        shutil.rmtree(output / "checkpoints")
    assert [record["step"] for record in evaluations(output)] == [0, 1]


def test_it_goes_on_when_its_source_is_another_or_gone(
    tmp_path: Path, learned: Path, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that it takes is in its checkpoints: the words that it predicts, and what is known of the training before."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(learned / "model-last", "source")
    adapt(tmp_path / "run", "source", texts, **{"training.max_steps": 4})
    for name in ("another", "gone"):
        shutil.copytree("run", name)

    def goes_on(name: str, source: str) -> dict[str, str]:
        model = adapt(tmp_path / name, source, texts, **{"training.max_steps": 6})
        return {file: digest for file, digest in digests(model).items() if file != "pretraining.cfg"}

    whole = goes_on("run", "source")
    words = json.loads(Path("source/vocabulary.json").read_text("utf8"))[len(MARKS) :]
    Path("source/vocabulary.json").write_text(json.dumps([*MARKS, *words[::-1]]), "utf8")
    Path("source/training.json").write_text("{}", "utf8")
    assert goes_on("another", "source") == whole
    shutil.rmtree("source")
    assert goes_on("gone", "./source") == whole
    with pytest.raises(RunError, match=r'initialize\.source was "\S*source", now "\S*learned"'):
        goes_on("gone", "learned")
    with pytest.raises(CheckpointError, match="'source' names no ELMo model"):
        goes_on("new", "source")


def test_a_frozen_char_cnn(tmp_path: Path, tiny_source: str, texts: dict[str, str]) -> None:
    settings = {"initialize.freeze_char_cnn": True}
    adapted = load_bilm(adapt(tmp_path / "run", tiny_source, texts, **settings), "cpu").state_dict()
    for name, tensor in load_bilm(tiny_source, "cpu").state_dict().items():
        assert torch.equal(adapted[name], tensor) == name.startswith("char_cnn."), name


def test_the_embedded_model(tmp_path: Path, texts: dict[str, str]) -> None:
    settings = {"training.max_steps": 6, "training.evaluation.every": 6, "training.optimizer.learn_rate": 0.005}
    settings["initialize.keep_vocabulary"] = False
    model = load_language_model(adapt(tmp_path / "run", "en_elmo_sm", texts, **settings), "cpu")
    heldout = texts["paths.heldout"]
    assert perplexity(model, heldout) < 0.9 * perplexity(fresh("en_elmo_sm", tmp_path / "run"), heldout)


def test_a_softmax_is_taken_over(tmp_path: Path, learned: Path, texts: dict[str, str]) -> None:
    """Words are in another order in the new vocabulary, and two are new."""
    lines = [*documents(60, seed=3), "unheard words.", "unheard words."]
    train = write_lines(tmp_path / "train.txt", [line.replace("baf", "bak") for line in lines])
    settings = {"paths.train": str(train), "paths.heldout": texts["paths.heldout"], "training.max_steps": 1}
    settings["initialize.keep_vocabulary"] = False
    adapted = adapt(tmp_path / "run", str(learned / "model-last"), settings, **{"training.optimizer.learn_rate": 1e-12})
    before, after = load_language_model(learned / "model-last", "cpu"), load_language_model(adapted, "cpu")
    assert before.vocabulary != after.vocabulary
    assert {"unheard", "words"} <= set(after.vocabulary)
    for word in set(before.vocabulary) & set(after.vocabulary):
        torch.testing.assert_close(
            after.softmax.weight[after.vocabulary.index(word)],
            before.softmax.weight[before.vocabulary.index(word)],
            rtol=0,
            atol=1e-6,
        )


def test_a_model_that_contradicts_its_config(tmp_path: Path, tiny_source: str, texts: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"model\.char_dim is 8, and there 5; .* Give a config without \[model\]"):
        run_here(tmp_path / "run", texts, tiny_source)
    with pytest.raises(CheckpointError, match="'en_elmo_xl' names no ELMo model"):
        adapt(tmp_path / "other", "en_elmo_xl", texts)


def test_a_larger_model_begins_as_a_smaller_one(
    tmp_path: Path, learned: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It predicts what that one does, and then more."""
    larger = {"model.projection_dim": 24, "model.cell_dim": 48, "model.filters": [[1, 8], [2, 12], [3, 16], [4, 8]]}
    settings = {"training.max_steps": 20, "training.evaluation.every": 20, "training.optimizer.learn_rate": 0.001}
    output = tmp_path / "run"
    run_here(output, {**texts, **larger, **settings, "vocabulary.max_size": 20}, learned / "model-last")
    told = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert f"Model goes on from {learned / 'model-last'}, widened" in told
    assert f"Vocabulary 54 words, those of {learned / 'model-last'}: [vocabulary] is not used" in told
    before, after = evaluations(output)
    small = load_language_model(learned / "model-last", "cpu")
    large = load_language_model(output / "model-last", "cpu")
    assert before["step"] == 0
    assert before["perplexity"] == pytest.approx(perplexity(small, texts["paths.heldout"]), rel=1e-4)
    assert after["perplexity"] < before["perplexity"]
    assert large.vocabulary == small.vocabulary
    assert large.bilm.config.to_dict() == {
        **small.bilm.config.to_dict(),
        "projection_dim": 24,
        "cell_dim": 48,
        "filters": ((1, 8), (2, 12), (3, 16), (4, 8)),
    }


def test_a_model_that_its_config_cannot_widen(tmp_path: Path, learned: Path, texts: dict[str, str]) -> None:
    smaller = {**texts, "model.projection_dim": 8}
    with pytest.raises(
        ConfigError, match=r"become: model\.projection_dim is 8, and there 16\. .* larger in filters, pro"
    ):
        run_here(tmp_path / "smaller", smaller, learned / "model-last")
    wider = {**texts, "model.filters": [[1, 8], [2, 8], [3, 16], [30, 4]], "model.max_characters": 30}
    with pytest.raises(
        ConfigError, match=r"model\.filters is .* and there .*; model\.max_characters is 30, and there 24"
    ):
        run_here(tmp_path / "wider", wider, learned / "model-last")
    frozen = {**texts, "model.projection_dim": 24, "initialize.freeze_char_cnn": True}
    with pytest.raises(ConfigError, match=r"freeze_char_cnn is true, but \[model\] is larger than"):
        run_here(tmp_path / "frozen", frozen, learned / "model-last")
    assert not [path for name in ("smaller", "frozen") if (path := tmp_path / name).exists()]


def test_output_among_the_texts(tmp_path: Path, texts: dict[str, str]) -> None:
    """What a run writes would be read as texts by the next."""
    for output in (tmp_path, tmp_path / "within"):
        with pytest.raises(ConfigError, match=r"lies in paths\.train .* Give an output outside"):
            run_here(output, {**texts, "paths.train": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_patience(tmp_path: Path, texts: dict[str, str]) -> None:
    """With a learning rate that grows and grows a run gets worse again."""
    output = tmp_path / "run"
    settings = {
        "training.optimizer.learn_rate": 10.0,
        "training.optimizer.warmup_steps": 1000,
        "training.evaluation.every": 2,
        "training.evaluation.max_words": 0,
        "training.patience": 3,
    }
    run_here(output, {**texts, **settings})
    found = [record["perplexity"] for record in evaluations(output)]
    best = found.index(min(found))
    assert len(found) == best + 1 + 3
    assert 2 * len(found) < STEPS
    facts = json.loads((output / "model-best" / "training.json").read_text("utf8"))
    assert facts["step"] == 2 * (best + 1)
    model = load_language_model(output / "model-best", "cpu")
    assert perplexity(model, texts["paths.heldout"]) == pytest.approx(min(found), rel=1e-5)
    last = load_language_model(output / "model-last", "cpu")
    assert perplexity(last, texts["paths.heldout"]) == pytest.approx(found[-1], rel=1e-5)
    before = digests(output)
    run_here(output, {**texts, **settings})
    assert digests(output) == before


# Learned


def test_what_can_be_known_is_learned(learned: Path, texts: dict[str, str]) -> None:
    """Of nine predictions a sentence eight are certain, so that 1.6 is the best perplexity there is."""
    last = evaluations(learned)[-1]
    assert last["heldout_unknown"] == last["unknown_share"] == 0
    for key in ("perplexity", "forward_perplexity", "backward_perplexity"):
        assert last[key] < len(WORDS) / 10
    assert last["perplexity"] > len(WORDS) ** (1 / 10)
    model = load_language_model(learned / "model-last", "cpu")
    assert perplexity(model, texts["paths.heldout"]) == pytest.approx(last["perplexity"], rel=1e-5)


def test_the_log_tells_how_it_went(learned: Path) -> None:
    records = [record for record in log(learned) if "perplexity" not in record]
    for before, after in pairwise(records):
        assert after["seconds"] > before["seconds"]
        assert after["tokens"] - before["tokens"] == 5 * 80
    assert records[-1]["loss"] < 0.6 * records[0]["loss"]
    assert max(record["learn_rate"] for record in records) <= 0.03
    assert all(record["grad_norm"] > 0 and record["tokens_per_second"] > 0 for record in records)


# With loggers and other texts


def with_logger(directory: Path, logger: str) -> Path:
    path = directory / "config.cfg"
    text = CONFIG.read_text("utf8").replace("logger = null\n", "")
    path.write_text(f"{text}\n[training.logger]\n{logger}\n", "utf8")
    return path


def test_a_logger_of_spacy(tmp_path: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    config = with_logger(tmp_path, '@loggers = "spacy.ConsoleLogger.v3"')
    output = tmp_path / "run"
    pretrain(config, output, {**SETTINGS, **texts, "training.max_steps": 10, "training.evaluation.every": 5})
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0][:2] == ["E", "#"]
    assert [row[1] for row in lines[2:]] == ["5", "10"]
    for row, record in zip(lines[2:], evaluations(output), strict=True):
        assert float(row[-1]) == pytest.approx(record["mean_log_probability"], abs=0.01)


def test_a_logger_of_ones_own(tmp_path: Path, texts: dict[str, str]) -> None:
    told: list[dict[str, Any] | None] = []
    ended: list[bool] = []

    @spacy.registry.loggers("spacy_elmo_tests.Remembering.v1")
    def remembering() -> Any:
        return lambda nlp, stdout, stderr: (told.append, lambda: ended.append(True))

    config = with_logger(tmp_path, '@loggers = "spacy_elmo_tests.Remembering.v1"')
    output = tmp_path / "run"
    pretrain(config, output, {**SETTINGS, **texts, "training.max_steps": 10, "training.evaluation.every": 5})
    assert ended == [True]
    assert [one is None for one in told] == [*[True] * 5, False, *[True] * 5, False]
    for info, record in zip([one for one in told if one], evaluations(output), strict=True):
        assert (info["step"], info["epoch"]) == (record["step"], int(record["epoch"]))
        assert info["score"] == record["mean_log_probability"]
        assert info["losses"] == {"elmo": record["loss"]}
        assert info["other_scores"]["perplexity"] == record["perplexity"]


@pytest.mark.parametrize(
    ("logger", "said"),
    [('@loggers = "no.such.v1"', "no.such.v1"), ('@loggers = "spacy.ConsoleLogger.v3"\nspeed = 1', "speed")],
)
def test_a_logger_that_there_is_not(tmp_path: Path, texts: dict[str, str], logger: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"\[training\.logger\]") as error:
        pretrain(with_logger(tmp_path, logger), tmp_path / "run", texts)
    assert said in str(error.value)
    assert not (tmp_path / "run").exists()


def test_texts_of_other_formats(tmp_path: Path, texts: dict[str, str]) -> None:
    lines = Path(texts["paths.train"]).read_text("utf8").splitlines()
    (tmp_path / "train").mkdir()
    srsly.write_jsonl(tmp_path / "train" / "a.jsonl", [{"text": line} for line in lines[:50]])
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    DocBin(docs=nlp.pipe(lines[50:])).to_disk(tmp_path / "train" / "b.spacy")
    found = []
    for name, path in (("plain", texts["paths.train"]), ("other", str(tmp_path / "train"))):
        run_here(tmp_path / name, {**texts, "paths.train": path, "training.max_steps": 3})
        found.append((tmp_path / name / "model-last" / "model.safetensors").read_bytes())
    assert found[0] == found[1]


def test_steps_take_none_of_torchs_threads(tmp_path: Path, texts: dict[str, str]) -> None:
    """They wait for each other at full speed. The number that is set here stays."""
    seen: list[tuple[str, int]] = []

    def listen(module: torch.nn.Module, _: Any, loss: torch.Tensor) -> None:
        if isinstance(module, Softmax):
            seen.append(("forward", torch.get_num_threads()))
            loss.register_hook(lambda _: seen.append(("backward", torch.get_num_threads())))

    hook = torch.nn.modules.module.register_module_forward_hook(listen)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_here(tmp_path / "run", {**texts, "training.max_steps": 2, "training.evaluation.max_words": 0})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
        hook.remove()
    assert seen == [("forward", 1), ("backward", 1)] * 2
