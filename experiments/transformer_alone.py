"""A transformer in ELMo's place, to compare with: frozen, read by the same layers, or fine-tuned, as spaCy does it."""

from thinc.api import Config

# As in spaCy's own configs for transformers, but over as few steps as there are here.
FINE_TUNING = {
    "@optimizers": "Adam.v1",
    "learn_rate": {"@schedules": "warmup_linear.v1", "warmup_steps": 30, "total_steps": 300, "initial_rate": 5e-5},
}


def alone(config: Config, component: str, *, fine_tuned: bool) -> Config:
    """A copy of a config with both, without ELMo.

    Args:
        config: Of a recipe with a transformer.
        component: What reads it.
        fine_tuned: Whether it is trained along, by spaCy's optimizer for it; then the component reads it directly.
    """
    config = config.copy()
    del config["components"]["elmo"]
    config["nlp"]["pipeline"] = [name for name in config["nlp"]["pipeline"] if name != "elmo"]
    model = config["components"][component]["model"]
    beside = model["tok2vec"]["embed"]["*"]["beside"]["*"]["transformer"]
    if not fine_tuned:
        model["tok2vec"]["embed"] = beside
        return config
    model["tok2vec"] = {**beside["*"]["listen"], "grad_factor": 1.0}
    training = config["training"]
    training["frozen_components"], training["annotating_components"] = [], []
    training["optimizer"] = FINE_TUNING
    config["initialize"]["before_init"] = None
    return config
