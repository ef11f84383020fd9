"""Which listeners, in other components, take what the component computes."""

from typing import Any

from spacy import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Model

from ..layers.listener import ElmoListener
from ..layers.types import Layers, Vectors


class Listened:
    """The part of the component that knows its listeners. The names and duties of the public methods are spaCy's, which
    calls them when a pipeline changes.
    """

    name: str
    model: Model
    listener_map: dict[str, list[Model]]

    @property
    def encoder(self) -> Model[list[Doc], Layers]:
        return self.model.layers[0]

    @property
    def mix(self) -> Model[Layers, Vectors]:
        return self.model.layers[1]

    def layers_of(self, docs: list[Doc], is_train: bool) -> Layers:
        """What a listener asks of the component, see `Upstream`."""
        raise NotImplementedError

    @property
    def listeners(self) -> list[Model]:
        return [listener for listeners in self.listener_map.values() for listener in listeners]

    @property
    def listening_components(self) -> list[str]:
        return list(self.listener_map)

    def add_listener(self, listener: Model, component_name: str) -> None:
        listeners = self.listener_map.setdefault(component_name, [])
        if listener not in listeners:
            listeners.append(listener)

    def remove_listener(self, listener: Model, component_name: str) -> bool:
        listeners = self.listener_map.get(component_name, [])
        if listener not in listeners:
            return False
        # A new list: `replace_listeners` is walking over the old one.
        self.listener_map[component_name] = [node for node in listeners if node is not listener]
        if not self.listener_map[component_name]:
            del self.listener_map[component_name]
        return True

    def find_listeners(self, component: Any) -> None:
        """Find the listeners in a component's model that mean this one by name, or by '*'."""
        if not isinstance(getattr(component, "model", None), Model):
            return
        for node in component.model.walk():
            if isinstance(node, ElmoListener | Tok2VecListener) and node.upstream_name in ("*", self.name):
                self.add_listener(node, component.name)
                if isinstance(node, ElmoListener):
                    node.link(self)

    def _elmo_listeners(self) -> list[ElmoListener]:
        """Without those that have since been linked to a nearer component."""
        found = (node for node in self.listeners if isinstance(node, ElmoListener))
        return [node for node in found if node.listens_to(self.name)]

    def _tok2vec_listeners(self) -> list[Tok2VecListener]:
        """spaCy's listeners. One to '*' does not know whom it means; of another width it cannot mean this component."""
        found = [node for node in self.listeners if isinstance(node, Tok2VecListener)]
        width = self.model.get_dim("nO") if self.model.has_dim("nO") else None
        return [node for node in found if node.upstream_name == self.name or node.get_dim("nO") == width]

    def _check_for_wrong_widths(self, nlp: Language | None) -> None:
        """Raises ValueError where a listener of spaCy's fits neither this component nor another one."""
        others = [pipe for name, pipe in nlp.pipeline if pipe is not self] if nlp is not None else []
        for node in self.listeners:
            if not isinstance(node, Tok2VecListener) or any(node in getattr(pipe, "listeners", ()) for pipe in others):
                continue
            if node.get_dim("nO") != self.model.get_dim("nO"):
                raise ValueError(
                    f"A Tok2VecListener has the width {node.get_dim('nO')}, but its upstream '{self.name}' "
                    f"gives vectors of width {self.model.get_dim('nO')}. Set the listener's width to that."
                )

    def _set_listener_dims(self) -> None:
        """Let the listeners know their width, once it is known. Raises ValueError where a config says another."""
        if not self.model.has_dim("nO"):
            return
        for listener in self._elmo_listeners():
            listener.set_upstream_dims(self.encoder.get_dim("nL"), self.encoder.get_dim("nO"))
