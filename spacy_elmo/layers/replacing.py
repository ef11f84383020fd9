"""The configs of what `Language.replace_listeners` puts in the place of listeners."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..errors import ElmoError
from .listener import LISTENER_NAME, MIX_ARGUMENTS

LISTENERS = (LISTENER_NAME, "spacy.Tok2VecListener.v1")

_Config = dict[str, Any]
_Path = tuple[str, ...]


class ReplacementError(ElmoError, ValueError):
    """A path at which there is no listener."""


class ReplacingConfigs:
    """What spaCy calls as `replace_listener_cfg`.

    spaCy asks for one config for each path that it was given, without telling the path, and puts it there; only then it
    goes on to the model. By then it shows where each was put. The path may be that of the listener, or of a section
    that it is somewhere within: all of spaCy's documents show "model.tok2vec".
    """

    def __init__(self) -> None:
        self._given: list[_Given] = []

    def __call__(self, model_cfg: _Config, tok2vec_cfg: _Config) -> _Config:
        """Give a config to put in place of a listener's, or around it; `settle` makes it right.

        Args:
            model_cfg: of the component that is listened to.
            tok2vec_cfg: the whole tok2vec of the one that listens.
        """
        self._given.append(_Given(dict(model_cfg), tok2vec_cfg, copy.deepcopy(tok2vec_cfg)))
        return self._given[-1].config

    def settle(self) -> None:
        """Look where the configs were put, and let each say what the model will be there.

        Raises:
            ReplacementError: one is where there was no listener, or more than one; all are then as they were before.
        """
        given, self._given = self._given, []
        paths = [_path_of(each.config, each.now) for each in given]
        if all(each.is_clear(path) for each, path in zip(given, paths, strict=True)):
            for each, path in zip(given, paths, strict=True):
                each.settle(path)
            return
        for each, path in zip(given, paths, strict=True):
            _fill(each.config, _at(each.before, path) if path else each.now)
        right = ", ".join(".".join(("model", "tok2vec", *path)) for path in _listeners(given[0].before))
        raise ReplacementError(
            f"replace_listeners names a path where there is not one listener to replace. Name those of the listeners "
            f"themselves: {right}."
        )


class _Given(NamedTuple):
    """A config that was given, the one that it was given for, and this as it was then."""

    config: _Config
    now: _Config
    before: _Config

    def is_clear(self, path: _Path) -> bool:
        """Whether it is clear what belongs at a path: one listener; or what an architecture not known here makes."""
        return len(_listeners(_at(self.before, path))) == 1 or not _listeners(self.before)

    def settle(self, path: _Path) -> None:
        """Give the config the settings of the listener that was at a path, and put around it what was."""
        section = _at(self.before, path)
        for within in _listeners(section):
            listener = _at(section, within)
            mix = {key: listener[key] for key in MIX_ARGUMENTS if key in listener}
            _fill(listener, {**self.config, **mix})
            _fill(self.config, section)


def _path_of(config: _Config, whole: _Config) -> _Path:
    """Where it is within a config; () where it took the place of all."""
    return next((path for path, section in _sections(whole) if section is config), ())


def _listeners(config: _Config) -> list[_Path]:
    return [path for path, section in _sections(config) if section.get("@architectures") in LISTENERS]


def _sections(config: _Config, path: _Path = ()) -> Iterator[tuple[_Path, _Config]]:
    yield path, config
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _sections(value, (*path, key))


def _at(config: _Config, path: _Path) -> _Config:
    for key in path:
        config = config[key]
    return config


def _fill(config: _Config, content: _Config) -> None:
    config.clear()
    config.update(content)
