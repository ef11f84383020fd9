"""The layers between ELMo and a component: features side by side, each of the encoder's width, and an encoder on them.

They are descriptions for a config: dicts with "@architectures" or "@layers", whose layers in a row stand under "*".
"""

from collections.abc import Mapping

from .choices import ENCODERS, HASHED, WIDTH, Reading, Settings

# Where an encoder's width is written once and referred to; without one it is the number.
Width = str | int


def listener(reading: Reading) -> Settings:
    """A listener to the component "elmo"."""
    return {
        "@architectures": "spacy-elmo.ElmoListener.v1",
        "upstream": "elmo",
        "output": reading.output,
        "dropout": reading.dropout,
        **({"layer_norm": True} if reading.layer_norm else {}),
    }


def transformer_listener() -> Settings:
    """A listener to a transformer of spacy-transformers that is not trained."""
    return {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 0.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }


def static_vectors(width: Width) -> Settings:
    """The vectors that the pipeline's vocabulary has for words."""
    lookup = {
        "@layers": "spacy.StaticVectors.v2",
        "nO": width,
        "dropout": 0.0,
        "init_W": {"@initializers": "glorot_uniform_init.v1"},
    }
    return chain(lookup=lookup, list={"@layers": "ragged2list.v1"})


def features(reading: Reading, width: Width, *, vectors: bool, transformer: bool) -> Settings:
    """What is known of each token: ELMo, and what stands beside it."""
    found = {"elmo": chain(listen=listener(reading), project=projection(width))}
    if reading.hashed:
        found["hashed"] = HASHED
    if vectors:
        found["vectors"] = static_vectors(width)
    if transformer:
        found["transformer"] = chain(listen=transformer_listener(), project=projection(width))
    return found["elmo"] if len(found) == 1 else beside(found, width)


def tok2vec(
    place: str, reading: Reading, encoder: str, *, vectors: bool, transformer: bool, at_output: bool
) -> Settings:
    """The tok2vec of a component's model.

    Args:
        place: Where it stands in the config, as "components.ner.model.tok2vec".
        reading: How it reads.
        encoder: A name in `ENCODERS`.
        vectors: Whether static vectors stand beside ELMo.
        transformer: Whether a transformer does.
        at_output: Whether ELMo vectors also stand beside the encoder's output (Peters et al. 2018, section 3.2), with a
            mix of their own.
    """
    if not reading.encoded and not (vectors or transformer or at_output):
        return listener(reading)
    refers = encoder == "window" and not at_output
    width: Width = f"${{{place}.encode.width}}" if refers else WIDTH
    embed = features(reading, width, vectors=vectors, transformer=transformer)
    encoded = (
        {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": ENCODERS[encoder]}
        if encoder == "window"
        else chain(embed=embed, encode=ENCODERS[encoder])
    )
    if not at_output:
        return encoded
    return beside({"encoded": encoded, "elmo": chain(listen=listener(reading), project=projection(width))}, width)


def projection(width: Width) -> Settings:
    """Of each token's numbers to a width, normalised."""
    # With a dropout of 0 it takes the rate of [training], which it does not with null.
    layer = {"@layers": "Maxout.v1", "nO": width, "nP": 3, "normalize": True, "dropout": 0.0}
    return {"@layers": "with_array.v1", "layer": layer}


def chain(**layers: Settings) -> Settings:
    """Layers one after the other."""
    return {"@layers": "chain.v1", "*": layers}


def beside(layers: Mapping[str, Settings], width: Width) -> Settings:
    """Layers side by side, and a projection of all their outputs together."""
    return chain(beside={"@layers": "concatenate.v1", "*": dict(layers)}, project=projection(width))
