"""`volspine demo`: a synthetic study, graded from its DICOM files and looked at, offline."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volspine.grades import StudyGrades
    from volspine.inference.card import Card
    from volspine.inference.graded import GradedStudy
    from volspine.types import FloatArray

__all__ = ["add_arguments", "run"]

SEED = 2027
"""Of the demo's patient: the first from 2026 on with every grade of every kind of finding."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=Path, default=Path("volspine_demo"), metavar="DIR",
        help="folder for the study, its report and its pictures (default: volspine_demo)",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="instead of the demo bundle")


def run(arguments: argparse.Namespace) -> int:
    """Write a study, grade it, show its grades beside the truth, and draw it."""
    from rich.console import Console

    from volspine.inference.batch import write_result
    from volspine.inference.predictor import Predictor

    say = Console(soft_wrap=True, quiet=arguments.quiet).print
    predictor = Predictor(arguments.model)
    say("1. A synthetic patient as DICOM files, laid out as the challenge's ...")
    folder, truth = _patient(arguments.out)
    say(f"   {sum(1 for _ in folder.rglob('*.dcm'))} files in {folder}")
    say("2. Reading them, and grading from the images alone ...")
    graded = predictor.predict(folder)
    _show(graded, truth, predictor.bundle.card)
    say("3. Writing the report and the pictures ...")
    report = write_result(graded, arguments.out)
    pictures = _pictures(arguments.out, graded, truth)
    say(f"\nReport:   {report / 'report.html'}")
    for picture in pictures:
        say(f"Picture:  {picture}")
    return 0


def _patient(out: Path) -> tuple[Path, dict[str, Any]]:
    """Return the study's folder and its truth; both are kept from an earlier demo."""
    import json
    import tempfile

    from volspine.phantom.cohort import generate

    root = out / "phantom"
    if not (root / "train.csv").is_file():
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as scratch:
            # The root appears whole: an interrupted demo leaves nothing half-written behind.
            generate(Path(scratch) / "phantom", studies=1, noise="none", seed=SEED).replace(root)
    (record,) = (root / "truth").glob("*.json")
    folder = root / "train_images" / record.stem
    return folder, json.loads(record.read_text(encoding="utf-8"))


def _show(graded: "GradedStudy", truth: Mapping[str, Any], card: "Card") -> None:
    from rich.console import Console

    from volspine.report.manifest import notices
    from volspine.report.terminal import count_agreeing, grade_table

    console = Console(soft_wrap=True)
    console.print(grade_table(graded.grades, truth["grades"]), soft_wrap=False)
    console.print(
        f"{count_agreeing(graded.grades, truth['grades'])} of 25 grades are the true ones."
    )
    console.print(_places(graded.grades, truth["landmarks_mm"]))
    for line in _held_out(card):
        console.print(line)
    for line in notices(graded.grades):
        console.print(line, style="bold")


def _places(grades: "StudyGrades", truth: Mapping[str, Any]) -> str:
    import numpy as np

    if not _is_located(grades):
        return "This bundle does not locate the levels."
    error = np.linalg.norm(grades.points_mm - _true_places(truth), axis=1)
    found = error[np.isfinite(error)]
    return (
        f"{len(found)} of 25 places are located, half of them within {np.median(found):.1f} mm of "
        f"the true one, the worst {found.max():.1f} mm from it."
    )


def _is_located(grades: "StudyGrades") -> bool:
    import numpy as np

    return bool(np.isfinite(grades.points_mm).any())


def _true_places(truth: Mapping[str, Any]) -> "FloatArray":
    import numpy as np

    from volspine.anatomy import TARGETS

    return np.array([truth[target.name] for target in TARGETS], dtype=np.float64)


def _held_out(card: "Card") -> list[str]:
    """Return what is known of the bundle's worth: score, parts and kappa beside prior and floor."""
    from volspine.inference.held_out import held_out_lines

    of = "held-out phantoms" if card.phantom_only else "held-out studies"
    lines = [f"Bundle {card.name}, trained on {card.trained_on}."]
    lines += held_out_lines(card.held_out, of=of)
    if card.phantom_only and "score" in card.held_out:
        lines.append("It shows that the pipeline works, and nothing about patients.")
    return lines


def _pictures(out: Path, graded: "GradedStudy", truth: Mapping[str, Any]) -> list[Path]:
    from dataclasses import replace

    from volspine.jobs import write_bytes
    from volspine.report.manifest import notices
    from volspine.viewer.build import point_scene, voxel_scene
    from volspine.viewer.picture import scene_png
    from volspine.viewer.slices import slices_png

    study, grades = graded.study, graded.grades
    notes = (*notices(grades), "Grades and their places are the model's.")
    if not _is_located(grades):
        grades = replace(grades, points_mm=_true_places(truth["landmarks_mm"]))
        notes = (*notices(grades), "Grades are the model's; their places are the phantom's own.")
    written = {
        "voxels.png": scene_png(replace(voxel_scene(study, grades=grades), notes=notes)),
        "points.png": scene_png(replace(point_scene(study, grades=grades), notes=notes)),
        "slices.png": slices_png(study, grades=grades, notes=notes),
    }
    for name, png in written.items():
        write_bytes(out / name, png)
    return [out / name for name in written]
