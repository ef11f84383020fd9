"""The workflows in project.yml and the scripts behind them."""

import json
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import DocBin

from spacy_elmo import BiLM, load_bilm, save_bilm

from .checkpoints.test_allennlp import OPTIONS, WEIGHTS, write_pair
from .conftest import REPOSITORY, shared

PROJECT = srsly.read_yaml(REPOSITORY / "project.yml")
COMMANDS = {command["name"]: command for command in PROJECT["commands"]}


def script(*words: str | Path, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    name, *rest = words
    command = [sys.executable, str(REPOSITORY / "scripts" / name), *map(str, rest)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)


def read(path: Path) -> list[spacy.tokens.Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab))


@pytest.mark.parametrize("workflow", ["demo", "wnut17", "uner", "banking77", "multilingual", "layers", "typos"])
def test_workflow_is_whole(workflow: str) -> None:
    """Its commands exist, and each finds its files in the repository or in what an earlier command makes."""
    made: set[str] = set()
    for name in PROJECT["workflows"][workflow]:
        command = COMMANDS[name]
        for path in command["deps"]:
            assert path in made or (REPOSITORY / path).exists(), f"{name} needs {path}"
        made.update(command.get("outputs", []))


def test_names_of_workflows_and_commands_differ() -> None:
    """Where two are the same, spaCy runs neither."""
    assert set(PROJECT["workflows"]).isdisjoint(COMMANDS)


def test_a_command_runs_through_spacy_project(tmp_path: Path) -> None:
    """With the repository's files linked into another folder, so that the test leaves nothing behind."""
    for part in ("assets", "configs", "scripts", "project.yml"):
        (tmp_path / part).symlink_to(REPOSITORY / part)
    command = [sys.executable, "-m", "spacy", "project", "run", "convert-demo", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read(tmp_path / "corpus" / "demo" / "train.spacy")) == 280


def test_convert_keeps_entities_and_categories(tmp_path: Path) -> None:
    source = REPOSITORY / "assets" / "demo" / "dev.jsonl"
    assert script("convert.py", "jsonl", source, tmp_path / "dev.spacy").returncode == 0
    items = [json.loads(line) for line in source.read_text("utf8").splitlines()]
    found = {
        doc.text: ([(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents], doc.cats)
        for doc in read(tmp_path / "dev.spacy")
    }
    assert len(found) == len(items)
    for item in items:
        spans, cats = found[item["text"]]
        assert spans == [(span["start"], span["end"], span["label"]) for span in item["spans"]]
        assert cats[item["category"]] == 1.0
        assert sum(cats.values()) == 1.0


def test_convert_splits_by_share_and_seed(tmp_path: Path) -> None:
    source = REPOSITORY / "assets" / "demo" / "train.jsonl"
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        words = [
            tmp_path / f"{name}.spacy",
            "--share",
            "0.25",
            "--seed",
            str(seed),
            "--rest",
            tmp_path / f"{name}-rest.spacy",
        ]
        assert script("convert.py", "jsonl", source, *words).returncode == 0
        outputs.append([doc.text for doc in read(tmp_path / f"{name}.spacy")])
        rest = [doc.text for doc in read(tmp_path / f"{name}-rest.spacy")]
        assert abs(len(outputs[-1]) - 70) <= 2
        assert not set(outputs[-1]) & set(rest)
        assert len(outputs[-1]) + len(rest) == 280
    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]


def test_convert_column_formats(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text(
        "Empire\tB-location\nState\tI-location\n.\tO\n\t\nFrom\tO\nAHFA\tB-group\n", "utf8"
    )
    (tmp_path / "a.iob2").write_text("# text = x\n1\tTampa\tB-LOC\t-\ta\n2\tbay\tI-LOC\t-\ta\n3\t!\tO\t-\ta\n", "utf8")
    for name in ("conll", "iob2"):
        assert script("convert.py", name, tmp_path / f"a.{name}", tmp_path / f"{name}.spacy").returncode == 0
    first, second = read(tmp_path / "conll.spacy")
    assert [(ent.text, ent.label_) for ent in first.ents] == [("Empire State", "location")]
    assert [(ent.text, ent.label_) for ent in second.ents] == [("AHFA", "group")]
    (third,) = read(tmp_path / "iob2.spacy")
    assert [(ent.text, ent.label_) for ent in third.ents] == [("Tampa bay", "LOC")]


def test_convert_keeps_documents_together(tmp_path: Path) -> None:
    lines = [f"# newdoc id = {d}\n1\tword{d}\tO\n\n1\tword{d}\tO\n\n1\tword{d}\tO\n" for d in range(20)]
    (tmp_path / "a.iob2").write_text("\n".join(lines), "utf8")
    words = [tmp_path / "taken.spacy", "--share", "0.5", "--rest", tmp_path / "rest.spacy"]
    assert script("convert.py", "iob2", tmp_path / "a.iob2", *words).returncode == 0
    taken, rest = ([doc.text for doc in read(tmp_path / name)] for name in ("taken.spacy", "rest.spacy"))
    assert (len(taken), len(rest)) == (30, 30)
    assert not set(taken) & set(rest)


def test_convert_says_what_is_missing(tmp_path: Path) -> None:
    done = script("convert.py", "conll", tmp_path / "absent.conll", tmp_path / "out.spacy")
    assert done.returncode != 0
    assert "absent.conll" in done.stderr
    assert "spacy project assets" in done.stderr


def test_convert_reads_the_real_sets(tmp_path: Path) -> None:
    """The counts that the sets' publishers give."""
    folder = shared("data", "labelled", "ner")
    assert script("convert.py", "conll", folder / "wnut17" / "train.conll", tmp_path / "w.spacy").returncode == 0
    assert (len(docs := read(tmp_path / "w.spacy")), sum(map(len, docs))) == (3394, 62730)
    assert script("convert.py", "iob2", folder / "uner_ewt" / "test.iob2", tmp_path / "u.spacy").returncode == 0
    assert (len(docs := read(tmp_path / "u.spacy")), sum(map(len, docs))) == (2077, 25097)


def test_compare_trains_and_makes_a_table(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")
    for part in ("train", "dev", "test"):
        source = REPOSITORY / "assets" / "demo" / f"{part}.jsonl"
        words = [tmp_path / "corpus" / f"{part}.spacy", "--share", "0.2"]
        assert script("convert.py", "jsonl", source, *words).returncode == 0
    words = ["compare.py", "small", "--corpus", "corpus", "--score", "ents_f", "--shares", "0.5"]
    words += ["--system", "elmo=configs/ner.cfg", "--set", "training.max_steps=8", "--set", "training.eval_frequency=4"]
    done = script(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = json.loads((tmp_path / "metrics" / "small.json").read_text("utf8"))
    assert (result["system"], result["share"], result["seed"]) == ("elmo", 0.5, 0)
    assert f"**{result['score']:.1f}**" in (tmp_path / "metrics" / "small.md").read_text("utf8")
    # Nothing is trained again while nothing has changed, but everything that depends on a change is.
    done = script(*words, cwd=tmp_path)
    assert done.returncode == 0
    assert "found before from the same inputs" in done.stdout
    assert json.loads((tmp_path / "metrics" / "small.json").read_text("utf8")) == [result]
    assert script(*words, "--set", "training.dropout=0.2", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "metrics" / "small.json").read_text("utf8"))[0]["inputs"] != result["inputs"]


def test_compare_sees_that_a_model_changed(tmp_path: Path, tiny_bilm: BiLM) -> None:
    """Its path does not; the results of systems without one stay, whatever models there are."""
    model = save_bilm(tiny_bilm, tmp_path / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        elmo_files = import_module("compare").elmo_files
    ner, tok2vec = (REPOSITORY / "configs" / name for name in ("ner.cfg", "ner_tok2vec.cfg"))
    embedded = [path.name for path in elmo_files(ner, [])]
    assert {"config.json", "model.safetensors"} <= set(embedded)
    assert "README.md" not in embedded, "a new card retrains nothing"
    assert list(elmo_files(tok2vec, [])) == []
    source = ["--components.elmo.model.source", str(model)]
    assert list(elmo_files(ner, source)) == [model / "config.json", model / "model.safetensors"]
    pair = write_pair(tmp_path, OPTIONS, WEIGHTS)
    assert list(elmo_files(ner, ["--components.elmo.model.source", json.dumps(list(map(str, pair)))])) == list(pair)
    with pytest.raises(SystemExit, match=r"ner\.cfg: 'absent' names no ELMo model"):
        list(elmo_files(ner, ["--components.elmo.model.source", "absent"]))


def test_compare_stops_with_the_log_of_what_failed(tmp_path: Path) -> None:
    words = ["compare.py", "small", "--corpus", "corpus", "--score", "ents_f", "--system", "elmo=configs/absent.cfg"]
    (tmp_path / "corpus").mkdir()
    done = script(*words, cwd=tmp_path)
    assert done.returncode != 0
    assert "absent.cfg" in done.stderr


# The multilingual workflow

DANISH = """\
1\tMette\tB-PER\n2\tbor\tO\n3\ti\tO\n4\tÅrhus\tB-LOC\n5\t.\tO\n
1\tHun\tO\n2\tarbejder\tO\n3\tfor\tO\n4\tDanske\tB-ORG\n5\tBank\tI-ORG\n6\ti\tO\n7\tÅrhus\tB-LOC\n8\t.\tO\n
1\tOle\tB-PER\n2\tog\tO\n3\tMette\tB-PER\n4\trejser\tO\n5\ttil\tO\n6\tOdense\tB-LOC\n7\t.\tO\n
"""


def here(*words: str | Path) -> None:
    """As `script`, but in this process, which has imported already what takes seconds."""
    name, *rest = words
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(name), *map(str, rest)])
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        runpy.run_path(str(REPOSITORY / "scripts" / name), run_name="__main__")


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small Danish corpus and, made of it, a random model."""
    folder = tmp_path_factory.mktemp("multilingual")
    (folder / "da.iob2").write_text(DANISH, "utf8")
    for part in ("train", "dev", "test"):
        here("convert.py", "iob2", folder / "da.iob2", folder / "corpus" / f"{part}.spacy")
    here("random_manylangs.py", folder / "corpus" / "train.spacy", folder / "model")
    return folder


def test_convert_reads_the_real_danish_set(tmp_path: Path) -> None:
    """The counts that its publishers give."""
    here("convert.py", "iob2", shared("data", "labelled", "ner", "uner_danish_ddt", "dev.iob2"), tmp_path / "d.spacy")
    assert (len(docs := read(tmp_path / "d.spacy")), sum(map(len, docs))) == (564, 10332)


def test_a_random_model_is_one_of_the_corpus_and_the_seed(multilingual: Path, tmp_path: Path) -> None:
    wanted = load_bilm(multilingual / "model", device="cpu")
    # What comes twice, and the marks.
    assert set(wanted.lexicon.words) == {"<oov>", "<bos>", "<eos>", "<pad>", ".", "i", "Mette", "Århus"}
    assert set("MettboriÅhus.") < set(wanted.lexicon.characters)
    for seed in (0, 1):
        here("random_manylangs.py", multilingual / "corpus" / "train.spacy", tmp_path / str(seed), "--seed", str(seed))
        found = load_bilm(tmp_path / str(seed), device="cpu")
        pairs = zip(found.state_dict().values(), wanted.state_dict().values(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs) == (seed == 0)
    layers = wanted.embed([["Mette", "bor", "i", "Odense"]])[0]
    assert 0.1 < np.abs(layers).mean() < 3
    with pytest.raises(SystemExit, match=r"absent\.spacy: no such file"):
        here("random_manylangs.py", tmp_path / "absent.spacy", tmp_path / "2")


def test_compare_trains_on_a_model_in_the_format_of_elmoformanylangs(
    multilingual: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (multilingual / "configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.chdir(multilingual)
    words = [
        "compare.py",
        "multilingual",
        "--corpus",
        "corpus",
        "--score",
        "ents_f",
        "--system",
        "elmo=configs/ner.cfg",
    ]
    words += ["--set", "nlp.lang=da", "--set", "elmo:components.elmo.model.source=model"]
    words += ["--set", "training.max_steps=30", "--set", "training.eval_frequency=30"]
    with pytest.raises(SystemExit, match="there is no system other"):
        here(*words, "--set", "other:nlp.lang=da")
    here(*words)
    (result,) = json.loads((multilingual / "metrics" / "multilingual.json").read_text("utf8"))
    assert result["score"] > 50  # of what it was trained on
    here("random_manylangs.py", multilingual / "corpus" / "train.spacy", multilingual / "model", "--seed", "1")
    here(*words)
    (other,) = json.loads((multilingual / "metrics" / "multilingual.json").read_text("utf8"))
    assert other["inputs"] != result["inputs"]
    (multilingual / "model").rename(multilingual / "elsewhere")
    nlp = spacy.load(multilingual / "training" / "multilingual" / "elmo-100pct-seed0" / "model-best")
    assert nlp.lang == "da"
    assert nlp("Mette bor i Århus.").tensor.shape == (5, 128)
