"""A corpus of any size to vectors on disk, on one machine or a cluster, and back: `embed` writes, `read` reads."""

from .documents import EmbeddedDocument
from .errors import EmbeddingError
from .job import Report, embed
from .readers import read, read_docs
from .settings import Settings

__all__ = ["EmbeddedDocument", "EmbeddingError", "Report", "Settings", "embed", "read", "read_docs"]
