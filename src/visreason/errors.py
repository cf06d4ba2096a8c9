"""The errors a user can meet. Each message says what was expected, what was found, and what to do."""


class VisreasonError(Exception):
    """Root of every error raised on purpose; the command line prints it without a traceback."""


class UsageError(VisreasonError, ValueError):
    """The words of a command or the fields of a recipe are wrong (exit status 2)."""


class DataError(VisreasonError, ValueError):
    """A file, row, record or image is not what it should be."""


class ModelError(VisreasonError, ValueError):
    """A checkpoint, processor or architecture can't do what was asked."""


class RunError(VisreasonError, RuntimeError):
    """A run can't start, go on or be read."""


class Tripwire(RunError):
    """Training stopped itself (non-finite loss, collapse); the last good checkpoint is kept."""
