"""The report of one study: StudyGrades, key images and scrolled series to one HTML page.

The page needs no network and no other file: style, script and pictures are inside, and its
Content-Security-Policy lets a browser run and load nothing else. Without a script it still shows
everything but the scrolling. Every text is escaped. From above:

    what was found, by level, and the map of the spine      key images of each level
    every series to scroll through, with what was looked at  probabilities and how sure they are
    places, what was not measured or was repaired            model, doubts and provenance

A page has a size: pictures of slices get what is left of `PAGE_BYTES`, and fit.
"""

from collections.abc import Sequence
from typing import Any

from volspine.anatomy import TARGETS
from volspine.dicom.study import Study
from volspine.grades import StudyGrades
from volspine.report.certainty import number_of_looks
from volspine.report.findings import MAP_COLUMNS, findings, severity_map, target_rows
from volspine.report.keyimages import KeyImage
from volspine.report.manifest import notices
from volspine.report.origin import held_out, making, model_card, places, strangeness
from volspine.report.panels import embedded, key_rows, panels
from volspine.report.scroll import MOST_USED, ScrolledSeries, scrolled_series
from volspine.report.sentences import study_sentence
from volspine.report.template import inline, page_template

__all__ = ["PAGE_BYTES", "render_report", "study_series"]

PAGE_BYTES = 7_600_000
"""What a page may take; mail and hospital portals often stop at 8 or 10 MB."""

_TEXT_BYTES, _SLICE_BYTES = 180_000, 2_100
"""Kept for text, and for the words and marks of each slice."""


def render_report(
    grades: StudyGrades,
    images: Sequence[KeyImage] = (),
    *,
    levels: bytes | None = None,
    series: Sequence[ScrolledSeries] = (),
) -> str:
    """Return the page.

    Args:
        grades: What was concluded.
        images: Key images; those of one condition are shown once where no level was located.
        levels: Picture of all levels, a PNG file.
        series: To scroll through; `study_series` makes them.
    """
    style, script = inline("report.css"), inline("report.js")
    shown = panels(series, grades)
    rows = key_rows(grades, images, shown)
    return page_template("report").render(
        style=style,
        script=script,
        grades=grades,
        notices=notices(grades),
        summary=study_sentence(grades),
        findings=findings(grades),
        columns=MAP_COLUMNS,
        severity_map=severity_map(grades),
        pictured={figure["cell"]["id"] for row in rows for figure in row["figures"]},
        rows=target_rows(grades) if grades.status != "refused" else [],
        looks=number_of_looks(grades),
        filled_in=_filled_in(grades),
        levels=None if levels is None else embedded(levels, "png"),
        places=places(grades),
        doubts=_doubts(grades),
        strangeness=strangeness(grades),
        images=rows,
        has_heat=any(image.heat for image in images),
        panels=shown,
        series=grades.provenance.get("series", []),
        repairs=grades.provenance.get("repairs", []),
        faults=grades.provenance.get("faults", []),
        model=model_card(grades),
        held_out=held_out(grades),
        making=making(grades),
    )


def study_series(
    study: Study,
    grades: StudyGrades,
    images: Sequence[KeyImage] = (),
    *,
    levels: bytes | None = None,
) -> list[ScrolledSeries]:
    """Return the series of a study to scroll through, small enough for the page.

    Args:
        study: The images, native.
        grades: Of the same study.
        images: What else is in the page.
        levels: Likewise.
    """
    counts = [sum(stack.shape[2] for stack in series.stacks) for series in study.series]
    slices = sum(min(count, MOST_USED) for count in counts)
    pictures = sum(len(image.jpeg) + len(image.heat) for image in images) + len(levels or b"")
    left = PAGE_BYTES - _TEXT_BYTES - _SLICE_BYTES * slices
    num_bytes = max(left * 3 // 4 - pictures, 0)  # Four characters hold three bytes.
    return scrolled_series(study, grades, num_bytes=num_bytes)


def _filled_in(grades: StudyGrades) -> list[tuple[str, str]]:
    """Return each reason once, with the targets it holds for."""
    groups: dict[str, list[str]] = {}
    for target, imputed, reason in zip(TARGETS, grades.imputed, grades.reasons, strict=True):
        if imputed:
            groups.setdefault(reason, []).append(target.label)
    return [(reason, ", ".join(labels)) for reason, labels in groups.items()]


def _doubts(grades: StudyGrades) -> Sequence[Any]:
    """Return why the numbering of the levels is doubtful; empty where it is not."""
    landmarks = grades.provenance.get("landmarks")
    return landmarks.get("doubts", []) if isinstance(landmarks, dict) else []
