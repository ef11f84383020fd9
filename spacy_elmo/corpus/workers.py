"""Worker processes that tokenise."""

import signal
from collections.abc import Generator, Iterable
from contextlib import ExitStack, closing, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait

from spacy.util import import_file

from .errors import CorpusError
from .formats import Format
from .texts import Piece
from .tokenize import DocumentTokenizer, TextSettings, Tokens

# How many finished pieces a worker, on average, may have waiting for one that comes before them.
MAX_WAITING = 8

TokenizedPieces = Generator[tuple[Piece, Tokens], None, None]


def tokenized(pieces: Iterable[Piece], settings: TextSettings, n_workers: int) -> TokenizedPieces:
    """Each piece and its tokens, in the order of the pieces.

    Where not all is taken, the generator has to be closed; this ends the workers.

    Args:
        pieces: What to tokenise.
        settings: How.
        n_workers: Processes. A single worker works in this process.

    Raises:
        CorpusError: The config makes no pipeline, a document cannot be tokenised, or a worker dies.
    """
    if n_workers == 1:
        tokenizer = DocumentTokenizer(settings.nlp)
        for piece in pieces:
            yield piece, _tokens(tokenizer, piece)
        return
    with ExitStack() as running:
        workers = [running.enter_context(closing(_Worker(settings))) for _ in range(n_workers)]
        yield from _in_order(pieces, workers)


def _tokens(tokenizer: DocumentTokenizer, piece: Piece) -> Tokens:
    try:
        return tokenizer(piece.documents, piece.format)
    except Exception as error:  # a component's, and it may be any
        culprit = _culprit(tokenizer, piece)
        raise CorpusError(f"{piece.first} to {piece.last}: spaCy cannot process {culprit}: {error}") from error


def _culprit(tokenizer: DocumentTokenizer, piece: Piece) -> str:
    """The first document that cannot be tokenised alone, as a message names it."""
    for document in piece.documents if isinstance(piece.documents, list) else []:
        if not _is_tokenizable(tokenizer, document, piece.format):
            size = sum(len(part.encode("utf8")) for part in document)
            return f"the document of {size:,} bytes that begins {document[0][:60]!r}"
    return "these documents"


def _is_tokenizable(tokenizer: DocumentTokenizer, document: list[str], format: Format) -> bool:
    try:
        tokenizer([document], format)
    except Exception:
        return False
    return True


def _in_order(pieces: Iterable[Piece], workers: list["_Worker"]) -> TokenizedPieces:
    numbered = enumerate(pieces)
    idle = list(workers)
    busy: dict[Connection, tuple[_Worker, int, Piece]] = {}
    finished: dict[int, tuple[Piece, Tokens | CorpusError]] = {}
    number = 0
    while True:
        while idle and len(finished) < MAX_WAITING * len(workers) and (item := next(numbered, None)):
            worker = idle.pop()
            worker.send(item[1])
            busy[worker.connection] = worker, *item
        if not busy and not finished:
            return
        while number in finished:
            piece, answer = finished.pop(number)
            if isinstance(answer, CorpusError):
                raise answer
            yield piece, answer
            number += 1
        for connection in wait(list(busy)) if busy else []:
            worker, i, piece = busy.pop(connection)  # type: ignore[call-overload]
            finished[i] = piece, worker.receive()
            idle.append(worker)


class _Worker:
    """A process and the pipe to it. The process ends when the pipe does, so also when this process is killed."""

    def __init__(self, settings: TextSettings) -> None:
        # A forked process would hold the pipes of those before it, and locks of torch's threads without the threads.
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, settings), daemon=True)
        try:
            self._process.start()
        except OSError as error:
            raise CorpusError(f"a worker process cannot be started ({error.strerror}). Use fewer workers.") from error
        finally:
            theirs.close()

    def send(self, piece: Piece) -> None:
        try:
            self.connection.send(piece)
        except OSError:
            raise self._died() from None

    def receive(self) -> Tokens | CorpusError:
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise self._died() from None

    def close(self) -> None:
        self.connection.close()
        self._process.terminate()
        self._process.join()

    def _died(self) -> CorpusError:
        self._process.join()
        return CorpusError(
            f"a worker process died (exit code {self._process.exitcode}) while it was tokenising. If memory ran out, "
            "use fewer workers."
        )


def _work(connection: Connection, settings: TextSettings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    tokenizer = None
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            piece = connection.recv()
            try:
                tokenizer = tokenizer or _tokenizer(settings)
                answer: Tokens | CorpusError = _tokens(tokenizer, piece)
            except CorpusError as error:
                answer = error
            connection.send(answer)


def _tokenizer(settings: TextSettings) -> DocumentTokenizer:
    """A tokenizer in a process that was begun anew, and so knows nothing that this one has registered."""
    if settings.code is not None:
        import_file("python_code", settings.code)  # under the name that spaCy's commands import it by
    try:
        return DocumentTokenizer(settings.nlp)
    except CorpusError as error:
        raise CorpusError(
            f"in a worker process, {error} If it names functions of your own, give the Python file that registers them "
            f"(--code), or use one worker (system.workers = 1)."
        ) from None
