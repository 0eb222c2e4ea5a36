"""What `volspine doctor` tries in a process of its own: a fatal import must not take it along.

`python -m volspine.cli.probes NAME ARGUMENTS...` writes one JSON line for each thing it has tried,
as soon as it has. A process that dies has been killed by the first thing without a line.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

__all__ = ["PROBES"]


def _imports(modules: list[str]) -> Iterator[dict[str, Any]]:
    """Import each module, with the two remedies of `volspine._compat` in place."""
    from volspine import _compat

    for name in modules:
        if name == "open3d":
            _compat.preload_libusb()
        if name in {"timm", "timm_3d", "pytorch_lightning", "torchmetrics"}:
            _attempt(_compat.import_torchvision)
        yield {"module": name, "error": _attempt(partial(importlib.import_module, name))}


def _pair(_: list[str]) -> Iterator[dict[str, Any]]:
    """Import torchvision as it is, then with the operators that its extension failed to bring."""
    import torch

    from volspine import _compat

    plain = _attempt(partial(importlib.import_module, "torchvision"))
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        if plain:
            del sys.modules[name]
    mended = _attempt(_compat.import_torchvision)
    vision = sys.modules.get("torchvision")
    yield {
        "torch": torch.__version__,
        "torchvision": getattr(vision, "__version__", None),
        "plain_error": plain,
        "mended_error": mended,
    }


def _devices(_: list[str]) -> Iterator[dict[str, Any]]:
    """Say which compute devices torch can use."""
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    works = torch.cuda.is_available()
    yield {
        "cuda": names if works else [],
        "cuda_error": _attempt(lambda: torch.zeros(1, device="cuda") + 1) if works else None,
        "mps": bool(torch.backends.mps.is_available()),
        "cuda_build": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _codecs(syntaxes: list[str]) -> Iterator[dict[str, Any]]:
    """Say of each transfer syntax whether pydicom finds a decoder for it."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    for syntax in syntaxes:
        uid = UID(syntax)
        yield {"uid": syntax, "name": uid.name, "ready": bool(get_decoder(uid).is_available)}


def _picture(_: list[str]) -> Iterator[dict[str, Any]]:
    """Draw a red square with Open3D in a window that is not shown, and look at what came out."""
    from volspine import _compat

    _compat.preload_libusb()
    import numpy as np
    import open3d as o3d

    o3d.utility.set_verbosity_level(o3d.utility.VerbosityLevel.Error)
    window = o3d.visualization.Visualizer()
    opened = bool(window.create_window(width=64, height=64, visible=False))
    red = 0.0
    if opened:
        box = o3d.geometry.TriangleMesh.create_box()
        box.paint_uniform_color((1.0, 0.0, 0.0))
        window.add_geometry(box)
        picture = np.asarray(window.capture_screen_float_buffer(do_render=True))
        red = float((picture[..., 0] - picture[..., 2]).max())
        window.destroy_window()
    yield {"opened": opened, "drawn": red > 0.1}


def _attempt(action: Callable[[], object]) -> str | None:
    try:
        action()
    except Exception as error:  # noqa: BLE001 - whatever a foreign import raises is the finding.
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return None


PROBES: dict[str, Callable[[list[str]], Iterator[dict[str, Any]]]] = {
    "imports": _imports,
    "pair": _pair,
    "devices": _devices,
    "codecs": _codecs,
    "picture": _picture,
}
"""By name; each takes words and yields one finding at a time."""


if __name__ == "__main__":
    for finding in PROBES[sys.argv[1]](sys.argv[2:]):
        print(json.dumps(finding), flush=True)
