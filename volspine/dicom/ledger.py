"""Ledger: what reading found, and what strict reading makes of it.

Three kinds of finding. Something that was never meant to be graded (a report, a localizer) is *set
aside* and no harm done. A file or series that is broken is a *fault*. Something mended so that
reading could go on is a *repair*. Strict reading raises faults and repairs.
"""

from dataclasses import dataclass, field

from volspine.dicom.study import Fault
from volspine.errors import VolspineError

__all__ = ["Ledger"]


@dataclass
class Ledger:
    """Findings of one reading.

    Attributes:
        strict: Whether faults and repairs are raised.
        faults: Files and series set aside or broken.
        errors: The errors behind the broken ones.
    """

    strict: bool = False
    faults: list[Fault] = field(default_factory=list)
    errors: list[VolspineError] = field(default_factory=list)

    def set_aside(self, path: str, code: str, reason: str) -> None:
        """Note a file that is not a slice of a graded series; never raises."""
        self.faults.append(Fault(path, code, reason))

    def fault(self, error: VolspineError, path: str | None = None) -> None:
        """Note a file or series that cannot be used.

        Raises:
            VolspineError: The error itself, in strict reading.
        """
        if self.strict:
            raise error
        self.errors.append(error)
        self.faults.append(Fault(path or error.path or "", error.code, error.message))

    def repair(self, error: VolspineError, repairs: list[str], *, where: str = "") -> None:
        """Note something mended, once, in a list of repairs.

        Args:
            error: What strict reading raises.
            repairs: List that its message is added to.
            where: File concerned, relative to the study.

        Raises:
            VolspineError: The error itself, in strict reading.
        """
        if self.strict:
            raise error
        text = f"{error.message} [{where}]" if where else error.message
        if text not in repairs:
            repairs.append(text)
