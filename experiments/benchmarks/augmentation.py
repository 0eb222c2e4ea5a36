"""A batch of studies seen anew: `DeviceAugment` on the whole batch against the TorchIO pipeline.

Both mirror, turn, scale, shift, and change gamma, bias and noise of three images with three masks;
TorchIO also blurs one study in four, ours also changes the contrast. Run alone, it prints the
milliseconds of a batch and their ratio, taken in turns:

    python experiments/benchmarks/augmentation.py [--device cuda]
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from timing import Row, compare

from volspine.data.dataset import collate
from volspine.data.device_transforms import DeviceAugment, DeviceLook, see, stacked
from volspine.data.example import Example
from volspine.data.seeds import rng_for
from volspine.data.torchio_transforms import TorchioAugment, TorchioRecord
from volspine.data.torchio_transforms import apply as apply_torchio
from volspine.data.transforms import LightAugment, affine_matrix

__all__ = ["main", "rows"]

_SPACING_MM = (3.0, 1.5, 1.5)
_SHAPE = (24, 96, 144)
_STUDIES = 4


def _examples(shape: tuple[int, int, int]) -> list[Example]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(_STUDIES):
        coarse = torch.rand(1, 3, 6, 12, 12, generator=generator)
        images = torch.nn.functional.interpolate(coarse, shape, mode="trilinear")[0]
        points = torch.rand(25, 3, generator=generator) * torch.tensor(shape)
        volume = torch.cat([images, torch.ones(3, *shape)])
        made.append(Example(volume, torch.ones(25).long(), points, torch.ones(25).bool()))
    return made


def rows(
    *, device: str = "cpu", shape: tuple[int, int, int] = _SHAPE, rounds: int = 9
) -> list[Row]:
    """Compare a batch with the TorchIO pipeline and with the light one, study by study."""
    examples = _examples(shape)
    difference = _difference(examples[0])
    if difference > 1e-3:
        raise AssertionError(f"images after the same shift differ by {difference}")
    batch = collate([(example, str(n)) for n, example in enumerate(examples)])
    batch = {name: v.to(device) if torch.is_tensor(v) else v for name, v in batch.items()}
    ours, turn = DeviceAugment(), iter(range(10**6))

    def whole() -> object:
        epoch = next(turn)
        looks = [ours.look(rng_for(0, epoch, str(n))) for n in range(_STUDIES)]
        seen = see(batch, stacked(looks), _SPACING_MM)
        return float(seen["volume"][0, 0, 0, 0, 0])  # Waits for the device.

    def one_by_one(augment: LightAugment | TorchioAugment) -> object:
        epoch = next(turn)
        seen = [
            (augment(example, rng_for(0, epoch, str(n)), _SPACING_MM), str(n))
            for n, example in enumerate(examples)
        ]
        return collate(seen)["volume"].to(device)

    size = " x ".join(map(str, shape))
    name = f"{_STUDIES} studies on {size} seen anew on {device}"
    how = {"agreement": f"the same shift within {difference:.0e}", "rounds": rounds}
    return [
        compare(
            name,
            ("DeviceAugment, a batch", whole),
            ("TorchIO pipeline, study by study", lambda: one_by_one(TorchioAugment())),
            **how,
        ),
        compare(
            name,
            ("DeviceAugment, a batch", whole),
            ("LightAugment, study by study", lambda: one_by_one(LightAugment())),
            **how,
        ),
    ]


def _difference(example: Example) -> float:
    """Return the largest difference after the same shift, away from the edges."""
    shift = (2.0, -3.0, 1.5)
    theirs = apply_torchio(example, TorchioRecord(shift_mm=shift), _SPACING_MM).volume[:3]
    look = _at_rest()._replace(
        matrix=torch.from_numpy(affine_matrix((0.0,) * 3)), shift_mm=torch.tensor(shift).double()
    )
    batch = collate([(example, "0")])
    ours = see(batch, stacked([look]), _SPACING_MM)["volume"][0, :3]
    inner = (slice(None), *[slice(4, -4)] * 3)
    return float((ours[inner] - theirs[inner]).abs().max())


def _at_rest() -> DeviceLook:
    still = DeviceAugment(
        mirror=0.0, degrees=(0.0,) * 3, scale=0.0, shift_mm=(0.0,) * 3, gamma=0.0, bias=0.0,
        noise=0.0, contrast=0.0,
    )  # fmt: skip
    return still.look(np.random.default_rng(0))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the comparisons."""
    parser = argparse.ArgumentParser(description="augmentation of a batch against TorchIO")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shape", type=int, nargs=3, default=list(_SHAPE))
    parser.add_argument("--rounds", type=int, default=9)
    told = parser.parse_args(arguments)
    first, second, third = told.shape
    print(f"{torch.get_num_threads()} threads")
    for row in rows(device=told.device, shape=(first, second, third), rounds=told.rounds):
        print(
            f"{row.name}: {row.ours} {row.ours_ms:.0f} ms, {row.other} {row.other_ms:.0f} ms; "
            f"ratio {row.ratio:.1f} (quartiles {row.low:.1f} to {row.high:.1f}); {row.agreement}"
        )


if __name__ == "__main__":
    main()
