"""Every shipped training config, and one of every component, trains, saves, loads, and finds what it should."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import spacy
import torch
from spacy.cli.init_pipeline import init_vectors_cli
from spacy.cli.train import train
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus
from thinc.api import Model

from spacy_elmo import load_bilm
from spacy_elmo.explain import learned_mixes
from spacy_elmo.layers.encoder import bilm_shim
from spacy_elmo.pipeline import Elmo
from spacy_elmo.recipes import COMPONENTS, Recipe, as_text

from ..conftest import REPOSITORY
from . import corpus

SHIPPED = sorted(path.stem for path in (REPOSITORY / "configs").glob("*.cfg") if "pretrain" not in path.name)
# The score that counts of each component, and what neither an untrained one has on these texts (in brackets) nor one
# that gives always the same answer.
CHANCE = {
    "tagger": ("tag_acc", 0.8),  # 0.37
    "morphologizer": ("morph_acc", 0.8),  # 0.37
    "trainable_lemmatizer": ("lemma_acc", 0.9),  # 0.69, the words as they are
    "parser": ("dep_las", 0.7),  # 0.15
    "senter": ("sents_f", 0.8),  # 0
    "ner": ("ents_f", 0.7),  # 0.24
    "spancat": ("spans_sc_f", 0.5),  # 0
    "spancat_singlelabel": ("spans_sc_f", 0.5),  # 0
    "span_finder": ("spans_sc_f", 0.3),  # 0; 0.12 were all spans found
    "textcat": ("cats_macro_f", 0.7),  # 0.33
    "textcat_multilabel": ("cats_macro_auc", 0.8),  # 0.5
    "entity_linker": ("nel_micro_f", 0.8),  # 0.5
}
# What a component needs before it.
BEFORE = {"entity_linker": ("sentencizer", "ner")}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.spacy, dev.spacy, and the knowledge base kb."""
    folder = tmp_path_factory.mktemp("texts")
    corpus.write(folder)
    return folder


def trained(config: Path, texts: Path, output: Path, **overrides: object) -> Language:
    """The pipeline that `spacy train` saved after a few steps."""
    paths = {"paths.train": str(texts / "train.spacy"), "paths.dev": str(texts / "dev.spacy")}
    few = {"training.max_steps": 40, "training.eval_frequency": 40, "training.batcher.size.start": 300}
    train(config, output, overrides={**paths, **few, **overrides})
    return spacy.load(output / "model-best")


def assert_finds(nlp: Language, component: str, texts: Path) -> None:
    """In texts that it has not seen, and loaded as well as when it was trained."""
    score, least = CHANCE[component]
    scores = nlp.evaluate(list(Corpus(texts / "dev.spacy")(nlp)))
    assert scores[score] > least
    assert scores[score] == pytest.approx(nlp.meta["performance"][score], abs=1e-6)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_config_trains_saves_loads_and_finds(
    name: str, texts: Path, tmp_path: Path, word_vectors: Path
) -> None:
    if name.endswith("_ja") and not find_spec("sudachipy"):
        pytest.skip("takes Sudachi: pip install -e '.[ja]'")
    vectors = {"paths.vectors": str(word_vectors)} if "vectors" in name else {}
    nlp = trained(REPOSITORY / "configs" / f"{name}.cfg", texts, tmp_path, **vectors)
    assert_finds(nlp, nlp.pipe_names[-1], texts)
    if nlp.has_pipe("elmo"):
        assert has_the_bilm_of_its_source(nlp) == (name != "ner_finetune")


@pytest.fixture(scope="module")
def word_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `spacy init vectors` makes of a text file in word2vec's and fastText's format, with some of the words."""
    folder = tmp_path_factory.mktemp("word_vectors")
    words = (*corpus.PEOPLE, *corpus.COLOURS)
    rows = [f"{word} {' '.join(map(str, np.eye(8)[i % 8]))}" for i, word in enumerate(words)]
    (folder / "vectors.txt").write_text("\n".join([f"{len(rows)} 8", *rows]), "utf8")
    defaults = {"prune": -1, "truncate": 0, "mode": "default", "name": None, "verbose": False, "jsonl_loc": None}
    init_vectors_cli("en", folder / "vectors.txt", folder / "vectors", attr="ORTH", **defaults)
    return folder / "vectors"


def has_the_bilm_of_its_source(nlp: Language) -> bool:
    """Whether training has left it as it was."""
    elmo = nlp.get_pipe("elmo")
    assert isinstance(elmo, Elmo)
    source = nlp.get_pipe_config("elmo")["model"]["source"]
    return bilm_shim(elmo.encoder).bilm.digest() == load_bilm(source, "cpu").digest()


@pytest.mark.parametrize("component", sorted(set(COMPONENTS) - set(SHIPPED) - {"textcat"}))
def test_a_config_of_each_other_component_does_so(
    component: str, texts: Path, tmp_path: Path, tiny_source: str
) -> None:
    recipe = Recipe(lang="xx", pipeline=(*BEFORE.get(component, ()), component), source=tiny_source)
    config = tmp_path / "config.cfg"
    config.write_text(as_text(recipe, str(config)), "utf8")
    kb = {"paths.kb": str(texts / "kb")} if component == "entity_linker" else {}
    assert_finds(trained(config, texts, tmp_path / "out", **kb), component, texts)


@pytest.fixture(scope="module")
def tiny_transformer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random BERT of two narrow layers, whose words are those of the texts."""
    transformers = pytest.importorskip("transformers", reason="takes spacy-transformers")
    pytest.importorskip("spacy_transformers", reason="takes spacy-transformers")
    folder = tmp_path_factory.mktemp("transformer")
    words = [*corpus.PEOPLE, *corpus.CITIES, *corpus.COLOURS, *corpus.FRUITS, "sold", "flew", "in", "to", "with"]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]), "utf8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words) + 5, **sizes)).save_pretrained(folder)
    return str(folder)


def trained_by(recipe: Recipe, texts: Path, folder: Path) -> Language:
    config = folder / "config.cfg"
    config.write_text(as_text(recipe, str(config)), "utf8")
    return trained(config, texts, folder / "out")


def test_a_transformer_beside_elmo_is_read_and_left_as_it_is(
    texts: Path, tmp_path: Path, tiny_source: str, tiny_transformer: str
) -> None:
    recipe = Recipe(pipeline=("ner",), source=tiny_source, transformer=tiny_transformer)
    nlp = trained_by(recipe, texts, tmp_path)
    assert nlp.pipe_names == ["elmo", "transformer", "ner"]
    assert_finds(nlp, "ner", texts)
    # What is in it: the weights it came with.
    weights: Any = nlp.get_pipe("transformer")
    original = import_module("transformers").BertModel.from_pretrained(tiny_transformer).state_dict()
    found = weights.model.transformer.state_dict()
    assert original.keys() == found.keys()
    assert all(torch.equal(original[name], found[name]) for name in original)
    # What the entities are found by: without it, other vectors.
    tok2vec = reader_of(nlp).get_ref("tok2vec")
    doc = nlp("Ada sold red plums in Oslo")
    before = tok2vec.predict([doc])
    doc._.trf_data.model_output.last_hidden_state[:] = 0
    after = tok2vec.predict([doc])
    assert np.abs(before - after).max() > 0.01


def test_elmo_stands_at_the_encoder_s_output_too_with_a_mix_of_its_own(
    texts: Path, tmp_path: Path, tiny_source: str
) -> None:
    nlp = trained_by(Recipe(pipeline=("ner",), source=tiny_source, at_output=True), texts, tmp_path)
    assert_finds(nlp, "ner", texts)
    at_input, at_output = learned_mixes(nlp)
    n_layers = len(at_input.weights)
    for mix in (at_input, at_output):
        assert np.abs(mix.weights - 1 / n_layers).max() > 1e-4, "has learned"
    assert not np.array_equal(at_input.weights, at_output.weights)


def test_some_sentences_of_texts_that_came_without_boundaries(tmp_path: Path, tiny_source: str) -> None:
    """Most texts with categories are such; the config's own sentencizer sets them."""
    for part, names in (("train", corpus.FRUITS), ("dev", corpus.CITIES)):
        words = [[name, kind, ".", "So", "."] for name in names for kind in ("in", "to")]
        docs = [Doc(spacy.blank("en").vocab, words=each) for each in words]
        for doc in docs:
            doc.cats = {"IN": float(doc[1].text == "in"), "TO": float(doc[1].text == "to")}
        DocBin(docs=docs).to_disk(tmp_path / f"{part}.spacy")
    recipe = Recipe(pipeline=("textcat",), source=tiny_source, pool="mean", sentences="first:1")
    nlp = trained_by(recipe, tmp_path, tmp_path)
    assert nlp.pipe_names == ["sentencizer", "elmo", "textcat"]
    cats = nlp("Oslo in. So.").cats
    assert nlp("Oslo in. To something else.").cats == cats, "no later sentence is read"
    assert nlp("Oslo to. So.").cats != cats


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is here")
def test_a_gpu_without_cupy_is_refused_before_anything_is_written(texts: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CuPy is not installed"):
        train(REPOSITORY / "configs" / "ner.cfg", tmp_path / "out", use_gpu=0)
    assert not (tmp_path / "out" / "model-best").exists()


def reader_of(nlp: Language) -> Model[Any, Any]:
    """The model of the last component."""
    component: Any = nlp.get_pipe(nlp.pipe_names[-1])
    return cast(Model[Any, Any], component.model)
