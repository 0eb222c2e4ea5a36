"""Weights: from a local file of trained weights into a timm-3d network.

The file is read as plain tensors (safetensors, or torch with `weights_only=True`): nothing in it is
executed. Weights of a network for photographs become volumetric: each 2D filter is repeated over
the slices and divided by their number, so a volume that is the same in every slice gives the
response of the photograph; input channels are repeated and scaled likewise.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from volspine.errors import WeightsError

__all__ = ["load_weights"]


def load_weights(network: nn.Module, path: Path) -> None:
    """Copy trained weights into a network.

    Args:
        network: Features of a timm-3d network, with its batch norms still in place.
        path: Weights of the same network in 3D, or of its namesake in 2D; what the network does
            not have (a classifier, further stages) is passed over.

    Raises:
        WeightsError: If the file is missing, damaged or of another network.
    """
    own = network.state_dict()
    loaded = {_own_name(name, own): value for name, value in _read_weights(path).items()}
    missing = [n for n in own if n not in loaded and "num_batches" not in n]
    fitted = {n: _fit(loaded[n], own[n]) for n in own if n in loaded}
    wrong = [n for n, value in fitted.items() if value.shape != own[n].shape]
    if missing or wrong:
        raise WeightsError(
            f"{len(missing)} of {len(own)} tensors are missing and {len(wrong)} have another shape",
            path=path,
            remedy="give weights of the same backbone, or leave `weights` out",
            code="VS-WGT-031",
        )
    network.load_state_dict(fitted, strict=False)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        content = content.get("state_dict", content)
        return {str(name).removeprefix("module."): value for name, value in content.items()}
    except Exception as error:  # Unpicklers and zip readers raise whatever a damaged file makes.
        raise WeightsError(
            f"cannot read weights: {type(error).__name__}",
            path=path,
            remedy="give a safetensors file, or a torch file that loads with weights_only=True",
            code="VS-WGT-030",
        ) from error


def _own_name(name: str, own: dict[str, Tensor]) -> str:
    # timm's feature wrappers flatten `stages.0` to `stages_0`.
    flattened = name.replace(".", "_", 1)
    return flattened if name not in own and flattened in own else name


def _fit(value: Tensor, own: Tensor) -> Tensor:
    """Repeat a 2D filter over the slices, and input channels over ours, keeping the response."""
    if value.ndim == 4 and own.ndim == 5:
        depth = own.shape[-1]
        value = value[..., None].expand(*value.shape, depth) / depth
    if value.ndim == 5 and value.shape[1] != own.shape[1] and value.shape[1] in (1, 3):
        repeats = -(-own.shape[1] // value.shape[1])
        scale = value.shape[1] / own.shape[1]
        value = value.repeat(1, repeats, 1, 1, 1)[:, : own.shape[1]] * scale
    return value
