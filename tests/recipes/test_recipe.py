"""Training configs by command: those that are shipped, and what options change."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.util import load_config, load_config_from_str, load_model_from_config
from thinc.api import Config
from typer.testing import CliRunner

from experiments.configs import command_of
from spacy_elmo.cli import elmo_cli
from spacy_elmo.pipeline.frozen import FrozenError, LoadTransformer
from spacy_elmo.recipes import COMPONENTS, Recipe, RecipeError, as_text, choices

from ..conftest import REPOSITORY

CONFIGS = REPOSITORY / "configs"
SHIPPED = sorted(path.name for path in CONFIGS.glob("*.cfg") if "pretrain" not in path.name)


def init_config(*words: str) -> tuple[int, str]:
    """Run `python -m spacy elmo init-config WORDS` and give its exit code, and what it printed."""
    result = CliRunner().invoke(elmo_cli, ["init-config", *words])
    return result.exit_code, result.output


def made(*words: str) -> Config:
    code, text = init_config("-", *words)
    assert code == 0, text
    return load_config_from_str(text)


def tok2vec_of(config: Config, component: str) -> dict[str, Any]:
    found: dict[str, Any] = config["components"][component]["model"]["tok2vec"]
    return found


def nodes(settings: Any) -> list[str]:
    """The names of all architectures and layers in a part of a config."""
    if not isinstance(settings, dict):
        return []
    own = [value for key, value in settings.items() if key in ("@architectures", "@layers")]
    return [*own, *(name for value in settings.values() for name in nodes(value))]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_is_what_its_command_makes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m experiments.configs` makes them so."""
    if name.endswith("_ja.cfg"):
        pytest.importorskip("sudachipy", reason="takes Sudachi: pip install -e '.[ja]'")
    command = command_of(CONFIGS / name)
    assert command is not None
    assert command[:4] == ["-m", "spacy", "elmo", "init-config"]
    monkeypatch.chdir(tmp_path)
    code, output = init_config(*command[4:])
    assert code == 0, output
    assert (tmp_path / "configs" / name).read_text("utf8") == (CONFIGS / name).read_text("utf8")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_is_complete(name: str) -> None:
    """spaCy has nothing to add, so that what a reader sees is all there is."""
    config = load_config(CONFIGS / name)
    assert load_model_from_config(config, auto_fill=True).config == config


def test_a_pipeline_of_all_components() -> None:
    config = made("--pipeline", ",".join(["sentencizer", *COMPONENTS]), "--lang", "en")
    assert config["nlp"]["pipeline"] == ["sentencizer", "elmo", *COMPONENTS]
    assert config["training"]["annotating_components"] == ["sentencizer"]
    for component in COMPONENTS:
        assert "spacy-elmo.ElmoListener.v1" in nodes(tok2vec_of(config, component)), component
    assert config["initialize"]["components"]["entity_linker"]["kb_loader"]["kb_path"] == "${paths.kb}"


def test_accuracy_reads_hashed_features_too() -> None:
    small, large = (tok2vec_of(made("-p", "ner", "-o", which), "ner") for which in ("efficiency", "accuracy"))
    assert "spacy.MultiHashEmbed.v2" not in nodes(small)
    assert "spacy.MultiHashEmbed.v2" in nodes(large)


def test_vectors_and_a_transformer_stand_beside() -> None:
    config = made("-p", "ner", "--vectors", "vectors/en", "--transformer", "a/transformer")
    assert config["paths"]["vectors"] == "vectors/en"
    assert config["nlp"]["pipeline"] == ["elmo", "transformer", "ner"]
    assert config["components"]["transformer"]["model"]["name"] == "a/transformer"
    assert config["training"]["frozen_components"] == ["transformer"]
    assert config["training"]["annotating_components"] == ["transformer"]
    found = nodes(tok2vec_of(config, "ner"))
    assert {"spacy.StaticVectors.v2", "spacy-transformers.TransformerListener.v1"} < set(found)


def test_vectors_stand_beside_pooled_ones_too() -> None:
    assert "spacy.StaticVectors.v2" in nodes(tok2vec_of(made("-p", "textcat", "--vectors", "v"), "textcat"))


def test_at_output_has_two_listeners_with_a_mix_each() -> None:
    found = nodes(tok2vec_of(made("-p", "ner", "--at-output", "--encoder", "bilstm"), "ner"))
    assert found.count("spacy-elmo.ElmoListener.v1") == 2
    assert "spacy.TorchBiLSTMEncoder.v1" in found


def test_finetune_trains_the_bilm_at_a_smaller_rate() -> None:
    frozen, trained = made("-p", "ner", "--frozen"), made("-p", "ner", "--finetune")
    assert frozen["components"]["elmo"]["frozen"]
    assert not trained["components"]["elmo"]["frozen"]
    assert frozen["training"]["before_update"] is None
    assert trained["training"]["before_update"]["@callbacks"] == "spacy-elmo.gradual_unfreezing.v1"
    assert trained["training"]["before_update"]["rate"] < 1


def test_gpu_asks_for_torchs_memory() -> None:
    assert made("-p", "ner", "--gpu")["system"]["gpu_allocator"] == "pytorch"
    assert made("-p", "ner")["system"]["gpu_allocator"] is None


def test_a_baseline_has_no_elmo() -> None:
    config = made("-p", "ner,textcat", "--baseline")
    assert config["nlp"]["pipeline"] == ["tok2vec", "ner", "textcat"]
    assert not any("elmo" in name.lower() for name in nodes(config["components"]))


@pytest.mark.parametrize("names", ["['ner', \"tagger\"]", " ner , tagger "])
def test_a_pipeline_is_written_as_spacys_init_config_takes_it(names: str) -> None:
    assert made("-p", names)["nlp"]["pipeline"] == ["elmo", "ner", "tagger"]


def test_spacys_other_codes_of_a_language_are_understood() -> None:
    config = made("-p", "ner", "-l", "eng")
    assert (config["nlp"]["lang"], config["components"]["elmo"]["model"]["source"]) == ("en", "en_elmo_sm")


def test_a_language_has_the_model_that_comes_with_it() -> None:
    assert made("-p", "ner")["components"]["elmo"]["model"]["source"] == "en_elmo_sm"
    assert made("-p", "ner", "-l", "da", "--source", "x")["components"]["elmo"]["model"]["source"] == "x"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "nre"], "No component in the pipeline reads ELMo"),
        (["-p", "ner,nowhere"], "spaCy has no component 'nowhere'"),
        (["-p", "ner", "-l", "qq"], "spaCy has no language 'qq'"),
        (["-p", "ner", "-l", "da"], "no model for the language 'da'"),
        (["-p", "ner", "-l", "da"], "name it: --source en_elmo_sm, or nlp.add_pipe("),
        (["-p", "sentencizer"], "No component in the pipeline reads ELMo"),
        (["-p", "ner,tagger,ner"], "'ner' stands twice in the pipeline"),
        (["-p", "ner", "--baseline", "--finetune"], "A baseline has no ELMo, and so no --finetune"),
        (
            ["-p", "ner", "--baseline", "-o", "accuracy", "--source", "x", "--transformer", "x", "--encoder", "bilstm"],
            "no --optimize, --source, --transformer, --encoder. Leave",
        ),
        (["-p", "ner", "--baseline", "--at-output"], "no --at-output"),
        (["-p", "elmo,ner", "--source", "x"], "Leave 'elmo' out of the pipeline: the config has it by itself"),
        (["-p", "tok2vec,ner"], "Leave 'tok2vec' out of the pipeline: --baseline puts it in"),
        (["-p", "transformer,ner"], "Leave 'transformer' out of the pipeline: --transformer NAME puts it in"),
        (["-p", "ner", "--vectors", ""], "--vectors is empty"),
    ],
)
def test_what_cannot_be_made_is_said(words: list[str], message: str) -> None:
    code, output = init_config("-", *words)
    assert code == 1
    assert message in " ".join(output.split())


def test_a_file_is_replaced_only_on_demand(tmp_path: Path) -> None:
    config = tmp_path / "config.cfg"
    assert init_config(str(config), "-p", "ner")[0] == 0
    config.write_text("mine", "utf8")
    code, output = init_config(str(config), "-p", "ner")
    assert code == 1
    assert "--force" in output
    assert config.read_text("utf8") == "mine"
    code, output = init_config(str(config), "-p", "ner", "--force")
    assert code == 0
    assert f"python -m spacy train {config}" in output.replace("\n", " ")
    assert config.read_text("utf8").startswith("# Named entities")


def test_a_source_that_is_not_there_yet_is_told(tmp_path: Path) -> None:
    code, output = init_config(str(tmp_path / "config.cfg"), "-p", "ner", "--source", "training/mine")
    assert code == 0
    assert "'training/mine' names no ELMo model" in " ".join(output.split())
    assert made("-p", "ner", "--source", "training/mine")["components"]["elmo"]["model"]["source"] == "training/mine"


def test_comments_say_what_to_change() -> None:
    lines = as_text(Recipe(pipeline=("ner", "tagger")), "my config.cfg").splitlines()
    assert lines[0] == "# Named entities and fine-grained parts of speech on frozen ELMo vectors."
    assert "'my config.cfg'" in lines[2]
    comments = [lines[i + 1].partition(" =")[0] for i, line in enumerate(lines) if line.startswith("# ") and i > 6]
    assert {"train", "frozen", "source", "learn_rate", "start"} < set(comments)
    assert len(comments) == len(set(comments))


def test_an_entity_linker_is_told_what_it_needs() -> None:
    code, text = init_config("-", "-p", "entity_linker")
    assert code == 0
    assert "[components.entity_linker]\n# Needs components before it that set sentences and entities.\n" in text


def test_a_recipe_in_python() -> None:
    assert Recipe(pipeline=("textcat",)).config()["nlp"]["pipeline"] == ["elmo", "textcat"]
    with pytest.raises(RecipeError, match="reads ELMo"):
        Recipe(pipeline=()).config()


@pytest.mark.parametrize(
    ("names", "pipeline"),
    [
        ("entity_ruler,textcat", ["sentencizer", "entity_ruler", "elmo", "textcat"]),
        ("entity_ruler,sentencizer,textcat", ["entity_ruler", "sentencizer", "elmo", "textcat"]),
    ],
)
def test_sentences_to_pool_are_set_whatever_comes_first(names: str, pipeline: list[str]) -> None:
    assert made("-p", names, "--pool", "mean")["nlp"]["pipeline"] == pipeline


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--vectors", "Not on this machine yet: 'nowhere' is neither an installed pipeline"),
        ("--transformer", "'nowhere' is no folder here"),
    ],
)
def test_what_a_config_names_and_is_not_here_is_told(tmp_path: Path, option: str, told: str) -> None:
    """It may come yet, and be a name on a hub."""
    if option == "--transformer":
        pytest.importorskip("spacy_transformers")
    code, output = init_config(str(tmp_path / "made.cfg"), "-p", "ner", option, "nowhere")
    assert code == 0, output
    assert told in " ".join(output.split())
    (there := tmp_path / "there").mkdir()
    _, output = init_config(str(tmp_path / "there.cfg"), "-p", "ner", option, str(there))
    assert "folder" not in output.replace(str(there), "")


def test_long_texts_are_pooled_by_sentences() -> None:
    config = made("-p", "textcat,textcat_multilabel", "--pool", "attention", "--sentences", "sampled:20")
    assert config["nlp"]["pipeline"] == ["sentencizer", "elmo", "textcat", "textcat_multilabel"]
    assert config["training"]["annotating_components"] == ["sentencizer"]
    getter = {"@span_getters": "spacy-elmo.sampled_sentences.v1", "n": 20, "seed": 0}
    for settings in (config["components"]["elmo"]["model"], tok2vec_of(config, "textcat")):
        assert settings["get_spans"] == getter
    exclusive = [config["components"][name]["model"]["exclusive_classes"] for name in config["nlp"]["pipeline"][2:]]
    assert exclusive == [True, False]
    assert tok2vec_of(config, "textcat")["tok2vec"]["layer_norm"]
    assert config["training"]["optimizer"]["learn_rate"] == choices.SENTENCES_RATE
    assert tok2vec_of(made("-p", "textcat_multilabel"), "textcat_multilabel")["layer_norm"] is False


def test_long_texts_are_read_as_well_as_was_asked_for() -> None:
    config = made("-p", "textcat", "--pool", "mean", "--optimize", "accuracy")
    assert {"layer_norm = true", '@architectures = "spacy.MultiHashEmbed.v2"'} < set(config.to_str().splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "ner", "--pool", "mean"], "Only text categories"),
        (["-p", "textcat", "--pool", "mean", "--sentences", "last:3"], "first:30 or sampled:30"),
        (["-p", "textcat", "--pool", "mean", "--sentences", "first:0"], "first:30 or sampled:30"),
        (["-p", "textcat", "--sentences", "first:3"], "--sentences leaves out have no vectors"),
        (["-p", "ner,textcat", "--pool", "mean", "--sentences", "first:3"], "--sentences leaves out have no vectors"),
    ],
)
def test_what_cannot_be_pooled_is_said(words: list[str], message: str) -> None:
    code, output = init_config("-", *words)
    assert code == 1
    assert message in " ".join(output.split())


def test_a_span_finder_learns_at_a_rate_that_it_stands() -> None:
    """And so does what is in one pipeline with it; the loss of a span finder is a sum over tokens."""
    rates = [
        made("-p", names)["training"]["optimizer"]["learn_rate"] for names in ("ner", "span_finder", "ner,span_finder")
    ]
    assert rates == [0.003, 0.001, 0.001]


def test_a_transformer_that_is_not_trained_is_loaded_before_training() -> None:
    pytest.importorskip("spacy_transformers", reason="takes spacy-transformers")
    config = made("-p", "ner", "--transformer", "a/transformer")
    assert config["training"]["frozen_components"] == ["transformer"]
    assert config["initialize"]["before_init"] == {
        "@callbacks": "spacy-elmo.load_transformer.v1",
        "component": "transformer",
    }
    assert made("-p", "ner")["initialize"]["before_init"] is None, "nothing to load"


def test_nothing_to_load_is_told() -> None:
    with pytest.raises(FrozenError, match=r"no transformer 'transformer'.*\[initialize\.before_init\]"):
        LoadTransformer()(spacy.blank("en"))
