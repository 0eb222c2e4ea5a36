"""Limits: what a file may ask for before anything of that size is allocated.

A DICOM header can declare two thousand million frames in a kilobyte, and a zip of 42 KB can hold
petabytes. Every size is checked against these limits, and against the file itself, first.
"""

from dataclasses import dataclass

from volspine.errors import LimitError

__all__ = ["DEFAULT_LIMITS", "Limits"]

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Largest sizes that are read.

    Attributes:
        file_bytes: Size of one file.
        files: Files of one study.
        matrix: Rows, and columns.
        frames: Frames of one file.
        inflated_bytes: Decompressed size of a deflated file, of a zip member, or of the pixels of
            one file.
        archive_bytes: Decompressed size of all members of a zip.
        ratio: Decompressed to compressed size, where the former is above `ratio_from_bytes`.
        ratio_from_bytes: Below this a ratio is no danger: a black slice compresses a thousandfold.
        stack_bytes: Voxels of one stack as float32.
        depth: Nesting of sequences.
        seconds: Time to parse one header.
    """

    file_bytes: int = 2 * _GIB
    files: int = 20_000
    matrix: int = 4_096
    frames: int = 4_096
    inflated_bytes: int = _GIB
    archive_bytes: int = 4 * _GIB
    ratio: float = 200.0
    ratio_from_bytes: int = 64 << 20
    stack_bytes: int = 4 * _GIB
    depth: int = 64
    seconds: float = 5.0

    def check(self, name: str, value: float, *, path: str, what: str) -> None:
        """Raise if a value is above the limit of that name.

        Raises:
            LimitError: Naming the value, the limit and how to raise it.
        """
        limit = getattr(self, name)
        if value > limit:
            raise LimitError(
                f"{what} is {value:,.10g}, above the limit of {limit:,.10g}",
                remedy=f"if the file is trusted, read it with Limits({name}=...)",
                path=path,
                code="VS-LIM-001",
            )

    def check_inflation(self, inflated: int, compressed: int, *, path: str, what: str) -> None:
        """Raise if data is too large once decompressed, or grows suspiciously.

        Raises:
            LimitError: If size or ratio are above the limits.
        """
        self.check("inflated_bytes", inflated, path=path, what=f"{what}, decompressed, in bytes")
        if inflated > self.ratio_from_bytes:
            ratio = inflated / max(compressed, 1)
            self.check("ratio", ratio, path=path, what=f"compression ratio of {what}")


DEFAULT_LIMITS = Limits()
"""Generous for a real study, small enough for a laptop."""
