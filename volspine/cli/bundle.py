"""`volspine bundle`: checkpoints of `volspine fit` -> a model folder that `predict` loads.

volspine bundle GRADER.ckpt --out DIR                            a grader alone
volspine bundle GRADER.ckpt --localizer LOCALIZER.ckpt --out DIR  a grader of levels needs it
volspine bundle --localizer LOCALIZER.ckpt --out DIR --overwrite  into a bundle that is there
volspine bundle --refiner REFINER.ckpt --out DIR --overwrite      into its localizer
volspine bundle --metrics FILE --out DIR --overwrite              on the card of one that is there
volspine bundle --doubt FILE --out DIR --overwrite                beside it: when it is unsure
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volspine.inference.card import Card
    from volspine.inference.checkpoint import Checkpoint, LocalizerCheckpoint
    from volspine.inference.doubt_record import DoubtRecord
    from volspine.types import FloatArray

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add_parts(parser)
    _add_facts(parser)
    parser.add_argument(
        "--full-precision",
        action="store_true",
        help="keep graders of levels in single precision, in twice the room",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def _add_parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoints",
        nargs="*",
        type=Path,
        metavar="CKPT",
        help="checkpoint of volspine fit; several of one recipe make an ensemble; none keeps the "
        "graders of the bundle that is there",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="model folder")
    parser.add_argument(
        "--localizer",
        type=Path,
        metavar="CKPT",
        help="checkpoint of a localizer, or a model folder that has one, to go with it; `demo` is "
        "that of the package, which has only seen phantoms",
    )
    parser.add_argument(
        "--refiner",
        type=Path,
        metavar="CKPT",
        help="checkpoint of a point refiner, to go with the localizer",
    )


def _add_facts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the model; the folder's if omitted")
    parser.add_argument("--trained-on", metavar="TEXT", help="the training data, in words")
    parser.add_argument(
        "--patients",
        action="store_true",
        help="trained on patients; without it every output says that the grades of a real "
        "patient are not valid",
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="test_metrics.json of volspine test, for the held-out score beside the prior; a file "
        "may also say floor, kappa and intervals; several are merged",
    )
    parser.add_argument(
        "--doubt",
        type=Path,
        metavar="FILE",
        help="doubt.json of experiments.doubt, measured with this very model of levels: predict "
        "then tells how strange a study is to it, and warns",
    )
    parser.add_argument(
        "--temperature",
        type=Path,
        metavar="FILE",
        help="calibration.json of volspine cv or temperature.json of experiments/grader_scores.py: "
        "3 numbers (canal, foramen, recess) or 25 that log-probabilities are divided by instead of "
        "the checkpoint's",
    )
    parser.add_argument(
        "--member-weights",
        type=Path,
        metavar="FILE",
        help="member_weights.json of volspine cv: how much each member counts for each target",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle."""
    from dataclasses import replace

    from volspine.cli.bundle_facts import calibrated, held_out, member_weights
    from volspine.inference.bundle import write_bundle
    from volspine.inference.bundle_doubt import add_doubt
    from volspine.inference.bundle_mode import mode_of
    from volspine.inference.bundle_weights import halved
    from volspine.inference.doubt_record import read_doubt
    from volspine.inference.located_by import localizer_of

    doubt = None if arguments.doubt is None else read_doubt(arguments.doubt)
    made = _graders(arguments) if arguments.checkpoints else _kept(arguments)
    if arguments.localizer is not None:
        made = replace(made, found=localizer_of(arguments.localizer))
    if arguments.refiner is not None:
        made = replace(made, found=_refining(made.found, arguments.refiner))
    states = made.states
    if mode_of(made.recipe) == "level" and not arguments.full_precision:
        states = [halved(state) for state in states]
    measured = {**made.card.held_out, **held_out(arguments.metrics)}
    found = made.found
    card = replace(made.card, held_out=measured, localizer={} if found is None else found.facts)
    if arguments.temperature is not None:
        card = replace(card, **calibrated(arguments.temperature))
    if arguments.member_weights is not None:
        card = replace(card, member_weights=member_weights(arguments.member_weights, len(states)))
    place = write_bundle(
        arguments.out,
        states,
        recipe=made.recipe,
        card=card,
        localizer=None if found is None else found.localizer,
        overwrite=arguments.overwrite,
    )
    doubt = doubt or made.doubt
    if doubt is not None:
        add_doubt(place, doubt)
    also = "" if found is None else ", with a localizer"
    print(f"{place}: {len(states)} member(s), trained on {card.trained_on}{also}")
    return 0


@dataclass(frozen=True)
class _Made:
    """What a bundle is made of."""

    states: "list[dict[str, Any]]"
    recipe: Any
    card: "Card"
    found: "LocalizerCheckpoint | None" = None
    doubt: "DoubtRecord | None" = None


def _refining(found: "LocalizerCheckpoint | None", path: Path) -> "LocalizerCheckpoint":
    """Return a localizer with the point refiner of a checkpoint."""
    from volspine.errors import ConfigurationError
    from volspine.inference.checkpoint import LocalizerCheckpoint, read_refiner

    if found is None:
        raise ConfigurationError(
            "a point refiner without a localizer whose points it could refine",
            path=path,
            remedy="name a localizer, too: --localizer LOCALIZER.ckpt",
            code="VS-CFG-172",
        )
    found.localizer.refiner, facts = read_refiner(path)
    return LocalizerCheckpoint(found.localizer, {**found.facts, "refiner": facts})


def _kept(arguments: argparse.Namespace) -> _Made:
    """Return what the bundle that is there is made of."""
    from volspine.errors import ConfigurationError
    from volspine.inference.bundle import load_bundle
    from volspine.inference.checkpoint import LocalizerCheckpoint

    named = (
        arguments.localizer, arguments.refiner, arguments.doubt, arguments.temperature,
        arguments.metrics or None, arguments.member_weights,
    )  # fmt: skip
    if all(each is None for each in named):
        raise ConfigurationError(
            "no checkpoint was named",
            remedy="name checkpoints of graders, or a localizer's with --localizer",
            code="VS-CFG-107",
        )
    kept = load_bundle(arguments.out)
    found = None
    if kept.localizer is not None:
        found = LocalizerCheckpoint(kept.localizer, kept.card.localizer)
    states = [grader.state_dict() for grader in kept.graders]
    return _Made(states, kept.recipe["model"], kept.card, found, kept.doubt)


def _graders(arguments: argparse.Namespace) -> _Made:
    """Return what the checkpoints that were named are made of."""
    import numpy as np

    from volspine.inference.card import Card
    from volspine.inference.checkpoint import read_checkpoint, same_kind

    checkpoints = [read_checkpoint(path) for path in arguments.checkpoints]
    first = same_kind(checkpoints)
    card = Card(
        name=arguments.name or arguments.out.resolve().name,
        trained_on=arguments.trained_on or _in_words(first),
        phantom_only=not arguments.patients,
        frequencies=np.mean([c.frequencies for c in checkpoints], axis=0),
        grid=first.grid,
        sampling=first.sampling,
        temperature=_temperature(checkpoints),
    )
    return _Made([checkpoint.state for checkpoint in checkpoints], first.model, card)


def _temperature(checkpoints: "list[Checkpoint]") -> "FloatArray":
    """Return the members' geometric mean; 1 for one that was never fitted."""
    import numpy as np

    from volspine.anatomy import TARGETS

    ones = np.ones(len(TARGETS))
    fitted = [ones if c.temperature is None else c.temperature for c in checkpoints]
    return np.asarray(np.exp(np.mean(np.log(fitted), axis=0)), dtype=np.float64)


def _in_words(checkpoint: "Checkpoint") -> str:
    if people := checkpoint.facts.get("people", {}).get("train"):
        cohorts = ", ".join(f"{count} {name}" for name, count in people.items())
        noise = checkpoint.facts.get("noise", {}).get("train", "unknown")
        return f"{sum(people.values())} synthetic people ({cohorts}; reader noise {noise})"
    roots = ", ".join(str(root) for root in checkpoint.facts.get("roots", ())) or "unnamed data"
    count = checkpoint.facts.get("num_studies", {}).get("train")
    return roots if count is None else f"{count} studies of {roots}"
