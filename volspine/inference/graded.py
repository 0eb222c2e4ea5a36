"""GradedStudy: the result of one prediction, with the ways to show it and to write it."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volspine.anatomy import TARGETS, Condition, Grade, Level, Target
from volspine.dicom.study import Study
from volspine.errors import ConfigurationError
from volspine.grades import Status, StudyGrades
from volspine.inference.look import LevelLook
from volspine.inference.saliency import METHODS
from volspine.jobs import write_bytes, write_text
from volspine.report.captures import secondary_captures
from volspine.report.html import render_report, study_series
from volspine.report.keyimages import KeyImage, key_images
from volspine.report.manifest import manifest
from volspine.report.overview import levels_picture
from volspine.report.structured import structured_report
from volspine.report.table import (
    GRADE_COLUMNS,
    SUBMISSION_COLUMNS,
    grade_rows,
    submission_rows,
)
from volspine.types import FloatArray
from volspine.volume.heat import Saliency

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GradedStudy"]


@dataclass(frozen=True)
class GradedStudy:
    """The grades of a study together with its images.

    Attributes:
        grades: The frozen numbers.
        study: What was graded; its images make the pictures.
        frequencies: Shape (25, 3); how often each grade occurred in the model's training data,
            which is what a submission reports of a refused study.
        look: What knows what the grades looked at; None in study mode and of a refused study.
    """

    grades: StudyGrades
    study: Study = field(repr=False)
    frequencies: FloatArray = field(repr=False)
    look: LevelLook | None = field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """Name of the study in outputs; never patient data."""
        return self.grades.name

    @property
    def status(self) -> Status:
        """`graded`, `partial` or `refused`."""
        return self.grades.status

    @property
    def reason(self) -> str:
        """Why the study is not `graded`; empty when it is."""
        return self.grades.reason

    @cached_property
    def key_images(self) -> list[KeyImage]:
        """A picture of every target that was measured, with what its grade looked at."""
        return key_images(self.study, self.grades, self.saliencies())

    def saliency(
        self, target: Target | tuple[Condition | str, Level | str], method: str = "attention"
    ) -> Saliency:
        """Return how much the grade of a target looked at each place of its patches.

        Args:
            target: As in `TARGETS`, or condition and level by name.
            method: `attention`, or `gradcam` for what speaks for the grade.

        Returns:
            Arrays on the lattices of the native crops with their places, in the patient as he is;
            `on_grid` lays them on a grid. LPS millimetres.

        Raises:
            ConfigurationError: If the target was not graded, or the model sees whole studies.

        Example:
            graded.saliency(("left_subarticular_stenosis", "l4_l5")).on_grid(grid)
        """
        which = target if isinstance(target, Target) else _target(*target)
        if method not in METHODS:
            raise _no_saliency(f"there is no method {method[:40]!r}", "attention or gradcam")
        if self.look is None:
            raise _no_saliency("this result does not know what it looked at", "a model of levels")
        if self.status == "refused" or self.grades.imputed[which.index]:
            raise _no_saliency(f"{which.label} was not graded", "a target that was measured")
        grade = self.grades.grades[which.index]
        is_raised = grade is not None and grade is not Grade.NORMAL_MILD
        return self.look.saliency(which, method, is_raised=is_raised)

    def saliencies(self, method: str = "attention") -> dict[Target, Saliency]:
        """Return the saliency of every target that was graded; nothing for a model of studies."""
        if self.look is None or self.status == "refused":
            return {}
        graded = [t for t in TARGETS if not self.grades.imputed[t.index]]
        return {target: self.saliency(target, method) for target in graded}

    def to_frame(self) -> "pd.DataFrame":
        """Return 25 rows: condition, level, calibrated probabilities, grade and place (LPS mm)."""
        import pandas as pd

        return pd.DataFrame(grade_rows(self.grades), columns=list(GRADE_COLUMNS))

    def to_submission(self) -> "pd.DataFrame":
        """Return the challenge's 25 rows, after the decision layer; the prior if refused."""
        import pandas as pd

        return pd.DataFrame(self.submission_rows(), columns=list(SUBMISSION_COLUMNS))

    def submission_rows(self) -> list[dict[str, Any]]:
        """Return `to_submission` as plain records."""
        refused = self.status == "refused"
        reported = self.frequencies if refused else self.grades.probabilities
        return submission_rows(self.name, reported, is_prior=refused)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of `result.json`: plain data, None for what is not known."""
        return manifest(self.grades)

    def report_html(self) -> str:
        """Return the report as one page that needs nothing else."""
        images, levels = self.key_images, levels_picture(self.study, self.grades)
        series = study_series(self.study, self.grades, images, levels=levels)
        return render_report(self.grades, images, levels=levels, series=series)

    def save_html(self, path: str | Path) -> Path:
        """Write the report as one page that needs nothing else.

        Raises:
            OutputError: If it cannot be written.
        """
        write_text(Path(path), self.report_html())
        return Path(path)

    def save_sr(self, folder: str | Path) -> Path:
        """Write `sr.dcm`, a Comprehensive 3D SR in the study's own Study Instance UID.

        It repeats the patient's identifiers, unlike every other output.

        Raises:
            MissingExtraError: If highdicom is not installed.
            ConfigurationError: If the study lacks what a report must repeat, or was refused.
            OutputError: If it cannot be written.
        """
        path = Path(folder) / "sr.dcm"
        write_bytes(path, structured_report(self.study, self.grades))
        return path

    def save_sc(self, folder: str | Path) -> list[Path]:
        """Write the key images as `sc_<level>_<condition>.dcm`; errors as for `save_sr`."""
        written = []
        for name, data in secondary_captures(self.study, self.grades, self.key_images):
            write_bytes(Path(folder) / name, data)
            written.append(Path(folder) / name)
        return written


def _target(condition: Condition | str, level: Level | str) -> Target:
    """Return a target by the names of condition and level, spelt as in `train.csv`."""
    names = (getattr(condition, "term", condition), getattr(level, "value", level))
    for target in TARGETS:
        if names == (target.condition.term, target.level.value):
            return target
    raise _no_saliency(f"{str(names)[:80]} is no target", "see volspine targets")


def _no_saliency(message: str, instead: str) -> ConfigurationError:
    return ConfigurationError(message, remedy=f"ask for {instead}", code="VS-CFG-134")
