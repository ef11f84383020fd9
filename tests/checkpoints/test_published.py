import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from spacy_elmo import CheckpointError, load_bilm
from spacy_elmo.bilm import BiLMConfig
from spacy_elmo.checkpoints import embedded_models
from spacy_elmo.checkpoints.archives import is_archive
from spacy_elmo.checkpoints.bounds import n_parameters
from spacy_elmo.checkpoints.published import catalogue, directory_of, find, near

MODELS = list(catalogue().values())
SHAPES = {
    "small": BiLMConfig(),
    "medium": BiLMConfig(cell_dim=2048, projection_dim=256),
    "original": BiLMConfig(cell_dim=4096, projection_dim=512, n_highway=2),
    "5.5B": BiLMConfig(cell_dim=4096, projection_dim=512, n_highway=2),
}


def test_the_models_that_are_known() -> None:
    names = [model.name for model in MODELS]
    assert names[:8] == ["en_elmo_sm", "ja_elmo_sm", "small", "medium", "original", "5.5B", "pt-wiki", "pt-brwac"]
    assert {f"nlpl-{number}" for number in (195, 196, 199, 210, 211, 217, 218)} <= set(names)
    manylangs = {name.removeprefix("manylangs-") for name in names if name.startswith("manylangs-")}
    assert len(manylangs) == 45
    assert {"de", "grc", "nb", "nn", "zh", "zhs"} <= manylangs


def test_names_and_aliases_mean_one_model() -> None:
    names = [name for model in MODELS for name in (model.name, *model.aliases)]
    assert len(set(names)) == len(names)
    for model in MODELS:
        for name in (model.name, *model.aliases):
            assert find(name) == model
    assert find("nothing of the kind") is None


def test_what_comes_with_the_package_has_nothing_to_download() -> None:
    assert [model.name for model in MODELS if not model.files] == embedded_models()


@pytest.mark.parametrize("model", [model for model in MODELS if model.files], ids=lambda model: model.name)
def test_an_entry_can_be_downloaded(model: Any) -> None:
    assert model.format in ("allennlp", "manylangs")
    for file in model.files:
        assert urlsplit(file.url).scheme in ("http", "https")
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.bytes is None or file.bytes > 0
    if len(model.files) == 1:
        assert is_archive(Path(model.files[0].name))
    else:
        options, weights = (file.name for file in model.files)
        assert options.endswith("options.json")
        assert weights.endswith(".hdf5")
    assert all(re.fullmatch("[a-z]{2,3}", language) for language in model.languages)
    assert len(model.languages) >= 1
    assert all(urlsplit(page).scheme == "https" for page in model.pages)


def test_every_archive_has_one_address() -> None:
    urls = [file.url for model in MODELS for file in model.files]
    assert len(set(urls)) == len(urls)


def test_what_comes_with_the_package_tells_its_own_dimensions() -> None:
    model, bilm = catalogue()["en_elmo_sm"], load_bilm("en_elmo_sm", device="cpu")
    assert model.parameters == sum(parameter.numel() for parameter in bilm.parameters())
    assert (model.width, model.layers) == (bilm.config.width, bilm.config.n_layers + 1)


@pytest.mark.parametrize("name", SHAPES)
def test_dimensions_fit_the_number_of_parameters(name: str) -> None:
    """The page counts what the files hold, and rounds."""
    model, config = catalogue()[name], SHAPES[name]
    assert (model.width, model.layers) == (config.width, config.n_layers + 1)
    assert model.parameters is not None
    assert abs(model.parameters - n_parameters(config)) < 60_000


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Original", "original"),
        ("smal", "small"),
        ("5.5b", "5.5B"),
        ("manylangs-germn", "manylangs-german"),
        ("xyz", None),
    ],
)
def test_near_names(typed: str, meant: str | None) -> None:
    assert meant in near(typed) if meant else near(typed) == []
    models = [find(name) for name in near(typed)]
    assert all(models.count(model) == 1 for model in models)


def test_a_model_lies_in_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalogue()["original"]
    assert directory_of(model.name) == cache / "models" / "original"
    monkeypatch.delenv("SPACY_ELMO_CACHE")
    monkeypatch.setenv("HOME", str(cache))
    assert directory_of(model.name) == cache / ".cache" / "spacy-elmo" / "models" / "original"


# Catalogues of one's own

MODEL = {
    "name": "our-model",
    "aliases": ["ours"],
    "languages": ["da"],
    "format": "allennlp",
    "files": [{"url": "https://a.org/our.zip", "bytes": 7, "sha256": "0" * 64}],
}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "catalogue.json"
    monkeypatch.setenv("SPACY_ELMO_CATALOGUE", str(path))
    return path


def test_a_catalogue_of_ones_own_goes_before(own: Path) -> None:
    mirrored = {**MODEL, "name": "original", "aliases": []}
    own.write_text(json.dumps({"models": [MODEL, mirrored]}), "utf8")
    assert list(catalogue())[:3] == ["our-model", "original", "en_elmo_sm"]
    ours, original = find("ours"), find("original")
    assert ours is not None
    assert original is not None
    assert (ours.files[0].name, ours.files[0].bytes, ours.width, ours.licence) == ("our.zip", 7, None, None)
    assert original.files == ours.files
    assert find("5.5B") is not None


FILE: dict[str, Any] = {"url": "https://a.org/our.zip", "bytes": 7, "sha256": "0" * 64}
WRONG_VALUES: list[tuple[str, Any]] = [
    ("name", 7), ("aliases", "ours"), ("aliases", [7]), ("languages", "da"), ("languages", [None]), ("width", "256"),
    ("width", 0), ("layers", 2.5), ("parameters", True), ("licence", 1), ("tokenisation", []), ("caveats", {}),
    ("pages", "https://a.org"), ("format", None), ("format", []),
]  # fmt: skip
WRONG_FILES: list[tuple[str, Any]] = [
    ("url", 7), ("url", "ftp://a.org/our.zip"), ("url", "our.zip"), ("bytes", "7"), ("bytes", -1), ("bytes", 1.5),
    ("sha256", "abc"), ("sha256", 0),
]  # fmt: skip
_WRONG = (
    r"catalogue\.json: (not a catalogue of models|not readable as JSON|no such file).*SPACY_ELMO_CATALOGUE names it"
)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"models": [7]}',
        json.dumps({"models": [{"name": "a"}]}),
        json.dumps({"models": [{**MODEL, "name": "../a"}]}),
        json.dumps({"models": [{**MODEL, "name": ".."}]}),
        json.dumps({"models": [{**MODEL, "files": [{"url": "https://a.org/.."}]}]}),
        json.dumps({"models": [{**MODEL, "files": [{"url": "https://a.org/"}]}]}),
        json.dumps({"models": [{**MODEL, "files": [{"url": "https://a.org/x", "sha": ""}]}]}),
        json.dumps({"models": [{**MODEL, "files": [{"url": "https://a.org/x"}, {"url": "https://b.org/x"}]}]}),
        *(json.dumps({"models": [{**MODEL, key: value}]}) for key, value in WRONG_VALUES),
        *(json.dumps({"models": [{**MODEL, "files": [{**FILE, key: value}]}]}) for key, value in WRONG_FILES),
        json.dumps({"models": [{**MODEL, "files": 7}]}),
        json.dumps({"models": {"a": 1}}),
        json.dumps({"models": [{**MODEL, "like": "nothing"}]}),
        json.dumps({"models": [{**MODEL, "files": [], "name": "not_embedded"}]}),
        "[" * 100_000,
    ],
)
def test_what_is_no_catalogue_is_named(own: Path, content: str) -> None:
    own.write_text(content, "utf8")
    with pytest.raises(CheckpointError, match=_WRONG):
        catalogue()
    own.unlink()
    with pytest.raises(CheckpointError, match=_WRONG):
        find("small")
