"""Grading: from phantom people to records of what a model says of them, one line a study.

    crops   crops of the levels straight from the phantom, patches around given points: the true
            ones, and true ones moved by errors as the shipped localizer was measured to make
    dicom   the files of the study, written, read and graded by the predictor, its localizer too

With crops, as in the predictor, a study and its mirror image are both looked at, averaged, and
divided by the temperature, and a target that no primary view shows gets the frequencies of the
training split. What is in the file of records is not graded again.

Shapes: 25 targets; 3 grades; B studies.
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from proof.jitter import errors_mm
from proof.measures import Graded
from volspine.anatomy import PROTOCOLS, TARGETS
from volspine.inference.bundle import load_bundle
from volspine.inference.card import Card
from volspine.inference.checkpoint import read_checkpoint
from volspine.inference.level_mode import measured_targets
from volspine.inference.look import both_images
from volspine.inference.predictor import Predictor
from volspine.jobs import run_many
from volspine.models.grader import build_grader
from volspine.models.mirror import mirror_targets
from volspine.phantom.dicom import write_study
from volspine.phantom.levels import phantom_study_crops
from volspine.phantom.spec import Spec, Stage
from volspine.phantom.study import acquire_study, outline_study
from volspine.views import StudyCrops

TRUE, JITTERED, LOCATED = "true points", "jittered points", "located points"
GIVEN = {"crops": (JITTERED, TRUE), "dicom": (LOCATED,)}
"""What points a way of grading gives the model; the first is the one to be judged by."""


@dataclass(frozen=True)
class Job:
    """How studies are graded.

    Attributes:
        bundle: Folder of the model, or with crops its checkpoint; None is the one of the package.
        via: `crops` or `dicom`.
    """

    bundle: Path | None
    via: str


def records(job: Job, specs: Sequence[Spec], path: Path, *, workers: int) -> list[dict]:
    """Return the record of each study, in order; what `path` does not hold is graded and added."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = read_records(path)
    missing = [spec for spec in specs if spec.study_id not in known]
    with path.open("a", encoding="utf-8") as file:
        for n, outcome in enumerate(run_many(partial(grade, job), missing, workers=workers), 1):
            if outcome.result is None:
                raise SystemExit(f"{outcome.item.study_id} was not graded: {outcome.error}")
            known[outcome.item.study_id] = outcome.result
            file.write(json.dumps(outcome.result) + "\n")
            file.flush()
            if n % 20 == 0 or n == len(missing):
                print(f"{path.stem}: graded {n} of {len(missing)}", flush=True)
    return [known[spec.study_id] for spec in specs]


def read_records(path: Path) -> dict[str, dict]:
    """Return what was graded already; a line that an interruption cut short is cut off."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    lines = [json.loads(line) for line in whole.splitlines()]
    return {line["study"]: line for line in lines}


def gathered(lines: Sequence[dict], given: str) -> Graded:
    """Return the studies of records as arrays."""
    said = [line["given"][given] for line in lines]
    return Graded(
        labels=np.array([line["labels"] for line in lines], dtype=np.int64),
        grades=np.array([line["grades"] for line in lines], dtype=np.int64),
        severity=np.array([line["severity"] for line in lines]),
        probabilities=normalised(np.array([one["probabilities"] for one in said])),
        said=np.array([one["severity"] for one in said]),
    )


def normalised(probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities that sum to one although they were written with few digits."""
    return np.asarray(probabilities / probabilities.sum(axis=-1, keepdims=True))


def grade(job: Job, spec: Spec) -> dict:
    """Return the record of one study: truth, labels, and what the model says."""
    torch.set_num_threads(1)
    made = outline_study(spec)
    given, slices = (_by_crops if job.via == "crops" else _by_dicom)(job, spec)
    return {
        "study": spec.study_id,
        "labels": made.labels.tolist(),
        "grades": made.truth.grades.tolist(),
        "severity": _short(made.truth.severity),
        "slice_mm": slices,
        "given": given,
    }


def _by_crops(job: Job, spec: Spec) -> tuple[dict, list[float] | None]:
    model, crops = model_of(job.bundle), phantom_study_crops(spec)[0]
    points = {TRUE: crops.points_mm, JITTERED: crops.points_mm + jitter(spec)}
    given = {name: told(model, crops, place) for name, place in points.items()}
    slices = torch.linalg.vector_norm(crops.affine_lps[..., :3, 0], dim=-1).median(dim=0).values
    return given, _short(slices.numpy())


def _by_dicom(job: Job, spec: Spec) -> tuple[dict, list[float] | None]:
    predictor = predictor_of(job.bundle)
    with tempfile.TemporaryDirectory() as folder:
        write_study(acquire_study(spec), Path(folder))
        graded = predictor.predict(folder).grades
    refused = graded.status == "refused"
    found = predictor.bundle.card.frequencies if refused else graded.probabilities
    imputed = len(TARGETS) if refused else int(graded.imputed.sum())
    return {LOCATED: _plain(found, severity_of(found), imputed)}, None


def severity_of(probabilities: np.ndarray) -> np.ndarray:
    """Return where grades lie on the scale of a cumulative link, but for a constant a target.

    The log-odds of being above a cut is severity less cut, so the mean over both cuts is what a
    cumulative link calls severity, less the middle of the cuts.
    """
    p = np.clip(probabilities, 1e-12, 1.0)
    first, second = (p[..., 1] + p[..., 2]) / p[..., 0], p[..., 2] / (p[..., 0] + p[..., 1])
    return np.asarray((np.log(first) + np.log(second)) / 2)


def jitter(spec: Spec) -> Tensor:
    """Return errors as the shipped localizer makes them, (25, 3) LPS mm; the same at every call."""
    rng = np.random.default_rng([int(spec.stream(Stage.FILES).integers(2**32)), spec.index])
    return errors_mm(rng, 1)[0]


@dataclass(frozen=True)
class Model:
    """Graders of level mode, and what turns what they say into a report."""

    graders: tuple[nn.Module, ...]
    card: Card


@cache
def model_of(bundle: Path | None) -> Model:
    """Return the model of a bundle, or of a checkpoint; loaded once in each process.

    Raises:
        SystemExit: If it grades whole studies instead of levels.
    """
    if bundle is not None and bundle.is_file():
        return of_checkpoint(bundle)
    loaded = load_bundle(bundle)
    if loaded.card.grid is not None:
        raise SystemExit(f"the model {loaded.card.name} is one of study mode: it reads no crops")
    return Model(loaded.graders, loaded.card)


def of_checkpoint(path: Path) -> Model:
    """Return the model of a checkpoint, before there is a bundle of it."""
    kept = read_checkpoint(path)
    grader = build_grader(kept.model)
    grader.load_state_dict(kept.state)
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    card = Card(
        name=path.stem,
        trained_on="what its checkpoint says",
        phantom_only=True,
        frequencies=kept.frequencies,
        temperature=np.ones(len(TARGETS)) if kept.temperature is None else kept.temperature,
        grid=kept.grid,
        files={"weights.safetensors": {"sha256": sha}},
    )
    if card.grid is not None:
        raise SystemExit(f"the model {card.name} is one of study mode: it reads no crops")
    return Model((grader.eval(),), card)


@cache
def predictor_of(bundle: Path | None) -> Predictor:
    """Return the predictor of a bundle; loaded once in each process."""
    return Predictor(bundle, device="cpu")


def told(model: Model, crops: StudyCrops, points_mm: Tensor) -> dict:
    """Return what a model says of one study, looked at around some points.

    Probabilities are those of `volspine.inference.members`, which does not tell severities.
    """
    placed = crops._replace(points_mm=points_mm)
    patches = both_images(placed, torch.device("cpu"))
    with torch.inference_mode():
        found = [grader(patches) for grader in model.graders]
    chances = torch.stack([over_mirrors(one.log_probs.double().exp()) for one in found])
    severity = torch.stack([over_mirrors(one.severity.double()) for one in found]).mean(dim=0)
    log_probs = chances.mean(dim=0).clamp_min(torch.finfo(torch.float64).tiny).log()
    temperature = torch.from_numpy(model.card.temperature)[:, None]
    seen = shown(placed)
    probabilities = (log_probs / temperature).softmax(dim=-1).numpy()
    probabilities = np.where(seen[:, None], probabilities, model.card.frequencies)
    return _plain(probabilities, severity.numpy(), int((~seen).sum()))


def over_mirrors(values: Tensor) -> Tensor:
    """Return the mean over a study and its mirror image, (2, 25, ...), sides swapped back."""
    as_is, mirrored = values
    return (as_is + mirror_targets(mirrored, dim=0)) / 2


def shown(crops: StudyCrops) -> np.ndarray:
    """Return which targets some primary view shows, (25,)."""
    measured = measured_targets(crops)
    views = [[p in t.finding.primary_views for p in PROTOCOLS] for t in TARGETS]
    return np.asarray((measured & np.array(views)).any(axis=1))


def _plain(probabilities: np.ndarray, severity: np.ndarray, imputed: int) -> dict:
    return {
        "probabilities": [[float(f"{p:.8g}") for p in row] for row in probabilities],
        "severity": _short(severity),
        "imputed": imputed,
    }


def _short(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]


def slice_distances(lines: Sequence[dict]) -> dict[str, np.ndarray]:
    """Return the distance of each study's slices in mm, (N,), by protocol."""
    return {
        protocol.label: np.array([line["slice_mm"][n] for line in lines])
        for n, protocol in enumerate(PROTOCOLS)
    }
