"""What a trained component decides of a Doc, as a number with a gradient: the probability of what it said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from spacy import Language
from spacy.pipeline import EntityRecognizer, TextCategorizer
from spacy.tokens import Doc
from thinc.api import Model

from ..layers.listener import ElmoListener
from .errors import ExplainError

Values = npt.NDArray[np.float64]
# The probability in each of a batch of Docs, and what sends a gradient of these through the component's model.
Scored = tuple[Values, Callable[[Values], None]]


class Decision(Protocol):
    """Something that a component said."""

    @property
    def name(self) -> str:
        """What was said, such as "sport"."""

    def score(self, component: Any, model: Model, docs: Sequence[Doc]) -> Scored:
        """The probability that a model of the component gives to it."""


@dataclass(frozen=True)
class CategoryDecision:
    """A Doc's category."""

    label: str

    @property
    def name(self) -> str:
        """The label."""
        return self.label

    def score(self, component: TextCategorizer, model: Model, docs: Sequence[Doc]) -> Scored:
        """See `Decision.score`."""
        if self.label not in component.labels:
            raise ExplainError(f"{component.name!r} has the categories {component.labels}, and no {self.label!r}.")
        number = component.labels.index(self.label)
        probabilities, backprop = model.begin_update(list(docs))
        of_label = probabilities[:, number].astype(np.float64)

        def send_back(gradient: Values) -> None:
            d_output = np.zeros_like(probabilities)
            d_output[:, number] = gradient
            if any(node.name == "softmax" for node in model.walk()):
                # Thinc's Softmax takes the gradient of what goes into it.
                d_output = probabilities * (d_output - (probabilities * d_output).sum(axis=1, keepdims=True))
            backprop(d_output)

        return of_label, send_back


@dataclass(frozen=True)
class EntityDecision:
    """An entity: the product of the probabilities of its transitions, given those before it.

    Attributes:
        start: Its first token.
        end: The token after its last.
        label: Of what kind it is.
        actions: The classes of the transitions up to its end, one a token.
        text: Its words.
    """

    start: int
    end: int
    label: str
    actions: tuple[int, ...]
    text: str

    @property
    def name(self) -> str:
        """The text, with the label."""
        return f"{self.text} ({self.label})"

    def score(self, component: EntityRecognizer, model: Model, docs: Sequence[Doc]) -> Scored:
        """See `Decision.score`."""
        steps, finish = _begin(model, docs)
        states = component.moves.init_batch([_without_entities(doc) for doc in docs])
        total = np.ones(len(docs))
        taken: list[tuple[npt.NDArray[np.float32], Callable[[Any], Any], int]] = []
        for token, action in enumerate(self.actions):
            if token >= self.start:
                scores, backprop = steps.begin_update(states)
                probabilities = _softmax(scores, _valid(component, states[0]))
                total *= probabilities[:, action]
                taken.append((probabilities, backprop, action))
            _take(component, states, action)

        def send_back(gradient: Values) -> None:
            scale = (gradient * total)[:, None].astype(np.float32)
            for probabilities, backprop, action in taken:
                d_scores = -probabilities * scale
                d_scores[:, action] += scale[:, 0]
                backprop(d_scores)
            finish(None)

        return total, send_back


def decisions_of(component: Any, model: Model, doc: Doc) -> list[Decision]:
    """What a component says of a Doc: its likeliest category, or all entities.

    Raises:
        ExplainError: The component is neither a text categorizer nor an entity recognizer.
    """
    if isinstance(component, TextCategorizer):
        return [CategoryDecision(component.labels[int(component.predict([doc])[0].argmax())])]
    if isinstance(component, EntityRecognizer):
        return list(_entities(component, model, doc))
    raise ExplainError(
        f"{component.name!r} is a {type(component).__name__}; what can be explained are decisions of text "
        f"categorizers and entity recognizers."
    )


def first_decider(nlp: Language) -> str:
    """The name of the first component whose decisions can be explained, because it listens to ELMo.

    Raises:
        ExplainError: There is none.
    """
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, TextCategorizer | EntityRecognizer) and any(
            isinstance(node, ElmoListener) for node in pipe.model.walk()
        ):
            return name
    raise ExplainError(
        f"This pipeline has neither a text categorizer nor an entity recognizer with an ElmoListener: {nlp.pipe_names}."
    )


def _entities(component: EntityRecognizer, model: Model, doc: Doc) -> list[EntityDecision]:
    """As the component finds them, greedily."""
    steps, _ = _begin(model, [doc])
    bare = _without_entities(doc)
    (state,) = states = component.moves.init_batch([bare])
    actions: list[int] = []
    while not state.is_final():
        scores, _ = steps.begin_update(states)
        actions.append(int(np.where(_valid(component, state), scores[0], -np.inf).argmax()))
        _take(component, states, actions[-1])
    component.moves.set_annotations(state, bare)
    return [
        EntityDecision(ent.start, ent.end, ent.label_, tuple(actions[: ent.end]), doc[ent.start : ent.end].text)
        for ent in bare.ents
    ]


def _begin(model: Model, docs: Sequence[Doc]) -> tuple[Any, Callable[[Any], Any]]:
    steps: Any
    steps, finish = model.begin_update(list(docs))
    steps.attrs["dropout_rate"] = 0.0
    return steps, finish


def _without_entities(doc: Doc) -> Doc:
    """A copy on which nothing is known of entities; what is known would bind the component."""
    copy = doc.copy()
    copy.set_ents([], default="missing")
    return copy


def _valid(component: EntityRecognizer, state: Any) -> npt.NDArray[np.bool_]:
    moves = component.moves
    return np.array([moves.is_valid(state, moves.get_class_name(i)) for i in range(moves.n_moves)])


def _take(component: EntityRecognizer, states: Sequence[Any], action: int) -> None:
    wanted = np.zeros((len(states), component.moves.n_moves), dtype=np.float32)
    wanted[:, action] = 1
    component.transition_states(states, wanted)


def _softmax(scores: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    logits = np.where(valid, scores, -np.inf)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), dtype=np.float32)
