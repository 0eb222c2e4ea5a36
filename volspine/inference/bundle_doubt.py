"""The doubts of a bundle: `doubt.json` beside the weights, with its sha256 on the card.

A bundle is whole without it. It holds for the weights that it was measured with and no others.
"""

import json
from dataclasses import replace
from pathlib import Path

from volspine.errors import ConfigurationError
from volspine.inference.bundle import CARD, DOUBT, READABLE, load_bundle
from volspine.inference.bundle_weights import described
from volspine.inference.card import card_markdown, card_to_dict
from volspine.inference.doubt_record import DoubtRecord
from volspine.jobs import write_bytes, write_text

__all__ = ["add_doubt"]


def add_doubt(folder: str | Path, record: DoubtRecord) -> Path:
    """Put what a model was measured to doubt into its bundle, in place of what is there.

    Args:
        folder: Of a complete bundle of level mode.
        record: Measured with it.

    Raises:
        ConfigurationError: If it is of another model, or the model sees whole studies.
        OutputError: If it cannot be written.
        WeightsError: If the bundle is damaged.
    """
    place = Path(folder)
    bundle = load_bundle(place)
    if bundle.mode != "level":
        raise ConfigurationError(
            "doubts are measured of models of levels, and this one sees whole studies",
            path=place,
            remedy="leave out --doubt",
            code="VS-CFG-174",
        )
    record.check_fit(bundle.features, bundle.card.weights_sha256)
    data = json.dumps(record.to_dict()).encode("utf-8")
    card = replace(bundle.card, files={**bundle.card.files, DOUBT: described(data)})
    (place / CARD).unlink()
    write_bytes(place / DOUBT, data)
    write_text(place / READABLE, card_markdown(card))
    write_text(place / CARD, json.dumps(card_to_dict(card), indent=2) + "\n")
    return place
