"""Saved pipelines hold all they need, in files that are no pickles."""

import pickle
import pickletools
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.util import load_model_from_config

from .helpers import (
    TEXTS,
    Array,
    assert_same,
    assert_same_predictions,
    blank,
    elmo_listener_of,
    elmo_of,
    parameters,
    pipeline,
    predictions,
    train,
)

KINDS = ("tagger", "ner", "textcat")
ATOL = 1e-6


@pytest.fixture
def lost_source(tiny_source: str, tmp_path: Path) -> Path:
    """A copy of the tiny model, for tests that delete it."""
    return Path(shutil.copytree(tiny_source, tmp_path / "lost"))


def vectors(nlp: Language) -> list[Array]:
    return [doc.tensor for doc in nlp.pipe(TEXTS)]


def assert_same_vectors(found: list[Array], wanted: list[Array]) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL)


def test_pipeline_to_disk_needs_no_source(lost_source: Path, tmp_path: Path) -> None:
    nlp = pipeline(str(lost_source), *KINDS)
    train(nlp, 20)
    before = predictions(nlp)
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(lost_source)
    assert_same_predictions(predictions(spacy.load(tmp_path / "saved")), before)


def test_pipeline_to_bytes_needs_no_source(lost_source: Path) -> None:
    nlp = pipeline(str(lost_source), *KINDS)
    train(nlp, 20)
    before, config, data = predictions(nlp), nlp.config, nlp.to_bytes()
    shutil.rmtree(lost_source)
    assert_same_predictions(predictions(load_model_from_config(config).from_bytes(data)), before)


@pytest.mark.parametrize("used", [False, True])
def test_pipeline_saved_before_its_first_use(tiny_source: str, lost_source: Path, tmp_path: Path, used: bool) -> None:
    nlp = blank(str(lost_source))
    if used:
        nlp("a text")
    nlp.to_disk(tmp_path / "saved")
    shutil.rmtree(lost_source)
    assert_same_vectors(vectors(spacy.load(tmp_path / "saved")), vectors(blank(tiny_source)))


def test_saving_again_what_was_loaded(lost_source: Path, tmp_path: Path) -> None:
    nlp = blank(str(lost_source))
    before = vectors(nlp)
    nlp.to_disk(tmp_path / "1")
    shutil.rmtree(lost_source)
    for i in range(1, 3):
        spacy.load(tmp_path / str(i)).to_disk(tmp_path / str(i + 1))
    assert_same_vectors(vectors(spacy.load(tmp_path / "3")), before)
    assert (tmp_path / "1/elmo/model").read_bytes() == (tmp_path / "3/elmo/model").read_bytes()


def test_component_to_bytes_and_to_disk(tiny_source: str, lost_source: Path, tmp_path: Path) -> None:
    elmo = elmo_of(blank(tiny_source))
    elmo.to_disk(tmp_path / "component")
    ways: list[Callable[[Language], object]] = [
        lambda nlp: elmo_of(nlp).from_bytes(elmo.to_bytes()),
        lambda nlp: elmo_of(nlp).from_disk(tmp_path / "component"),
    ]
    nlps = [blank(str(lost_source)) for _ in ways]
    shutil.rmtree(lost_source)
    for load, nlp in zip(ways, nlps, strict=True):
        load(nlp)
        assert_same_vectors(vectors(nlp), vectors(blank(tiny_source)))


def test_listeners_know_their_width_after_loading(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for kind in KINDS:
        node = elmo_listener_of(loaded, kind)
        assert node.get_dim("nO") == 12
        assert node.upstream is loaded.get_pipe("elmo")


@pytest.mark.parametrize("way", ["from_bytes", "from_disk"])
def test_listeners_know_their_width_once_the_component_is_loaded(tiny_source: str, tmp_path: Path, way: str) -> None:
    nlp = pipeline(tiny_source, "tagger", initialize=False)
    assert elmo_listener_of(nlp, "tagger").has_dim("nO") is None
    saved = elmo_of(pipeline(tiny_source, "tagger"))
    if way == "from_bytes":
        elmo_of(nlp).from_bytes(saved.to_bytes())
    else:
        saved.to_disk(tmp_path)
        elmo_of(nlp).from_disk(tmp_path)
    assert elmo_listener_of(nlp, "tagger").get_dim("nO") == 12


def test_mix_of_a_listener_survives(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, *KINDS)
    train(nlp, 10)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    for kind in KINDS:
        found, wanted = elmo_listener_of(loaded, kind).mix, elmo_listener_of(nlp, kind).mix
        assert not np.allclose(wanted.get_param("w"), 0)
        np.testing.assert_array_equal(found.get_param("w"), wanted.get_param("w"))
        np.testing.assert_array_equal(found.get_param("gamma"), wanted.get_param("gamma"))


def test_trained_weights_are_what_is_saved(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=False)
    train(nlp, 5)
    nlp.to_disk(tmp_path)
    assert_same(parameters(spacy.load(tmp_path)), parameters(nlp))
    assert np.abs(vectors(nlp)[0] - vectors(blank(tiny_source))[0]).max() > 1e-3


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_is_what_the_config_says_at_loading(tiny_source: str, tmp_path: Path, frozen: bool) -> None:
    nlp = pipeline(tiny_source, "tagger", frozen=not frozen)
    train(nlp, 3)
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={"components.elmo.frozen": frozen})
    assert elmo_of(loaded).frozen is frozen
    weights = parameters(loaded)
    train(loaded, 2)
    changed = [not np.array_equal(array, weights[name]) for name, array in parameters(loaded).items()]
    assert changed == [not frozen] * len(changed)


def test_settings_come_back(tiny_source: str, tmp_path: Path) -> None:
    blank(tiny_source, keep_layers=True, cache_bytes=123, output="concat").to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert elmo_of(loaded).keep_layers is True
    assert elmo_of(loaded)._cache.max_bytes == 123
    doc = loaded("a b")
    assert doc.tensor.shape == (2, 36)
    assert doc._.elmo_layers.shape == (3, 2, 12)


def test_training_goes_on_after_loading(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger")
    losses, _ = train(nlp, 5)
    nlp.to_disk(tmp_path)
    later, _ = train(spacy.load(tmp_path), 30)
    assert later[0]["tagger"] < losses[0]["tagger"]
    assert later[-1]["tagger"] < 0.5 * later[0]["tagger"]


def test_embedded_model_is_saved_whole(tmp_path: Path) -> None:
    """And read without looking for it: the name in the config may mean nothing where it is loaded."""
    nlp = spacy.blank("en")
    nlp.add_pipe("elmo")
    wanted = nlp("a b c").tensor
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path, config={"components.elmo.model.source": "a name of long ago"})
    np.testing.assert_allclose(loaded("a b c").tensor, wanted, atol=1e-5)


def is_pickle(data: bytes) -> bool:
    """Whether data is opcodes of a pickle from its begin to its end. They are read and not run."""
    try:
        *_, (_, _, position) = pickletools.genops(data)
    except ValueError:
        return False
    return position == len(data) - 1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_would_be_noticed(protocol: int) -> None:
    assert is_pickle(pickle.dumps({"weights": np.zeros(3)}, protocol))


def test_no_file_is_a_pickle(tiny_source: str, tmp_path: Path) -> None:
    """Nor a torch archive, which has one in it."""
    nlp = pipeline(tiny_source, *KINDS, frozen=False)
    train(nlp, 2)
    nlp.to_disk(tmp_path)
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        data = path.read_bytes()
        if "elmo" in path.parts:
            assert not data.startswith(b"PK"), path
            assert b"PK\x03\x04" not in data, path
            assert b"torch" not in data, path
            assert b"numpy.core" not in data, path
            assert b"numpy._core" not in data, path
        assert not is_pickle(data), path


def test_bytes_are_messages_of_plain_values(tiny_source: str) -> None:
    """The weights in them are safetensors."""
    message = srsly.msgpack_loads(elmo_of(blank(tiny_source)).to_bytes())
    model = srsly.msgpack_loads(message["model"])
    (shim,) = [shim for shims in model["shims"] for shim in shims]
    assert sorted(srsly.msgpack_loads(shim)) == ["config", "digest", "parameters"]


def test_bytes_of_another_component_are_refused_by_name(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    with pytest.raises(
        ValueError, match=r"component 'elmo': .* hold a model of the layers .*softmax.* and not an ELMo"
    ):
        elmo_of(nlp).from_bytes(nlp.get_pipe("tagger").to_bytes())


def test_directory_of_another_component_is_refused_by_name(tiny_source: str, tmp_path: Path) -> None:
    nlp = pipeline(tiny_source, "tagger")
    nlp.to_disk(tmp_path)
    with pytest.raises(ValueError, match=r"tagger cannot be read as the component 'elmo': .*softmax"):
        elmo_of(nlp).from_disk(tmp_path / "tagger")


def test_refused_bytes_leave_the_component_as_it_was(tiny_source: str) -> None:
    nlp = pipeline(tiny_source, "tagger")
    before = vectors(nlp)
    with pytest.raises(ValueError, match="cannot be read"):
        elmo_of(nlp).from_bytes(nlp.get_pipe("tagger").to_bytes())
    assert_same_vectors(vectors(nlp), before)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_bytes_are_refused(tiny_source: str, share: float) -> None:
    data = elmo_of(blank(tiny_source)).to_bytes()
    with pytest.raises(ValueError, match="cannot be read as the component 'elmo'"):
        elmo_of(blank(tiny_source)).from_bytes(data[: int(share * len(data))])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_refused_by_path(tiny_source: str, tmp_path: Path, share: float) -> None:
    elmo_of(blank(tiny_source)).to_disk(tmp_path)
    data = (tmp_path / "model").read_bytes()
    (tmp_path / "model").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="cannot be read as the component 'elmo'") as error:
        elmo_of(blank(tiny_source)).from_disk(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x80\x04K\x01.", srsly.msgpack_dumps({"model": 3})])
def test_other_bytes_are_refused(tiny_source: str, data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read as the component 'elmo'"):
        elmo_of(blank(tiny_source)).from_bytes(data)


def test_damaged_weights_are_refused(tiny_source: str) -> None:
    """A message that is whole, with weights that are not."""
    message = srsly.msgpack_loads(elmo_of(blank(tiny_source)).to_bytes())
    model = srsly.msgpack_loads(message["model"])
    for shims in model["shims"]:
        for i, shim in enumerate(shims):
            inner = srsly.msgpack_loads(shim)
            shims[i] = srsly.msgpack_dumps({**inner, "parameters": inner["parameters"][:-100]})
    data = srsly.msgpack_dumps({**message, "model": srsly.msgpack_dumps(model)})
    with pytest.raises(ValueError, match="the serialized biLM: damaged"):
        elmo_of(blank(tiny_source)).from_bytes(data)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Damage of some kind at some place: a bit, a byte in the beginning, bytes too many, bytes too few."""
    kind, place = rng.integers(4), int(rng.integers(len(data)))
    damaged = bytearray(data)
    if kind == 0:
        damaged[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        damaged[place % 1000] ^= rng.integers(1, 256)
    elif kind == 2:
        damaged[place:place] = rng.bytes(8)
    else:
        del damaged[place : place + rng.integers(1, 40)]
    return bytes(damaged)


@pytest.mark.parametrize("loaded", [False, True])
def test_any_damage_is_refused_or_changes_nothing(tiny_source: str, loaded: bool) -> None:
    """And what is refused leaves the component as it was. (Numbers of the mix alone have no digest.)"""
    whole = blank(tiny_source)
    wanted = whole("a b c").tensor
    data = elmo_of(whole).to_bytes(exclude=["vocab"])
    nlp = blank(tiny_source)
    if loaded:
        nlp("a b c")
    rng = np.random.default_rng(0)
    n_refused = 0
    for _ in range(150):
        try:
            elmo_of(nlp).from_bytes(mutated(data, rng), exclude=["vocab"])
        except ValueError:
            n_refused += 1
        if loaded:
            np.testing.assert_array_equal(nlp("a b c").tensor, wanted)
    np.testing.assert_array_equal(nlp("a b c").tensor, wanted)
    assert n_refused > 130


def test_data_of_version_0_1_is_read(tiny_source: str) -> None:
    """It has neither the digest nor some attributes."""
    whole = blank(tiny_source)
    message = srsly.msgpack_loads(elmo_of(whole).to_bytes(exclude=["vocab"]))
    model = srsly.msgpack_loads(message["model"])
    for key in ("reader", "whole_docs"):
        del model["attrs"][0][key]
    (shim,) = model["shims"][1]
    inner = srsly.msgpack_loads(shim)
    del inner["digest"]
    model["shims"][1] = [srsly.msgpack_dumps(inner)]
    data = srsly.msgpack_dumps({**message, "model": srsly.msgpack_dumps(model)})
    nlp = blank("nowhere")
    elmo_of(nlp).from_bytes(data, exclude=["vocab"])
    np.testing.assert_array_equal(nlp("a b c").tensor, whole("a b c").tensor)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("attrs", 2, "output"), srsly.msgpack_dumps("averagd"), "averagd"),
        (("attrs", 2, "dropout"), srsly.msgpack_dumps("much"), "much"),
        (("attrs", 0, "frozen"), srsly.msgpack_dumps(3), "wrong types"),
        (("attrs", 0, "get_spans"), srsly.msgpack_dumps("x"), "span getter"),
        (("nodes", 1, "dims"), {"nL": 3, "nO": 13}, "nO of 13, and not 12"),
        (("nodes", 2, "dims"), {"nL": 4, "nO": 12}, "nL of 4, and not 3"),
        (("nodes", 0, "dims"), {"nX": 4}, "nX"),
        (("params", 2, "w"), np.full(3, np.nan, dtype=np.float32), "no w of 3 finite numbers"),
        (("params", 2, "w"), np.zeros(4, dtype=np.float32), "no w of 3 finite numbers"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    tiny_source: str, place: tuple[str, int, str], value: object, message: str
) -> None:
    nlp = blank(tiny_source, output="mix")
    nlp("loads the weights")
    data = srsly.msgpack_loads(elmo_of(nlp).to_bytes(exclude=["vocab"]))
    model = srsly.msgpack_loads(data["model"])
    part, number, key = place
    model[part][number][key] = value
    fresh = blank(tiny_source, output="mix")
    with pytest.raises(ValueError, match=f"cannot be read as the component 'elmo'.*{message}"):
        elmo_of(fresh).from_bytes(srsly.msgpack_dumps({**data, "model": srsly.msgpack_dumps(model)}))
    np.testing.assert_array_equal(fresh("a b").tensor, nlp("a b").tensor)


def test_weights_of_another_size_are_taken(tiny_source: str, other_source: str) -> None:
    """Before the first use nothing is known of the size, whatever the source in the config says."""
    data = elmo_of(blank(other_source)).to_bytes()
    nlp = blank(tiny_source)
    elmo_of(nlp).from_bytes(data)
    assert_same_vectors(vectors(nlp), vectors(blank(other_source)))


def test_exclude_leaves_parts_out(tiny_source: str, tmp_path: Path) -> None:
    nlp = blank(tiny_source)
    nlp.to_disk(tmp_path, exclude=["elmo"])
    assert not (tmp_path / "elmo").exists()
    elmo = elmo_of(nlp)
    assert "model" not in srsly.msgpack_loads(elmo.to_bytes(exclude=["model"]))
    before = vectors(nlp)
    elmo.from_bytes(elmo.to_bytes(exclude=["model"]), exclude=["model"])
    assert_same_vectors(vectors(nlp), before)
