"""Spellings, columns and row ids of the RSNA 2024 lumbar challenge's tables.

Nothing else in the library knows them. Three different condition orders exist in the challenge's
files, so every lookup here is by name and never by position.
"""

from volspine.anatomy import LEVELS, TARGETS, Condition, Finding, Grade, Level, Protocol, Target
from volspine.errors import TableError

__all__ = [
    "ANY_SEVERE",
    "COORDINATE_COLUMNS",
    "FINDING_GROUPS",
    "GRADE_WEIGHTS",
    "LABEL_COLUMNS",
    "MISSING",
    "PROBABILITY_COLUMNS",
    "SERIES_COLUMNS",
    "condition_from_title",
    "condition_title",
    "description_from_protocol",
    "grade_from_text",
    "level_from_title",
    "parse_row_id",
    "protocol_from_description",
    "row_id",
    "submission_targets",
]

MISSING = -1
"""What a label tensor holds where the table is empty."""

GRADE_WEIGHTS = (1.0, 2.0, 4.0)
"""Sample weight of each grade in the challenge's metric: 2 ** grade."""

LABEL_COLUMNS = tuple(target.name for target in TARGETS)
"""The 25 label columns of `train.csv`, in our canonical order."""

PROBABILITY_COLUMNS = ("normal_mild", "moderate", "severe")
"""The three probability columns of a submission."""

SERIES_COLUMNS = ("study_id", "series_id", "series_description")
"""Columns of `train_series_descriptions.csv`."""

COORDINATE_COLUMNS = (
    "study_id",
    "series_id",
    "instance_number",
    "condition",
    "level",
    "x",
    "y",
)
"""Columns of `train_label_coordinates.csv`; x is the column and y the row, in pixels."""

FINDING_GROUPS = {
    "spinal": Finding.CANAL,
    "foraminal": Finding.FORAMEN,
    "subarticular": Finding.RECESS,
}
"""The metric's three groups; left and right are pooled."""

ANY_SEVERE = "any_severe_spinal"
"""Name of the metric's fourth term."""

_DESCRIPTIONS = {
    Protocol.SAGITTAL_T1: "Sagittal T1",
    Protocol.SAGITTAL_T2: "Sagittal T2/STIR",
    Protocol.AXIAL_T2: "Axial T2",
}
_PROTOCOLS = {text.casefold(): protocol for protocol, text in _DESCRIPTIONS.items()}
_GRADES = {grade.label.casefold(): grade for grade in Grade}
_TARGETS_BY_NAME = {target.name: target for target in TARGETS}


def description_from_protocol(protocol: Protocol) -> str:
    """Return the table's spelling of a graded protocol: `Sagittal T2/STIR`.

    Raises:
        TableError: If the protocol is `OTHER`, which the tables cannot express.
    """
    if protocol not in _DESCRIPTIONS:
        raise TableError(
            f"protocol {protocol.value!r} has no spelling in the challenge's tables",
            remedy="leave the series out of the table",
            code="VS-TAB-001",
        )
    return _DESCRIPTIONS[protocol]


def protocol_from_description(text: str) -> Protocol:
    """Return the protocol that a `series_description` of the challenge means, else `OTHER`."""
    return _PROTOCOLS.get(" ".join(text.split()).casefold(), Protocol.OTHER)


def grade_from_text(text: str) -> Grade | None:
    """Return the grade that a cell of `train.csv` holds; None where it is empty.

    Raises:
        TableError: If the cell is neither empty nor one of the three grades.

    Example:
        >>> grade_from_text("Normal/Mild")
        <Grade.NORMAL_MILD: 0>
    """
    cleaned = text.strip().casefold()
    if cleaned in ("", "nan"):
        return None
    if cleaned not in _GRADES:
        raise TableError(
            f"{text.strip()[:40]!r} is not a grade",
            remedy="use Normal/Mild, Moderate, Severe or an empty cell",
            code="VS-TAB-002",
        )
    return _GRADES[cleaned]


def condition_title(condition: Condition) -> str:
    """Return the spelling of `train_label_coordinates.csv`: `Left Neural Foraminal Narrowing`."""
    return condition.term.replace("_", " ").title()


def condition_from_title(text: str) -> Condition:
    """Return the condition named in `train_label_coordinates.csv`, whatever its case.

    Raises:
        TableError: If the text names none.
    """
    name = "_".join(text.split()).upper()
    if name not in Condition.__members__:
        raise TableError(
            f"{text[:60]!r} is not a condition",
            remedy="use the challenge's spelling, such as 'Spinal Canal Stenosis'",
            code="VS-TAB-003",
        )
    return Condition[name]


def level_from_title(text: str) -> Level:
    """Return the level named in a table: `L4/L5` or `l4_l5`.

    Raises:
        TableError: If the text names none.
    """
    name = text.strip().lower().replace("/", "_")
    for level in LEVELS:
        if level.value == name:
            return level
    raise TableError(
        f"{text[:20]!r} is not a level",
        remedy="use L1/L2, L2/L3, L3/L4, L4/L5 or L5/S1",
        code="VS-TAB-004",
    )


def row_id(study_id: str | int, target: Target) -> str:
    """Return the submission's row id: `4003253_spinal_canal_stenosis_l1_l2`."""
    return f"{study_id}_{target.name}"


def parse_row_id(text: str) -> tuple[str, Target]:
    """Return the study id and target that a row id names.

    Raises:
        TableError: If the text does not end in one of the 25 target names.

    Example:
        >>> parse_row_id("7_left_subarticular_stenosis_l5_s1")[1].label
        'Left subarticular stenosis L5/S1'
    """
    # A study id may hold underscores of its own, so match the longest known ending.
    for name, target in _TARGETS_BY_NAME.items():
        if text.endswith("_" + name) and len(text) > len(name) + 1:
            return text[: -len(name) - 1], target
    raise TableError(
        f"row id {text[:80]!r} does not end in a condition and level",
        remedy="write <study_id>_<condition>_<level>, as in sample_submission.csv",
        code="VS-TAB-005",
    )


def submission_targets() -> tuple[Target, ...]:
    """Return the 25 targets in the order of `sample_submission.csv`: by condition name, then level.

    Example:
        >>> submission_targets()[0].name
        'left_neural_foraminal_narrowing_l1_l2'
    """
    return tuple(sorted(TARGETS, key=lambda target: (target.condition.term, target.level.value)))
