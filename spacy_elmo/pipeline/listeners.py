"""Which listeners, in other components, take what the component computes, and who may write `Doc.tensor`."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from spacy import Language
from spacy.pipeline import DependencyParser, SentenceRecognizer, Sentencizer, Tok2Vec, TrainablePipe
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy.vocab import Vocab
from thinc.api import Model

from ..checkpoints import CheckpointError
from ..layers import slot
from ..layers.encoder import bilm_shim
from ..layers.listener import ElmoListener
from ..layers.spans import DocWords
from ..layers.types import Layers, Vectors
from .gradients import MixBackprop

SENTENCE_SETTERS = (Sentencizer, SentenceRecognizer, DependencyParser)


class TensorReader(NamedTuple):
    """A listener of spaCy's own kind in a later component. In prediction it reads `Doc.tensor`, whoever wrote that.

    Attributes:
        node: the listener.
        component: the name of the component that it is in.
        overwritten: whether a tok2vec of spaCy's stands between, which writes the tensor anew.
    """

    node: Tok2VecListener
    component: str
    overwritten: bool

    def __str__(self) -> str:
        return f"'{self.component}' (upstream '{self.node.upstream_name}', width {self.node.get_dim('nO')})"


class ListeningComponents(list[str]):
    """The names of the components that listen.

    spaCy asks whether a name is among them, to replace its listeners; and walks over them to warn of those that are
    trained while this component is not (W086) or the other way round (W087). These warnings are right of a listener
    that reads `Doc.tensor`, and of any while the biLM is trained.
    """

    def __init__(self, names: Iterable[str], warned_of: Iterable[str]) -> None:
        super().__init__(names)
        self._warned_of = list(warned_of)

    def __iter__(self) -> Iterator[str]:
        return iter(self._warned_of)


class Listened:
    """The part of the component that knows its listeners.

    The names and duties of the public methods without an underscore are spaCy's, which calls them when a pipeline
    changes.
    """

    name: str
    vocab: Vocab
    model: Model
    frozen: bool

    def __init__(self) -> None:
        self.listener_map = {}
        self._has_said_that_it_was_left_behind = False

    @property
    def encoder(self) -> Model[list[DocWords], Layers]:
        """The component's biLM."""
        return self.model.layers[0]

    @property
    def mix(self) -> Model[Layers, Vectors]:
        """What makes `Doc.tensor` of its layers."""
        return self.model.layers[1]

    def words_of(self, docs: list[Doc], listener: Model | None = None) -> list[DocWords]:
        """What a listener asks of the component, see `Upstream`."""
        raise NotImplementedError

    def layers_of(self, docs: list[Doc], is_train: bool, listener: Model | None = None) -> Layers:
        """What a listener asks of the component, see `Upstream`."""
        raise NotImplementedError

    @property
    def listener_map(self) -> dict[str, list[Model]]:
        """The listeners of each component that has some. spaCy sets it to nothing before it walks the pipeline."""
        return self._listener_map

    @listener_map.setter
    def listener_map(self, value: dict[str, list[Model]]) -> None:
        self._listener_map = value
        self._tensor_readers: list[TensorReader] = []
        # What spaCy's walk has come by so far, and the listeners behind a component that sets sentences.
        self._has_passed_sentences = False
        self._has_passed_tok2vec = False
        self._past_sentences: list[Model] = []
        # The ELMo components behind this one: to '*' they are nearer.
        self._later: list[Listened] = []
        self._vocabs = [self.vocab]

    @property
    def listeners(self) -> list[Model]:
        """All that listen, whatever component they are in."""
        return [listener for listeners in self.listener_map.values() for listener in listeners]

    @property
    def listening_components(self) -> list[str]:
        """The names of the components that listen, as spaCy asks for them."""
        readers = [reader.component for reader in self._tensor_readers if self._may_be_for(reader)]
        return ListeningComponents(self.listener_map, dict.fromkeys(readers) if self.frozen else self.listener_map)

    def add_listener(self, listener: Model, component_name: str) -> None:
        """Take up a listener of a component; spaCy calls it."""
        listeners = self.listener_map.setdefault(component_name, [])
        if listener not in listeners:
            listeners.append(listener)

    def remove_listener(self, listener: Model, component_name: str) -> bool:
        """Let go of a listener of a component, and say whether there was one; spaCy calls it."""
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        # A new list: `replace_listeners` is walking over the old one.
        self.listener_map[component_name] = [node for node in listeners if node is not listener]
        if not self.listener_map[component_name]:
            del self.listener_map[component_name]
        self._tensor_readers = [reader for reader in self._tensor_readers if reader.node is not listener]
        return True

    def find_listeners(self, component: Any) -> None:
        """Find the listeners in the model of a later component. spaCy calls this for each of them, in their order."""
        if isinstance(getattr(component, "model", None), Model):
            for node in component.model.walk():
                self._note_listener(node, component.name)
        self._has_passed_sentences |= isinstance(component, SENTENCE_SETTERS)
        self._has_passed_tok2vec |= isinstance(component, Tok2Vec)
        if isinstance(component, Listened):
            self._later.append(component)
        if isinstance(component, TrainablePipe):
            self._vocabs.append(component.vocab)

    def _note_listener(self, node: Model, component_name: str) -> None:
        if not isinstance(node, ElmoListener | Tok2VecListener):
            return
        if self._has_passed_sentences:
            self._past_sentences.append(node)
        if isinstance(node, Tok2VecListener):
            reader = TensorReader(node, component_name, self._has_passed_tok2vec)
            self._tensor_readers.append(reader)
            if self._may_be_for(reader):
                self.add_listener(node, component_name)
        elif node.means(self) and not (node.upstream_name == "*" and self._later):
            self.add_listener(node, component_name)
            self._warn_if_taken(node, component_name)
            node.link(self)

    def _warn_if_taken(self, listener: ElmoListener, component_name: str) -> None:
        """A sourced component is one object in two pipelines: what its listener reads in one it reads in both."""
        other = listener.linked
        if not isinstance(other, Listened) or other is self or other in self._later or self in other._later:
            return
        weights = {other._digest(), self._digest()}
        if len(weights) == 1 or None in weights:
            return
        warnings.warn(
            f"'{component_name}' comes from another pipeline, where it listened to '{other.name}', a biLM of other "
            f"weights. From now on it reads the vectors of '{self.name}' here, in that pipeline, too; it was not "
            f"trained on them. To have it as it was, source '{other.name}' from there as well; that pipeline is right "
            f"again when it is loaded anew.",
            stacklevel=2,
        )

    def _warn_if_left_behind(self, doc: Doc, listener: Model | None) -> None:
        """A listener that was sourced alone still finds this component, as long as there is the pipeline it is in."""
        names = [name for name, listeners in self.listener_map.items() if listener in listeners]
        known = any(doc.vocab is vocab for vocab in self._vocabs)
        if known or not names or self._has_said_that_it_was_left_behind:
            return
        self._has_said_that_it_was_left_behind = True
        warnings.warn(
            f"'{names[0]}' listens to '{self.name}' of another pipeline, which has not run on this Doc. If it is not "
            f"in this one, too, what you save of this one cannot be used: source '{self.name}', too, before "
            f"'{names[0]}'; or give '{names[0]}' a biLM of its own before it is sourced, by nlp.replace_listeners.",
            stacklevel=2,
        )

    def _digest(self) -> str | None:
        """None where there are no weights: they may come yet, from disk or bytes."""
        try:
            return bilm_shim(self.encoder).bilm.digest()
        except CheckpointError:
            return None

    def is_past_sentences(self, listener: Model | None) -> bool:
        """Whether a component that sets sentences stands between this one and the listener's."""
        return any(node is listener for node in self._past_sentences)

    def _elmo_listeners(self) -> list[ElmoListener]:
        """Without those that have since been linked to a nearer component."""
        found = (node for node in self.listeners if isinstance(node, ElmoListener))
        return [node for node in found if node.listens_to(self)]

    def _set_listener_dims(self) -> None:
        """Let the listeners know their width, once it is known.

        Raises:
            ValueError: a listener's config says another.
        """
        if not self.model.has_dim("nO"):
            return
        for listener in self._elmo_listeners():
            listener.set_upstream_dims(self.encoder.get_dim("nL"), self.encoder.get_dim("nO"))

    # `Doc.tensor`. A listener of spaCy's does not know who writes it; one to '*' means spaCy's own tok2vec, where there
    # is one. Whether there is one before this component, only the Docs and the listener tell.

    def _has_width(self, node: Tok2VecListener) -> bool:
        """Whether a listener has this component's width, as far as it is known."""
        return not self.model.has_dim("nO") or node.get_dim("nO") == self.model.get_dim("nO")

    def _is_for(self, reader: TensorReader) -> bool:
        """Whether a listener means this component by its name."""
        return reader.node.upstream_name == self.name

    def _may_be_for(self, reader: TensorReader) -> bool:
        """Whether a listener means this component, or would by '*' if there were no other."""
        by_any = reader.node.upstream_name == "*" and self._has_width(reader.node) and not reader.overwritten
        return self._is_for(reader) or by_any

    def _leaves_tensor(self, doc: Doc) -> TensorReader | None:
        """The listener, if there is one, that reads this Doc's tensor and means the vectors of another component."""
        for reader in self._tensor_readers:
            if self._is_for(reader) or reader.overwritten:
                continue
            if not self._has_width(reader.node) or self._is_anothers(doc, reader):
                return reader
        return None

    def _is_anothers(self, doc: Doc, reader: TensorReader) -> bool:
        """Whether a Doc's tensor is what a listener of this component's width reads, and not this component's."""
        if doc.tensor is None or not doc.tensor.size:
            return False
        name = None if reader.node.upstream_name == "*" else self.name
        return not slot.holds_vectors(doc, self.model.ops.to_numpy(doc.tensor), name)

    def _training_listeners(self, docs: list[Doc]) -> list[Tok2VecListener]:
        """spaCy's listeners that are to learn from this component's vectors of a batch."""
        batch_id = Tok2VecListener.get_batch_id(docs)

        def has_batch(node: Tok2VecListener) -> bool:
            return node._batch_id == batch_id and not isinstance(node._backprop, MixBackprop)

        return [
            reader.node
            for reader in self._tensor_readers
            if self._is_for(reader)
            or (
                self._may_be_for(reader)
                and not has_batch(reader.node)
                and not any(self._is_anothers(doc, reader) for doc in docs)
            )
        ]

    def _check_tensor_readers(self, nlp: Language | None) -> None:
        """Check that each listener of spaCy's finds what it means in `Doc.tensor`.

        Raises:
            ValueError: one does not.
        """
        others = [pipe for _, pipe in nlp.components if pipe is not self] if nlp is not None else []

        def is_claimed(reader: TensorReader) -> bool:
            return any(reader.node in getattr(pipe, "listeners", ()) for pipe in others)

        mine = [reader for reader in self._tensor_readers if self._is_for(reader) or not is_claimed(reader)]
        for reader in mine:
            if not self._has_width(reader.node):
                raise ValueError(
                    f"A Tok2VecListener has the width {reader.node.get_dim('nO')}, but its upstream '{self.name}' "
                    f"gives vectors of width {self.model.get_dim('nO')}. Set the listener's width to that."
                )
        theirs = [reader for reader in self._tensor_readers if reader not in mine and not reader.overwritten]
        if faulty := [reader for reader in mine if reader.overwritten or theirs]:
            raise ValueError(
                f"Doc.tensor holds the vectors of one component at a time, and Tok2VecListeners read it: {faulty[0]} "
                f"would have to find those of '{self.name}' there, but "
                + (f"{theirs[0]} those of another one" if theirs else "a tok2vec in between writes its own")
                + f". Give '{faulty[0].component}' a listener of the type spacy-elmo.ElmoListener.v1 instead, which "
                f"does not read Doc.tensor."
            )


def set_residual_dims(component: Any) -> None:
    """Tell the residual layers behind a component's tok2vec its width, where that was not known when they were made.

    Thinc finds the widths of other layers from data; of these, which an entity linker has, it takes them for the
    width of the whole model's output.
    """
    model: Model = component.model
    tok2vec = model.get_ref("tok2vec") if model.has_ref("tok2vec") else None
    if tok2vec is None or not tok2vec.has_dim("nO"):
        return
    width = tok2vec.get_dim("nO")
    own = {node.id for node in tok2vec.walk()}
    for residual in (node for node in model.walk() if node.name.startswith("residual") and node.id not in own):
        inner = [node for node in residual.walk() if not node.layers and "nO" in node.dim_names]
        for node, dim in [*((node, "nI") for node in inner[:1]), *((node, "nO") for node in inner[-1:])]:
            if node.has_dim(dim) is None:
                node.set_dim(dim, width)
