"""Crops on disk: from studies of a cohort to one small file each, straight from the phantom.

A file holds the five levels of a study as `volspine.phantom.direct` renders them, without DICOM. A
file that is there is not rendered again, so a run that was stopped goes on where it was.

Shapes: L levels; P protocols; D slices, H rows and W columns of a crop; 5 conditions of a level.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from volspine.errors import GeometryError
from volspine.jobs import run_many, write_bytes, write_text
from volspine.phantom.direct import CropShape, study_crops
from volspine.phantom.spec import Size, Spec

SAGITTAL = CropShape(slices=13, pixels=(80, 80), pixel_mm=0.75)
AXIAL = CropShape(slices=5, pixels=(88, 88), pixel_mm=0.6)


@dataclass(frozen=True)
class Job:
    """One study to render, and where to."""

    spec: Spec
    path: Path

    @property
    def refused(self) -> Path:
        """File that says that the study has no crops: a protocol is missing."""
        return self.path.with_suffix(".refused")


def render_missing(
    folder: Path, studies: int, *, seed: int, size: Size, workers: int
) -> list[Path]:
    """Return the files of a cohort's first studies with all three protocols.

    What is not there is rendered.
    """
    complete: list[Path] = []
    start = 0
    while len(complete) < studies:
        stop = start + studies - len(complete)
        specs = [Spec(seed=seed, index=n, size=size) for n in range(start, stop)]
        jobs = [Job(spec, folder / f"{size}_{seed}_{spec.index:05d}.npz") for spec in specs]
        run([job for job in jobs if not (job.path.exists() or job.refused.exists())], workers)
        complete += [job.path for job in jobs if job.path.exists()]
        start = stop
    return complete


def run(jobs: list[Job], workers: int) -> None:
    """Render studies, saying how far it is."""
    for count, outcome in enumerate(run_many(render, jobs, workers=workers), start=1):
        if outcome.error is not None:
            raise SystemExit(f"a study failed: {outcome.error}")
        if count % 20 == 0 or count == len(jobs):
            print(f"rendered {count} of {len(jobs)} studies", flush=True)


def render(job: Job) -> None:
    """Render one study and write its file."""
    torch.set_num_threads(1)
    try:
        levels = study_crops(job.spec, shapes=(SAGITTAL, AXIAL))
    except GeometryError as error:
        write_text(job.refused, f"{error}\n")
        return
    views = [(level.sagittal_t1, level.sagittal_t2, level.axial_t2) for level in levels]
    sagittal = torch.stack([torch.stack([t1.image, t2.image]) for t1, t2, _ in views])
    places = torch.stack([torch.stack([crop.landmarks_index for crop in view]) for view in views])
    stream = io.BytesIO()
    np.savez(
        stream,
        sagittal=sagittal.half().numpy(),  # (L, 2, D, H, W), T1 and T2
        axial=torch.stack([axial.image for _, _, axial in views]).half().numpy(),  # (L, D, H, W)
        places=places.numpy(),  # (L, P, 5, 3), slice, row and column of each condition
        grades=torch.stack([level.grades for level in levels]).numpy(),  # (L, 5)
        labels=torch.stack([level.labels for level in levels]).numpy(),  # (L, 5)
    )
    write_bytes(job.path, stream.getvalue())
