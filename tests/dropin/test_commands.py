"""The commands of AllenNLP and ELMoForManyLangs, under the names of our packages."""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

from spacy_elmo.allennlp.__main__ import main as allennlp
from spacy_elmo.elmoformanylangs.__main__ import main as manylangs
from tests.manylangs import random_model

from .models import SmallModel

LINES = ["One sentence .", "Another one , and / or longer .", "One sentence ."]
SENTENCES = [line.split() for line in LINES]
SELECT = {"all": lambda layers: layers, "top": lambda layers: layers[-1], "average": lambda layers: layers.mean(axis=0)}
CONLL = """# text = O não sei.
1-2\tNo\t_\t_
1\tEm\tem\tADP
2\to\to\tDET
2.1\tx\t_\t_
3\ttexto de\ttexto\tNOUN

1\tO\to\tDET
2\t.\t.\tPUNCT
"""


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text("".join(f" {line}\n" for line in LINES), "utf8")
    return path


def run_allennlp(model: SmallModel, *arguments: object) -> None:
    options, weights = model.files
    allennlp(["elmo", *map(str, arguments), "--options-file", options, "--weight-file", weights])


@pytest.mark.parametrize("output_format", SELECT)
def test_allennlp_s_file_of_vectors(model: SmallModel, text: Path, tmp_path: Path, output_format: str) -> None:
    """As programs read it: numbers of lines as names, float32, and an index from sentences to names."""
    run_allennlp(model, text, tmp_path / "vectors.hdf5", f"--{output_format}", "--batch-size", 2)
    with h5py.File(tmp_path / "vectors.hdf5") as file:
        assert set(file) == {"0", "1", "2", "sentence_to_index"}
        for number, sentence in enumerate(SENTENCES):
            wanted = SELECT[output_format](model.layers(sentence))
            assert file[str(number)].dtype == np.float32
            assert file[str(number)].shape == wanted.shape
            np.testing.assert_allclose(file[str(number)][...], wanted, rtol=0, atol=1e-5)
        assert file["sentence_to_index"].shape == (1,)
        assert json.loads(file["sentence_to_index"][0]) == {LINES[0]: "2", LINES[1]: "1"}


def test_allennlp_s_names(model: SmallModel, text: Path, tmp_path: Path) -> None:
    run_allennlp(model, text, tmp_path / "vectors.hdf5", "--top", "--forget-sentences")
    with h5py.File(tmp_path / "vectors.hdf5") as file:
        assert set(file) == {"0", "1", "2"}
    text.write_text("\n".join([LINES[0], "Ünother : one"]), "utf8")
    run_allennlp(model, text, tmp_path / "vectors.hdf5", "--top", "--use-sentence-keys")
    with h5py.File(tmp_path / "vectors.hdf5") as file:
        assert set(file) == {LINES[0], "Ünother : one"}
        wanted = model.layers(["Ünother", ":", "one"])[-1]
        np.testing.assert_allclose(file["Ünother : one"][...], wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("a b\n\nc\n\n", [], r"Lines 1, 3 \(the first is 0\) are empty"),
        ("a b\na b\n", ["--use-sentence-keys"], "'a b' stands in several lines"),
        ("a b\nand / or\n", ["--use-sentence-keys"], "Line 1 .* 'and / or', cannot be the name of a dataset"),
        ("a b\n", ["--batch-size", "0"], "batch_size is 0"),
    ],
)
def test_what_allennlp_s_command_refuses(
    model: SmallModel, tmp_path: Path, content: str, arguments: list[str], message: str
) -> None:
    (tmp_path / "input.txt").write_text(content, "utf8")
    output = tmp_path / "vectors.hdf5"
    output.write_bytes(b"before")
    with pytest.raises(SystemExit, match=message):
        run_allennlp(model, tmp_path / "input.txt", output, "--all", *arguments)
    assert output.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input.txt", "vectors.hdf5"]


def test_a_text_in_another_encoding_is_refused(model: SmallModel, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(SystemExit, match=r"input\.txt: the file is not in UTF-8"):
        run_allennlp(model, tmp_path / "input.txt", tmp_path / "out.hdf5", "--all")
    random_model(tmp_path / "model")
    paths = ["--input", tmp_path / "input.txt", "--model", tmp_path / "model", "--output_prefix", tmp_path / "out"]
    with pytest.raises(SystemExit, match=r"input\.txt: the file is not in UTF-8"):
        run_manylangs(*paths, "--output_layer", "1")


def run_manylangs(*arguments: object) -> None:
    manylangs(["test", *map(str, arguments)])


def test_manylangs_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_model(tmp_path / "model")
    (tmp_path / "input.txt").write_text("\n".join("\t".join(words) for words in SENTENCES), "utf8")
    run_manylangs(
        "--input", tmp_path / "input.txt", "--model", tmp_path / "model", "--output_prefix", tmp_path / "out",
        "--output_format", "hdf5,txt", "--output_layer", "0,-1",
    )  # fmt: skip
    printed = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert printed == ["out.ly0.hdf5", "out.ly-1.hdf5", "out.ly0.txt", "out.ly-1.txt"]
    wanted = [model.reference.embed(words) for words in SENTENCES[:2]]
    for number, select in ((0, lambda layers: layers[0]), (-1, lambda layers: layers.mean(axis=0))):
        with h5py.File(tmp_path / f"out.ly{number}.hdf5") as file:
            names = ["One\tsentence\t$period$", "Another\tone\t,\tand\t$backslash$\tor\tlonger\t$period$"]
            assert sorted(file) == sorted(names)
            for name, layers in zip(names, wanted, strict=True):
                np.testing.assert_allclose(file[name][...], select(layers), rtol=0, atol=1e-5)
        blocks = (tmp_path / f"out.ly{number}.txt").read_text("utf8").split("\n\n")
        assert blocks.pop() == ""
        for block, words, layers in zip(blocks, SENTENCES[:2], wanted, strict=True):
            rows = [line.split("\t") for line in block.splitlines()]
            assert [row[0] for row in rows] == words
            found = np.array([row[1:] for row in rows], dtype=float)
            np.testing.assert_allclose(found, select(layers), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("input_format", "names"),
    [
        ("conll", ["Em\to\ttexto de", "O\t$period$"]),
        ("conll_char", ["E\tm\to\tt\te\tx\tt\to\t \td\te", "O\t$period$"]),
        ("conll_char_vi", ["Em\to\ttexto\tde", "O\t$period$"]),
    ],
)
def test_manylangs_input_formats(tmp_path: Path, input_format: str, names: list[str]) -> None:
    random_model(tmp_path / "model")
    (tmp_path / "input.conllu").write_text(CONLL, "utf8")
    run_manylangs(
        "--input", tmp_path / "input.conllu", "--input_format", input_format, "--model", tmp_path / "model",
        "--output_prefix", tmp_path / "out", "--output_layer", "1",
    )  # fmt: skip
    with h5py.File(tmp_path / "out.ly1.hdf5") as file:
        assert sorted(file) == sorted(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output_layer", "3"], "There is no layer 3: give numbers from 0 to 2"),
        (["--output_layer", "-2"], "There is no layer -2"),
        (["--output_layer", "1", "--input_format", "conll"], "the line 'a b' is not one of CoNLL-U"),
    ],
)
def test_what_manylangs_command_refuses(tmp_path: Path, arguments: list[str], message: str) -> None:
    random_model(tmp_path / "model")
    (tmp_path / "input.txt").write_text("a b\n", "utf8")
    paths = ["--input", tmp_path / "input.txt", "--model", tmp_path / "model", "--output_prefix", tmp_path / "out"]
    with pytest.raises(SystemExit, match=message):
        run_manylangs(*paths, *arguments)
    assert not list(tmp_path.glob("*out*"))


def test_manylangs_command_is_the_peer_s(tmp_path: Path) -> None:
    if not (python := os.environ.get("SPACY_ELMO_PEERS")):
        pytest.skip("needs ELMoForManyLangs 0.0.4.post2: set SPACY_ELMO_PEERS to a Python that has it")
    random_model(tmp_path / "model")
    # The peer's command, unlike its class, does not look for the file anywhere else.
    (tmp_path / "model" / "config.json").write_text(json.dumps({"config_path": "cnn.json"}), "utf8")
    (tmp_path / "input.conllu").write_text(CONLL, "utf8")
    for output_format in ("hdf5", "txt"):  # the peer writes layers of the first one alone
        arguments = [
            "test", "--input", "input.conllu", "--input_format", "conll", "--model", "model",
            "--output_format", output_format, "--output_layer", "0,1,2,-1", "--batch_size", "64", "--output_prefix",
        ]  # fmt: skip
        subprocess.run([python, "-m", "elmoformanylangs", *arguments, "theirs"], cwd=tmp_path, check=True)
        ours = [str(tmp_path / name) if name in ("input.conllu", "model") else name for name in arguments]
        manylangs([*ours, str(tmp_path / "ours")])
    for number in (0, 1, 2, -1):
        with (
            h5py.File(tmp_path / f"ours.ly{number}.hdf5") as ours,
            h5py.File(tmp_path / f"theirs.ly{number}.hdf5") as other,
        ):
            assert set(ours) == set(other)
            for name in other:
                assert ours[name].dtype == other[name].dtype
                np.testing.assert_allclose(ours[name][...], other[name][...], rtol=0, atol=1e-5)
        texts = [(tmp_path / f"{name}.ly{number}.txt").read_text("utf8").split("\n\n") for name in ("ours", "theirs")]
        found, wanted = (sorted([line.split("\t") for line in block.splitlines()] for block in text) for text in texts)
        assert [[row[0] for row in block] for block in found] == [[row[0] for row in block] for block in wanted]
        for block, other_block in zip(found, wanted, strict=True):
            for row, other_row in zip(block, other_block, strict=True):
                np.testing.assert_allclose(np.array(row[1:], float), np.array(other_row[1:], float), rtol=0, atol=1e-5)
