"""What AllenNLP archives a model of its own as: a tagger, say, with ELMo in it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from spacy_elmo import BiLM, CheckpointError, load_bilm, save_bilm
from spacy_elmo.checkpoints import describe, locate
from spacy_elmo.checkpoints.allennlp_parameters import to_allennlp
from tests.checkpoints.test_archives import contents_of, write_archive
from tests.conftest import random_bilm

PREFIX = "_text_field_embedder.token_embedder_elmo._elmo._elmo_lstm."
ADDRESS = "https://example.org/models/elmo_options.json"


def write_model(directory: Path, bilm: BiLM, change: Callable[[dict[str, Any]], Any] = lambda _: None) -> Path:
    """The files of an archive, unpacked. Its own weights are not those of the weights file that it began from."""
    pair = save_bilm(random_bilm(seed=9), directory / "pair", format="allennlp")
    (directory / "fta").mkdir()
    key = "model.text_field_embedder.token_embedders.elmo"
    (pair / "options.json").rename(directory / "fta" / f"{key}.options_file")
    (pair / "weights.hdf5").rename(directory / "fta" / f"{key}.weight_file")
    pair.rmdir()
    weights_address = ADDRESS.replace("options.json", "weights.hdf5")
    elmo = {"type": "elmo_token_embedder", "options_file": ADDRESS, "weight_file": weights_address}
    config = {"model": {"type": "tagger", "text_field_embedder": {"token_embedders": {"elmo": elmo}}}}
    (directory / "config.json").write_text(json.dumps(config), "utf8")
    weights: dict[str, Any] = {
        **{f"{PREFIX}{name}": tensor for name, tensor in to_allennlp(bilm.state_dict(), bilm.config).items()},
        "_text_field_embedder.token_embedder_elmo._elmo.scalar_mix_0.gamma": torch.ones(1),
        "tag_projection_layer.weight": torch.zeros(7, 12),
        "encoder.steps": torch.tensor(3),
    }
    change(weights)
    torch.save(weights, directory / "weights.th")
    return directory


def assert_close(found: BiLM, wanted: BiLM) -> None:
    """The forget gate's bias loses a bit as AllenNLP adds 1 to it."""
    assert found.config == wanted.config
    for name, tensor in wanted.state_dict().items():
        atol = 1e-6 if name.endswith("bias") and "layers" in name else 0
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=0, atol=atol)


@pytest.mark.parametrize("ending", ["", ".tar.gz"])
def test_the_weights_are_those_of_the_archive(tmp_path: Path, tiny_bilm: BiLM, ending: str) -> None:
    source = tmp_path / "model"
    source.mkdir()
    write_model(source, tiny_bilm)
    if ending:
        source = write_archive(tmp_path / f"model{ending}", contents_of(source))
    assert_close(load_bilm(source, device="cpu"), tiny_bilm)
    if not ending:
        assert locate(source) == locate(source / "config.json") == locate(source / "weights.th")
    facts = describe(locate(source))
    assert (facts["format"], facts["family"], facts["dtype"]) == ("allennlp-archive", "bilm-tf", "float32")


def test_an_archive_of_before_files_were_archived_tells_where_its_options_go(tmp_path: Path, tiny_bilm: BiLM) -> None:
    write_model(tmp_path, tiny_bilm)
    options = next((tmp_path / "fta").glob("*options_file")).rename(tmp_path / "elsewhere.json")
    with pytest.raises(CheckpointError, match=f"holds no options files of an ELMo, .* as {ADDRESS}. Put .*fta"):
        load_bilm(tmp_path)
    options.rename(tmp_path / "elmo_options.json")
    assert_close(load_bilm(tmp_path, device="cpu"), tiny_bilm)


def without_elmo(weights: dict[str, Any]) -> None:
    for name in [name for name in weights if "_elmo_lstm" in name]:
        del weights[name]
    weights["encoder.weight"] = torch.zeros(10_000)


def with_two(weights: dict[str, Any]) -> None:
    weights |= {f"other.{name}": value for name, value in weights.items()}


def of_another_shape(weights: dict[str, Any]) -> None:
    weights[f"{PREFIX}_token_embedder._projection.bias"] = torch.zeros(7)


def without_a_layer(weights: dict[str, Any]) -> None:
    del weights[f"{PREFIX}_elmo_lstm.forward_layer_1.state_linearity.bias"]


def not_finite(weights: dict[str, Tensor]) -> None:
    weights[f"{PREFIX}_token_embedder._projection.bias"] = torch.full((6,), float("nan"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_elmo, "holds no ELMo"),
        (with_two, "holds several ELMos"),
        (of_another_shape, r"char_cnn.projection.bias has the shape \(7,\)"),
        (without_a_layer, r"does not hold the biLM of its options \(.*forward_layer_1.state_linearity.bias"),
        (not_finite, "_projection.bias holds values that are not finite numbers"),
    ],
)
def test_an_archive_of_something_else(
    tmp_path: Path, tiny_bilm: BiLM, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    write_model(tmp_path, tiny_bilm, change)
    with pytest.raises(CheckpointError, match=f"weights.th.*{words}"):
        load_bilm(tmp_path)


class Program:
    """Unpickled, it makes a directory, as it might do anything else."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_no_code_in_an_archive_is_run(tmp_path: Path, tiny_bilm: BiLM) -> None:
    write_model(tmp_path, tiny_bilm, lambda weights: weights.update(more=Program(tmp_path / "made")))
    with pytest.raises(CheckpointError, match=r"weights\.th was not read.*mkdir"):
        load_bilm(tmp_path)
    assert not (tmp_path / "made").exists()
