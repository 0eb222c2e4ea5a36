"""A sample of probe studies and the reader fitted to it: what a fault of the pipeline must ring."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from volspine.anatomy import TARGETS, Finding, Protocol
from volspine.dicom.study import Study
from volspine.geometry.stack import Stack
from volspine.phantom.reader import fit_reader, measure_seen
from volspine.phantom.spec import Cohort, Spec
from volspine.phantom.study import acquire_study, study_of

BARS = {Finding.CANAL: 0.60, Finding.FORAMEN: 0.52, Finding.RECESS: 0.55}
"""Three-grade accuracy that the reader keeps on a sound pipeline; a third is chance."""


@dataclass(frozen=True)
class Sample:
    """Studies, and a reader that was fitted to others."""

    made: list
    studies: list
    reader: object

    @cached_property
    def sound(self):
        """Accuracy of each finding when nothing is changed."""
        return self.score()

    def score(self, mutate=lambda study, points: (study, points), only=None):
        """Accuracy of each finding when what is read is changed first."""
        hits = []
        for n, (made, study) in enumerate(zip(self.made, self.studies, strict=True)):
            if only is None or only[n]:
                seen = measure_seen(*mutate(study, made.landmarks_mm))
                hits.append(self.reader.grade(seen) == made.truth.grades)
        found = np.mean(hits, axis=0)
        return {f: np.mean([found[t.index] for t in TARGETS if t.finding is f]) for f in Finding}


def draw_sample(size, count):
    """Return `count` probe studies and a reader that was fitted to as many others."""

    def draw(seed):
        specs = (Spec(seed=seed, index=n, cohort=Cohort.PROBE, size=size) for n in range(count))
        return [acquire_study(spec) for spec in specs]

    training, made = draw(11), draw(12)
    seen = np.array([measure_seen(study_of(m), m.landmarks_mm) for m in training])
    reader = fit_reader(seen, np.array([m.truth.grades for m in training]))
    return Sample(made, [study_of(m) for m in made], reader)


def rebuilt(study, change, protocols=tuple(Protocol)):
    """A study whose stacks of some protocols are replaced: `change` takes and returns a stack."""
    series = [
        replace(s, stacks=[change(t) for t in s.stacks]) if s.protocol in protocols else s
        for s in study.series
    ]
    return Study(study.name, series)


def revoxeled(stack, voxels):
    """The same geometry with other voxels."""
    return Stack.from_array(np.ascontiguousarray(voxels), stack.affine_lps, stack.slice_origins_mm)


def left_axis(stack):
    """Axis of the voxels that runs most from right to left."""
    return int(np.argmax(np.abs(stack.affine_lps[0, :3] / stack.spacing_mm)))


def single_affine(series):
    """All slices of a series as one volume, the way a reader that trusts one header does it."""
    voxels = np.concatenate([stack.voxels for stack in series.stacks], axis=2)
    origins = np.concatenate([stack.slice_origins_mm for stack in series.stacks])
    affine = series.stacks[0].affine_lps.copy()
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    along = (origins[-1] - origins[0]) @ (normal / np.linalg.norm(normal))
    affine[:3, 2] = normal / np.linalg.norm(normal) * along / (len(origins) - 1)
    return replace(series, stacks=[Stack.from_array(voxels, affine)])
