"""`volspine bundle`: checkpoints of `volspine fit` -> a model folder that `predict` loads.

volspine bundle GRADER.ckpt --out DIR                            a grader alone
volspine bundle GRADER.ckpt --localizer LOCALIZER.ckpt --out DIR
volspine bundle --localizer LOCALIZER.ckpt --out DIR --overwrite  into a bundle that is there
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from volspine.inference.card import Card
    from volspine.inference.checkpoint import Checkpoint

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
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
        "--localizer", type=Path, metavar="CKPT", help="checkpoint of a localizer, to go with it"
    )
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
        metavar="FILE",
        help="test_metrics.json of volspine test, for the held-out score beside the prior",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")


def run(arguments: argparse.Namespace) -> int:
    """Write the bundle."""
    from dataclasses import replace

    from volspine.inference.bundle import write_bundle
    from volspine.inference.checkpoint import read_localizer

    states, recipe, card = _graders(arguments)
    found = None if arguments.localizer is None else read_localizer(arguments.localizer)
    place = write_bundle(
        arguments.out,
        states,
        recipe=recipe,
        card=card if found is None else replace(card, localizer=found.facts),
        localizer=None if found is None else found.localizer,
        overwrite=arguments.overwrite,
    )
    also = "" if found is None else ", with a localizer"
    print(f"{place}: {len(states)} member(s), trained on {card.trained_on}{also}")
    return 0


def _graders(arguments: argparse.Namespace) -> "tuple[list[dict[str, Any]], Any, Card]":
    """Return states, recipe and card of the checkpoints, or else of the bundle that is there."""
    import numpy as np

    from volspine.errors import ConfigurationError
    from volspine.inference.bundle import load_bundle
    from volspine.inference.card import Card
    from volspine.inference.checkpoint import read_checkpoint, same_kind

    if not arguments.checkpoints:
        if arguments.localizer is None:
            raise ConfigurationError(
                "no checkpoint was named",
                remedy="name checkpoints of graders, or a localizer's with --localizer",
                code="VS-CFG-107",
            )
        kept = load_bundle(arguments.out)
        return [grader.state_dict() for grader in kept.graders], kept.recipe["model"], kept.card
    checkpoints = [read_checkpoint(path) for path in arguments.checkpoints]
    first = same_kind(checkpoints)
    card = Card(
        name=arguments.name or arguments.out.resolve().name,
        trained_on=arguments.trained_on or _in_words(first),
        phantom_only=not arguments.patients,
        frequencies=np.mean([c.frequencies for c in checkpoints], axis=0),
        grid=first.grid,
        held_out={} if arguments.metrics is None else _held_out(arguments.metrics),
    )
    return [checkpoint.state for checkpoint in checkpoints], first.model, card


def _in_words(checkpoint: "Checkpoint") -> str:
    roots = ", ".join(str(root) for root in checkpoint.facts.get("roots", ())) or "unnamed data"
    count = checkpoint.facts.get("num_studies", {}).get("train")
    return roots if count is None else f"{count} studies of {roots}"


def _held_out(path: Path) -> dict[str, Any]:
    import json

    from volspine.errors import TableError

    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        found = {key: metrics[key] for key in ("score", "prior", "studies")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TableError(
            "not a test_metrics.json with score, prior and studies",
            path=path,
            remedy="give the file that volspine test wrote",
            code="VS-TAB-060",
        ) from error
    interval = metrics.get("prior_minus_score_interval_90")
    return found if interval is None else {**found, "prior_minus_score_interval_90": interval}
