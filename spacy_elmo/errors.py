"""What every error that this package raises on purpose has in common."""

# Characters that a person still reads.
MAX_MESSAGE = 2_000


class ElmoError(Exception):
    """Something that the user can put right: a file, a text, a setting, a disk. The message says what, where and how.

    Each room raises its own kind, which is also the built-in kind that its callers expect (mostly ValueError). Anything
    else that comes out of this package is a bug of ours.

    A message that would be very long, because it quotes what a file holds, is shortened in the middle.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) <= MAX_MESSAGE:
            return text
        begin, end = MAX_MESSAGE * 3 // 4, MAX_MESSAGE // 4
        return f"{text[:begin]} [... {len(text) - begin - end:,} characters ...] {text[-end:]}"


class ArgumentError(ElmoError, ValueError):
    """A value that is none of the choices, a shape that is not the model's, arguments that contradict each other."""
