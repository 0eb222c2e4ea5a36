"""Does a level-mode model doubt what is strange, and where should it refuse?

    python -m experiments.doubt BUNDLE --studies 20 --seed 0 --out doubt.json

Usual studies are unseen phantoms, half `rsna_like` and half `probe`, whose crops are read at their
true places, moved as the localizer errs. A first set, as large as the second, tells what is usual;
the second is compared with `shift` and with its own `rsna_like` studies, spoilt:

    noise      as strong as 0.3 of the mean brightness
    blur       Gaussian, 2 pixels wide
    cropped    the left third of every slice was not measured
    contrast   T1 and T2 sagittal have changed places, axial is turned bright to dark
    shuffled   slices of every crop in another order

Printed is the AUROC of each measure of `inference.doubt` against the usual studies, then the share
of wrong grades among the least doubted targets. Only images and networks are judged: a study whose
levels are not found is refused elsewhere.

The JSON is what `volspine bundle --doubt` takes: what is usual, and for each measure the doubts of
the second set. Each study is looked at from one place, as `volspine predict` does; with `--draws 3`
the tables tell what looking from other places would add, and no JSON is written.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from volspine.anatomy import LEVELS
from volspine.inference.bundle import Bundle, load_bundle
from volspine.inference.doubt import Impression, Seeing, Usual, impression_of
from volspine.inference.doubt_record import JUDGED as ALL
from volspine.inference.doubt_record import MAX_BYTES, DoubtRecord
from volspine.jobs import run_many, write_text
from volspine.metrics.doubt import (
    doubt_auroc,
    entropy,
    mutual_information,
    refusal_threshold,
    risk_coverage,
)
from volspine.phantom.levels import phantom_study_crops
from volspine.phantom.spec import Cohort, Spec
from volspine.types import FloatArray, IntArray
from volspine.views import StudyCrops
from volspine.volume.jitter import measured_errors

SHARES = (0.95, 0.99)
COVERAGES = (1.0, 0.9, 0.8, 0.5)
USUAL = (Cohort.RSNA_LIKE, Cohort.PROBE)


class Seen(NamedTuple):
    """One study as it is and spoilt, and its true grades (25,)."""

    impressions: dict[str, Impression]
    grades: IntArray


Spoil = Callable[[StudyCrops, torch.Generator], StudyCrops]


def _images(crops: StudyCrops, change: Callable[[Tensor], Tensor]) -> StudyCrops:
    """Return crops whose images are changed, as float32 and then as they were stored."""
    return crops._replace(
        sagittal=change(crops.sagittal.float()).to(crops.sagittal),
        axial=change(crops.axial.float()).to(crops.axial),
    )


def noise(crops: StudyCrops, chance: torch.Generator) -> StudyCrops:
    """Return them with noise as strong as 0.3 of their mean."""
    return _images(crops, lambda x: x + 0.3 * torch.randn(x.shape, generator=chance))


def blur(crops: StudyCrops, _chance: torch.Generator) -> StudyCrops:
    """Return them with every slice blurred by 2 pixels."""
    line = torch.exp(-(torch.arange(-6.0, 7.0) ** 2) / 8)
    line = line / line.sum()

    def blurred(x: Tensor) -> Tensor:
        flat = F.pad(x.reshape(-1, 1, *x.shape[-2:]), (6, 6, 6, 6), mode="replicate")
        flat = F.conv2d(F.conv2d(flat, line[None, None, None]), line[None, None, :, None])
        return flat.reshape(x.shape)

    return _images(crops, blurred)


def cropped(crops: StudyCrops, _chance: torch.Generator) -> StudyCrops:
    """Return them without the first third of the columns."""
    masks = [mask.clone() for mask in (crops.sagittal_mask, crops.axial_mask)]
    for mask in masks:
        mask[..., : mask.shape[-1] // 3] = False
    return crops._replace(
        sagittal=crops.sagittal * masks[0],
        axial=crops.axial * masks[1],
        sagittal_mask=masks[0],
        axial_mask=masks[1],
    )


def contrast(crops: StudyCrops, _chance: torch.Generator) -> StudyCrops:
    """Return them with T1 and T2 exchanged and the axial series inverted."""
    return crops._replace(
        sagittal=crops.sagittal.flip(1),
        sagittal_mask=crops.sagittal_mask.flip(1),
        axial=torch.where(crops.axial_mask, (2.0 - crops.axial.float()).clamp_min(0.0), 0.0).to(
            crops.axial
        ),
    )


def shuffled(crops: StudyCrops, chance: torch.Generator) -> StudyCrops:
    """Return them with slices in another order."""
    return _images(crops, lambda x: x[..., torch.randperm(x.shape[-3], generator=chance), :, :])


SPOILT: dict[str, Spoil] = {f.__name__: f for f in (noise, blur, cropped, contrast, shuffled)}


def look(spec: Spec, *, model: Path | None, spoilt: bool, draws: int) -> Seen:
    """Return what the networks make of one study."""
    torch.set_num_threads(1)
    bundle = _bundle(model)
    crops, _, grades = phantom_study_crops(spec)
    rng = np.random.default_rng([spec.seed, spec.index])
    moved = measured_errors().draw(rng, len(LEVELS)).transpose(1, 0, 2).reshape(-1, 3)
    crops = crops._replace(points_mm=crops.points_mm + torch.from_numpy(moved.copy()))
    chance = torch.Generator().manual_seed(spec.index)
    changed = {name: spoil(crops, chance) for name, spoil in SPOILT.items()} if spoilt else {}
    graders = cast("Sequence[Seeing]", bundle.graders)
    return Seen(
        {
            name: impression_of(graders, these, temperature=bundle.card.temperature, draws=draws)
            for name, these in {"as it is": crops, **changed}.items()
        },
        grades.numpy(),
    )


@lru_cache(maxsize=1)
def _bundle(model: Path | None) -> Bundle:
    bundle = load_bundle(model)
    if bundle.mode != "level":
        raise SystemExit("the bundle is not of level mode")
    return bundle


def seen(cohort: Cohort, how: argparse.Namespace, *, seed: int, spoilt: bool = False) -> list[Seen]:
    """Return what the networks make of a set of unseen studies."""
    job = partial(look, model=how.bundle, spoilt=spoilt, draws=how.draws)
    specs = [Spec(seed=seed, cohort=cohort, index=n) for n in range(how.studies)]
    found: dict[int, Seen] = {}
    for outcome in run_many(job, specs, workers=how.workers):
        if outcome.error is not None or outcome.result is None:
            raise outcome.error or SystemExit("a study was not read")
        found[outcome.item.index] = outcome.result
    return [found[n] for n in sorted(found)]


def plain(studies: Sequence[Seen], name: str = "as it is") -> list[Impression]:
    """Return one impression of each study."""
    return [study.impressions[name] for study in studies]


def of_measure(usual: Usual, impressions: Sequence[Impression]) -> dict[str, FloatArray]:
    """Return the doubts about some studies, by measure."""
    doubts = [usual.doubts(impression) for impression in impressions]
    return {name: np.array([d[name] for d in doubts]) for name in ALL}


def auroc_table(inside: dict[str, FloatArray], strange: dict[str, dict[str, FloatArray]]) -> None:
    """Print how well each measure tells each kind of strange study from usual ones."""
    print("| strange | " + " | ".join(ALL) + " |")
    print("|---|" + "---|" * len(ALL))
    for name, doubts in strange.items():
        cells = [doubt_auroc(inside[m], doubts[m]) for m in ALL]
        texts = [f"{a.value:.2f} ({a.interval.low:.2f} to {a.interval.high:.2f})" for a in cells]
        print(f"| {name} | " + " | ".join(texts) + " |")


def rejection_table(studies: Sequence[Seen]) -> None:
    """Print the share of wrong grades among the least doubted targets of usual studies."""
    samples = np.stack([s.impressions["as it is"].samples for s in studies], axis=1)
    p = samples.mean(axis=0)
    wrong = (p.argmax(axis=-1) != np.stack([s.grades for s in studies])).ravel()
    rivals = {
        "1 - confidence": 1 - p.max(axis=-1),
        "entropy": entropy(p),
        "information": mutual_information(samples),
    }
    print("| targets doubted by | " + " | ".join(f"{c:.0%} kept" for c in COVERAGES) + " | area |")
    print("|---|" + "---|" * (len(COVERAGES) + 1))
    for name, doubt in rivals.items():
        curve = risk_coverage(doubt.ravel(), wrong)
        cells = [f"{curve.risk_at(c):.3f}" for c in COVERAGES]
        print(f"| {name} | " + " | ".join(cells) + f" | {curve.area:.3f} |")


def main() -> None:
    """Read phantoms, print the tables and write what a card can carry."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="of level mode")
    parser.add_argument("--studies", type=int, default=20, help="of each cohort in each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=1, help="places each study is seen from")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    how = parser.parse_args()
    if how.out is not None and how.draws != 1:
        parser.error("predict looks from one place: what is written must, too (--draws 1)")
    first = [s for c in USUAL for s in seen(c, how, seed=2 * how.seed + 90_001)]
    likely, probe = (
        seen(c, how, seed=2 * how.seed + 90_002, spoilt=c is Cohort.RSNA_LIKE) for c in USUAL
    )
    usual = Usual.of(plain(first))
    inside = of_measure(usual, [*plain(likely), *plain(probe)])
    shift = of_measure(usual, plain(seen(Cohort.SHIFT, how, seed=2 * how.seed + 90_002)))
    spoilt = {name: of_measure(usual, plain(likely, name)) for name in SPOILT}
    print(f"{len(first)} studies tell what is usual, {len(likely + probe)} others are usual\n")
    auroc_table(inside, {"shift": shift, **spoilt})
    print(
        "\nShare of wrong grades among the targets kept, usual studies, truth before any reader\n"
    )
    rejection_table([*likely, *probe])
    for name in ALL:
        found = {share: refusal_threshold(inside[name], share) for share in SHARES}
        print("\n" + name, *(f"{share:.0%} below: {t}" for share, t in found.items()), sep="\n  ")
    if how.out is not None:
        save(how.out, usual, inside, weights=load_bundle(how.bundle).card.weights_sha256)


def save(path: Path, usual: Usual, inside: dict[str, FloatArray], *, weights: str) -> None:
    """Write what a bundle can carry."""
    text = json.dumps(DoubtRecord.of(usual, inside, weights_sha256=weights).to_dict())
    if len(text) > MAX_BYTES:
        raise SystemExit(f"{len(text)} bytes are too many for a bundle")
    write_text(path, text + "\n")
    print(f"\nsaved {path}")


if __name__ == "__main__":
    main()
