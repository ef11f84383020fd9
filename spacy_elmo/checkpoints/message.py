"""A biLM as one message, the native format's files together: what a saved pipeline keeps of it."""

from hashlib import sha256
from typing import Any

import srsly

from ..bilm import BiLM
from .contents import Contents
from .errors import CheckpointError
from .lexicons import parse_lexicon, serialize_lexicon
from .native import config_values, parse_config
from .tensors import parse_parameters, serialize_parameters


def pack(bilm: BiLM) -> bytes:
    """All of a biLM; `unpack` reads it back."""
    message = {"config": config_values(bilm.config), "parameters": serialize_parameters(bilm)}
    if bilm.lexicon is not None:
        message["lexicon"] = serialize_lexicon(bilm.lexicon)
    return srsly.msgpack_dumps({**message, "digest": _digest(message)})


def unpack(data: bytes, where: str = "the serialized biLM") -> Contents:
    """What `pack` has packed.

    Args:
        data: The bytes.
        where: What they are, for the message of an error.

    Raises:
        CheckpointError: They are damaged, or something else.
    """
    message = read_message(data, where)
    parameters = message.get("parameters")
    if not isinstance(parameters, bytes):
        raise CheckpointError(f"{where}: damaged, it has no 'parameters'. Save it again.")
    config = parse_config(message.get("config"), where)
    lexicon = None
    if config.lexicon is not None:
        if not isinstance(message.get("lexicon"), bytes):
            raise CheckpointError(f"{where}: damaged, it has no 'lexicon'. Save it again.")
        lexicon = parse_lexicon(config, message["lexicon"], where)
    # What was saved before there were digests has none.
    if "digest" in message and message["digest"] != _digest(message):
        raise CheckpointError(f"{where}: damaged, its weights are not those that were saved. Save it again.")
    return Contents(where, config, parse_parameters(config, parameters, where, lexicon), lexicon)


def _digest(message: dict[str, Any]) -> str:
    """The SHA-256 of the weights and the lexicon, in hexadecimal."""
    return sha256(message["parameters"] + message.get("lexicon", b"")).hexdigest()


def read_message(data: bytes, where: str) -> dict[str, Any]:
    """A msgpack message that is a dictionary. Raises CheckpointError where it is none."""
    try:
        message = srsly.msgpack_loads(data)
    except Exception as error:  # its reader raises some twenty kinds, those of what it calls among them
        raise CheckpointError(f"{where}: damaged ({error or type(error).__name__}). Save it again.") from None
    if not isinstance(message, dict):
        raise CheckpointError(f"{where}: damaged, it is no dictionary. Save it again.")
    return message
