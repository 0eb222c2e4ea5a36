"""How often protocols are recognized from images alone, and lumbar studies refused: phantoms.

    python experiments/benchmarks/recognition.py [studies a cohort] [seed]

Headers and tables are not looked at. Each study gives its own series, and its axial slices once
more with the timing of its sagittal T1, which is what must not pass for axial T2. The figures say
how phantoms do; of patients there is one volume at hand, and only its own result is known.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from volspine.anatomy import Protocol
from volspine.dicom.protocol import recognize_images
from volspine.dicom.study import Series, Study
from volspine.inference.screen import why_no_lumbar_spine, why_no_picture
from volspine.phantom.spec import Cohort, Spec, Stage
from volspine.phantom.study import (
    acquire,
    draw_artefacts,
    outline_study,
    render_marred,
    shared_slices,
    study_of,
)

COHORTS = (Cohort.RSNA_LIKE, Cohort.PROBE, Cohort.SHIFT)
AXIAL_T1 = "axial T1"


def main() -> None:
    """Measure and show both tables."""
    given = [int(text) for text in sys.argv[1:3]]
    count, seed = [*given, *(20, 11)[len(given) :]]
    together, alone, refusals = Counter(), Counter(), []
    for cohort in COHORTS:
        for index in range(count):
            spec = Spec(cohort=cohort, index=index, seed=seed)
            named = list(labelled(spec))
            for (label, _), answer in zip(
                named, recognize_images([s.stacks for _, s in named]), strict=True
            ):
                together[cohort.value, label, answer.protocol.value] += 1
            for label, series in named:
                answer = recognize_images([series.stacks])[0]
                alone[cohort.value, label, answer.protocol.value] += 1
            refusals += [f"{spec.study_id}: {why}" for why in refused(named)]
    console = Console()
    console.print(table("recognized by image, beside the other series of the study", together))
    console.print(table("recognized by image, each series alone", alone))
    console.print(f"refused or set aside: {len(refusals)} of {count * len(COHORTS)} studies")
    for refusal in refusals:
        console.print(f"  {refusal}")


def labelled(spec: Spec) -> Iterator[tuple[str, Series]]:
    """Yield the series of a study with what they are."""
    made = outline_study(spec)
    plans = list(made.plan.series)
    labels = [plan.protocol.label for plan in plans]
    axial = next((plan for plan in plans if plan.protocol is Protocol.AXIAL_T2), None)
    t1 = next((plan for plan in plans if plan.protocol is Protocol.SAGITTAL_T1), None)
    if axial is not None and t1 is not None:
        plans.append(replace(axial, sequence=t1.sequence))
        labels.append(AXIAL_T1)
    plan = replace(made.plan, series=tuple(plans))
    noise, marring = spec.stream(Stage.NOISE), spec.stream(Stage.ARTEFACTS)
    pixels = []
    for group in shared_slices(plan):
        found = [draw_artefacts(marring, spec, one, made.truth.anatomy) for one in group]
        images = render_marred(made.truth.anatomy, group, found)
        pixels += [acquire(image, one, noise) for image, one in zip(images, group, strict=True)]
    study = study_of(replace(made, plan=plan, pixels=tuple(pixels)))
    yield from zip(labels, study.series, strict=True)


def refused(named: list[tuple[str, Series]]) -> list[str]:
    """Return why the screen keeps anything of a lumbar study from the model."""
    series = [series for label, series in named if label != AXIAL_T1]
    reasons = [why_no_picture(one) for one in series]
    return [why for why in (*reasons, why_no_lumbar_spine(Study("phantom", series))) if why]


def table(title: str, counts: Counter[tuple[str, str, str]]) -> Table:
    """Return counts as a confusion table."""
    answers = ("sagittal_t1", "sagittal_t2", "axial_t2", "other")
    shown = Table(title=title)
    for heading in ("cohort", "is", *answers):
        shown.add_column(heading)
    for cohort, label in sorted({key[:2] for key in counts}):
        found = [str(counts[cohort, label, answer] or "") for answer in answers]
        shown.add_row(cohort, label, *found)
    return shown


if __name__ == "__main__":
    main()
