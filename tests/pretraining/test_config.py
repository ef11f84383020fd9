from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

import pytest

from spacy_elmo import BiLM, BiLMConfig, load_bilm
from spacy_elmo.checkpoints.published import catalogue
from spacy_elmo.pretraining.config import OptimizerSettings, PretrainingConfig, read_config
from spacy_elmo.pretraining.errors import ConfigError
from spacy_elmo.pretraining.settings import Section
from tests.conftest import REPOSITORY

CONFIGS = sorted((REPOSITORY / "configs").glob("pretrain_*.cfg"))
TINY_CONFIG = REPOSITORY / "configs" / "pretrain_tiny.cfg"
TRAIN = {"paths.train": "texts.txt"}
MINIMAL = """
[paths]
train = "texts.txt"

[nlp]
lang = "en"
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf8")
    return path


def message_of(path: Path, overrides: dict[str, Any] | None = None, init_from: Any = None) -> str:
    with pytest.raises(ConfigError) as error:
        read_config(path, overrides or {}, init_from)[0].bilm_config()
    return str(error.value)


def settings_of(kind: type[Section], prefix: str = "") -> set[str]:
    """The dotted names of all settings of a section and of those below it."""
    names = set()
    for name, field in kind.model_fields.items():
        hint = field.annotation
        is_section = isinstance(hint, type) and not get_origin(hint) and issubclass(hint, Section)
        names |= settings_of(hint, f"{prefix}{name}.") if is_section else {f"{prefix}{name}"}
    return names


def keys_of(values: dict[str, Any], settings: set[str], prefix: str = "") -> set[str]:
    """The dotted names of what a file sets, as far down as they are settings."""
    names = set()
    for key, value in values.items():
        name = f"{prefix}{key}"
        names |= keys_of(value, settings, f"{name}.") if isinstance(value, dict) and name not in settings else {name}
    return names


# The configs of the project


def test_there_are_four_configs() -> None:
    assert [path.stem for path in CONFIGS] == [
        f"pretrain_{name}" for name in ("finetune", "hour", "ja", "md", "sm", "tiny")
    ]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_leave_nothing_to_defaults(path: Path) -> None:
    config, source = read_config(path, TRAIN)
    settings = settings_of(PretrainingConfig)
    assert keys_of(source, settings) == settings
    dimensions = {f.name for f in fields(BiLMConfig)} - (set() if path.stem == "pretrain_ja" else {"lexicon"})
    assert set(source["model"]) == (set() if path.stem == "pretrain_finetune" else dimensions)
    assert config.paths.train == "texts.txt"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_ask_for_texts(path: Path) -> None:
    assert message_of(path) == "paths.train is None, but must be a string or a list of strings."


@pytest.mark.parametrize(("config_name", "model"), [("pretrain_sm", "en_elmo_sm"), ("pretrain_ja", "ja_elmo_sm")])
def test_configs_have_the_shape_of_the_embedded_models(config_name: str, model: str) -> None:
    config, _ = read_config(REPOSITORY / "configs" / f"{config_name}.cfg", TRAIN)
    assert config.bilm_config() == load_bilm(model, "cpu").config


# Reading


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    config, _ = read_config(write(tmp_path / "my.cfg", MINIMAL), {})
    assert config == PretrainingConfig(paths=config.paths, nlp={"lang": "en"})
    assert config.paths.train == "texts.txt"
    assert config.paths.heldout is None
    assert config.training.optimizer == OptimizerSettings()
    assert config.bilm_config() == BiLMConfig()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("paths.train", ["a.txt", "b/*.gz"]),
        ("paths.heldout", "held.txt"),
        ("system.seed", 7),
        ("system.workers", 3),
        ("system.device", "cuda:1"),
        ("vocabulary.max_size", None),
        ("initialize.source", ["options.json", "weights.hdf5"]),
        ("training.dropout", 0.25),
        ("training.precision", "bfloat16"),
        ("training.precision", "auto"),
        ("training.carry_state", False),
        ("training.optimizer.decay", "linear"),
        ("training.optimizer.decay_share", 0.2),
        ("training.optimizer.learn_rate", 1),
        ("training.evaluation.max_words", 0),
        ("training.checkpoints.every_minutes", 0.5),
    ],
)
def test_overrides_take_the_place_of_what_the_file_says(name: str, value: Any) -> None:
    config, source = read_config(TINY_CONFIG, {**TRAIN, name: value})
    found: Any = config
    for key in name.split("."):
        found = getattr(found, key)
        source = source[key]
    assert found == source == value
    if name == "training.optimizer.learn_rate":
        assert isinstance(found, float), "a number, also where it is written without a point"


def test_init_from_takes_the_place_of_the_source(tmp_path: Path) -> None:
    for path in (TINY_CONFIG, write(tmp_path / "my.cfg", MINIMAL)):
        config, source = read_config(path, {"paths.train": "x"}, "en_elmo_sm")
        assert config.initialize.source == source["initialize"]["source"] == "en_elmo_sm"
    (tmp_path / "source.cfg").write_text(MINIMAL + '\n[initialize]\nsource = "other"\n', encoding="utf8")
    assert read_config(tmp_path / "source.cfg", {})[0].initialize.source == "other"
    assert read_config(tmp_path / "source.cfg", {}, "mine")[0].initialize.source == "mine"


@pytest.mark.parametrize(
    "paths", [Path("model"), (Path("options.json"), "weights.hdf5"), ["options.json", "weights.hdf5"]]
)
def test_paths_to_go_on_from_are_saved_as_text(tmp_path: Path, paths: Any) -> None:
    config, source = read_config(TINY_CONFIG, TRAIN, paths)
    wanted = "model" if isinstance(paths, Path) else ["options.json", "weights.hdf5"]
    assert config.initialize.source == wanted
    source.to_disk(tmp_path / "saved.cfg")
    assert read_config(tmp_path / "saved.cfg", {})[0].initialize.source == wanted


def test_the_config_as_read_gives_the_same_settings_again(tmp_path: Path) -> None:
    overrides = {**TRAIN, "training.batch_size": 3, "training.dropout": 0}
    config, source = read_config(TINY_CONFIG, overrides, "en_elmo_sm")
    source.to_disk(tmp_path / "saved.cfg")
    again, source_again = read_config(tmp_path / "saved.cfg", {})
    assert again == config
    assert source_again == source


def test_variables_are_filled_in(tmp_path: Path) -> None:
    path = write(tmp_path / "my.cfg", MINIMAL + "\n[system]\nseed = 5\n\n[vocabulary]\nmin_count = ${system.seed}\n")
    assert read_config(path, {})[0].vocabulary.min_count == 5
    assert read_config(path, {"system.seed": 6})[0].vocabulary.min_count == 6


def test_sections_of_spacy_are_left_as_they_are(tmp_path: Path) -> None:
    more = (
        '\n[components]\n\n[components.sentencizer]\nfactory = "sentencizer"\n'
        '\n[training]\n\n[training.logger]\n@loggers = "spacy.ConsoleLogger.v1"\nprogress_bar = false\n'
    )
    config, _ = read_config(write(tmp_path / "my.cfg", MINIMAL + more), {})
    assert config.components == {"sentencizer": {"factory": "sentencizer"}}
    assert config.training.logger == {"@loggers": "spacy.ConsoleLogger.v1", "progress_bar": False}


# Faults


@pytest.mark.parametrize("name", ["training", "training.optimizer", "paths", "initialize"])
def test_unknown_keys_are_named_with_the_known_ones(tmp_path: Path, name: str) -> None:
    text = TINY_CONFIG.read_text("utf8").replace(f"[{name}]\n", f"[{name}]\nbatchsize = 8\n")
    message = message_of(write(tmp_path / "my.cfg", text), TRAIN)
    known = [key for key in settings_of(PretrainingConfig) if key.rpartition(".")[0] == name]
    assert message.startswith(f"Unknown: {name}.batchsize. Known there: {name}.")
    assert all(key in message for key in known)


def test_unknown_sections_are_named(tmp_path: Path) -> None:
    message = message_of(write(tmp_path / "my.cfg", MINIMAL + "\n[optimizer]\nlearn_rate = 0.1\n"))
    assert message.startswith("Unknown: optimizer. Known there: paths, nlp,")


@pytest.mark.parametrize(
    ("text", "missing"), [('[nlp]\nlang = "en"\n', "paths"), ('[paths]\ntrain = "x"\n', "nlp"), ("", "paths, nlp")]
)
def test_missing_sections_are_named(tmp_path: Path, text: str, missing: str) -> None:
    assert message_of(write(tmp_path / "my.cfg", text)) == f"Missing: {missing}."


def test_a_config_of_spacy_train_is_known_as_one() -> None:
    message = message_of(REPOSITORY / "configs" / "ner.cfg")
    assert message.startswith(f"{REPOSITORY / 'configs' / 'ner.cfg'} is a config of `spacy train`")
    assert "python -m spacy elmo configs" in message


def test_missing_texts_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "my.cfg", MINIMAL.replace('train = "texts.txt"', 'heldout = "texts.txt"'))
    assert message_of(path) == "Missing: paths.train."


WRONG_TYPES = [
    ("paths.train", 3, "a string or a list of strings"),
    ("paths.train", ["a", 1], "a string or a list of strings"),
    ("paths.heldout", True, "a string or a list of strings or null"),
    ("system.seed", "1", "an integer"),
    ("system.seed", 1.0, "an integer"),
    ("system.seed", True, "an integer"),
    ("system.seed", None, "an integer"),
    ("system.device", 0, "a string or null"),
    ("system.workers", "all", "an integer or null"),
    ("paths.corpora", ["a"], "a string or null"),
    ("corpus.format", None, "a string"),
    ("vocabulary.path", 1, "a string or null"),
    ("vocabulary.min_count", 2.5, "an integer"),
    ("vocabulary.max_size", "all", "an integer or null"),
    ("initialize.freeze_char_cnn", 1, "true or false"),
    ("initialize.freeze_char_cnn", "yes", "true or false"),
    ("initialize.keep_vocabulary", None, "true or false"),
    ("training.batch_size", [8], "an integer"),
    ("training.dropout", "0.1", "a number"),
    ("training.dropout", True, "a number"),
    ("training.precision", 32, "a string"),
    ("training.logger", "spacy.ConsoleLogger.v1", "a section or null"),
    ("training.optimizer.learn_rate", "fast", "a number"),
    ("training.carry_state", 1, "true or false"),
    ("training.optimizer.decay", None, "a string"),
    ("training.evaluation.every", 0.5, "an integer"),
    ("training.checkpoints.every_minutes", None, "a number"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), WRONG_TYPES)
def test_wrong_types_are_named(name: str, value: Any, wanted: str) -> None:
    assert message_of(TINY_CONFIG, {**TRAIN, name: value}) == f"{name} is {value!r}, but must be {wanted}."


WRONG_VALUES = [
    ("system.seed", -1),
    ("system.seed", 2**63),
    ("system.workers", 0),
    ("paths.corpora", ""),
    ("corpus.format", "lines"),
    ("vocabulary.min_count", 0),
    ("vocabulary.max_size", 3),
    ("training.batch_size", 0),
    ("training.unroll", -1),
    ("training.negatives", 0),
    ("training.log_every", 0),
    ("training.max_epochs", -1),
    ("training.max_steps", -1),
    ("training.patience", -1),
    ("training.dropout", 1.0),
    ("training.dropout", -0.1),
    ("training.precision", "float16"),
    ("training.optimizer.learn_rate", 0.0),
    ("training.optimizer.warmup_steps", -1),
    ("training.optimizer.decay", "step"),
    ("training.optimizer.decay_share", 0.0),
    ("training.optimizer.decay_share", 1.5),
    ("training.optimizer.grad_clip", 0.0),
    ("training.optimizer.beta1", 1.0),
    ("training.optimizer.beta1", -0.1),
    ("training.optimizer.beta2", 1.5),
    ("training.optimizer.eps", -1e-8),
    ("training.evaluation.every", 0),
    ("training.evaluation.max_words", -1),
    ("training.checkpoints.every_steps", -1),
    ("training.checkpoints.every_minutes", -0.5),
    ("training.checkpoints.keep", 0),
]


@pytest.mark.parametrize(("name", "value"), WRONG_VALUES)
def test_wrong_values_are_named(name: str, value: Any) -> None:
    assert message_of(TINY_CONFIG, {**TRAIN, name: value}).startswith(f"{name} is {value!r}, but must be ")


@pytest.mark.parametrize("name", ["training.dropout", "training.optimizer.learn_rate"])
def test_what_is_no_number_is_refused(name: str) -> None:
    """By older versions of what reads configs, in their words."""
    message = message_of(TINY_CONFIG, {**TRAIN, name: float("nan")})
    assert name in message
    assert "nan" in message


def test_a_run_without_end_is_refused() -> None:
    message = message_of(TINY_CONFIG, {**TRAIN, "training.max_epochs": 0})
    assert "training.max_epochs and training.max_steps are both 0" in message
    read_config(TINY_CONFIG, {**TRAIN, "training.max_epochs": 0, "training.max_steps": 5})


def test_only_a_model_that_is_there_can_be_frozen() -> None:
    overrides = {**TRAIN, "initialize.freeze_char_cnn": True}
    assert "initialize.freeze_char_cnn is true" in message_of(TINY_CONFIG, overrides)
    assert read_config(TINY_CONFIG, overrides, "en_elmo_sm")[0].initialize.freeze_char_cnn


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("char_dim = 0", "'char_dim' is 0"),
        ("n_heads = 2", "n_heads"),
        ('activation = "gelu"', "'activation' is 'gelu'"),
    ],
)
def test_wrong_dimensions_are_named(tmp_path: Path, line: str, named: str) -> None:
    message = message_of(write(tmp_path / "my.cfg", f"{MINIMAL}\n[model]\n{line}\n"))
    assert message.startswith("[model] ")
    assert named in message


@pytest.mark.parametrize("value", ["3", '"text"', "null"])
def test_a_value_in_the_place_of_a_section(tmp_path: Path, value: str) -> None:
    path = write(tmp_path / "my.cfg", f"{MINIMAL}\n[training]\noptimizer = {value}\n")
    assert "'training.optimizer' is" in message_of(path)


@pytest.mark.parametrize(
    "text",
    [
        "train = 1\n" + MINIMAL,
        "[paths\n" + MINIMAL,
        MINIMAL + '\n[nlp]\nlang = "de"\n',
        MINIMAL + 'lang = "de"\n',
        MINIMAL + "\n[system]\nseed = ${no.such}\n",
        MINIMAL + "\n[system]\nseed = ${unclosed\n",
    ],
    ids=["no section", "broken section", "section twice", "key twice", "unknown variable", "broken variable"],
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "my.cfg", text)
    assert str(path) in message_of(path)


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.cfg"
    assert str(path) in message_of(path)
    path.write_bytes(b"\xff\xfe[paths]")
    assert str(path) in message_of(path)


@pytest.mark.parametrize("name", ["training.no_such", "no_such.key", "training"])
def test_overrides_of_what_is_not_there_are_named(name: str) -> None:
    message = message_of(TINY_CONFIG, {**TRAIN, name: 1})
    assert all(part in message for part in name.split("."))


def values(name: str) -> dict[str, Any]:
    """All that a config says, but for its comment."""
    settings, _ = read_config(REPOSITORY / "configs" / f"{name}.cfg", TRAIN)
    return {**settings.model_dump(), "model": settings.bilm_config().to_dict()}


def test_the_larger_english_model_is_what_its_page_says() -> None:
    small, larger = values("pretrain_sm"), values("pretrain_md")
    shape = {"projection_dim": 256, "cell_dim": 1024}
    assert larger == {**small, "model": {**small["model"], **shape}}
    n_parameters = sum(parameter.numel() for parameter in BiLM(BiLMConfig.from_dict(larger["model"])).parameters())
    page = " ".join((REPOSITORY / "docs" / "models" / "how_chosen.md").read_text("utf8").split())
    for words in (
        "projection 256, so vectors 512 wide; cell 1,024; the filters of `en_elmo_sm`",
        f"{n_parameters / 1e6:.1f} million parameters, {2 * n_parameters / 1e6:.1f} MB as float16",
    ):
        assert words in page
    # Whoever trains it puts its name into the catalogue, and other words on the page.
    assert ("No weights of `en_elmo_md` are published yet" in page) == ("en_elmo_md" not in catalogue())


def test_a_model_of_an_hour_can_begin_as_the_embedded_one() -> None:
    assert values("pretrain_hour")["model"] == load_bilm("en_elmo_sm").config.to_dict()
