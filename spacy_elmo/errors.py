"""What every error that this package raises on purpose has in common."""


class ElmoError(Exception):
    """Something that the user can put right: a file, a text, a setting, a disk. The message says what, where and how.

    Each room raises its own kind, which is also the built-in kind that its callers expect (mostly ValueError). Anything
    else that comes out of this package is a bug of ours.
    """
