"""Reads and writes weights files whole, and describes one that is not what it should be."""

from pathlib import Path


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or written as asked; one line of text.

    Attributes:
        path: the file it is about.
        expected: what should have been there.
        found: what was there.
    """

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(" ".join(f"{path}: expected {expected}, found {found}".split()))
        self.path, self.expected, self.found = path, expected, found


def read_file(path: Path, expected: str) -> bytes:
    """A file's bytes; ``expected`` says in the error what it should have been.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(path, expected, _reason(error)) from error


def write_file(path: Path, data: bytes) -> None:
    """Replaces a file whole: a reader never sees half of it.

    Raises:
        CheckpointError: the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise CheckpointError(path, "a file that can be written", _reason(error)) from error


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return "a directory" if isinstance(error, IsADirectoryError) else (error.strerror or str(error)).lower()
