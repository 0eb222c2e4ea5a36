"""What third-party packages need in order to import together.

Two facts of 2026. The package index offers only CUDA builds of torchvision, whose extension cannot
load beside a CPU build of torch; `import torchvision` then fails because the operators that its
meta registrations describe do not exist, and timm, timm-3d and Lightning (through torchmetrics)
fail with it. And Open3D's wheel links against libusb, which a bare machine does not have.

Both remedies act only where the import would otherwise fail.
"""

import ctypes
import importlib
import importlib.util
import sys
from typing import Any

__all__ = ["import_torchvision", "preload_libusb"]

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept: list[Any] = []  # A torch Library unregisters its operators when it is collected.


def import_torchvision() -> None:
    """Import torchvision, or make it importable where its extension does not load.

    Call before anything that imports timm, timm-3d or Lightning. Does nothing where torchvision is
    healthy or not installed.
    """
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        _define_missing_operators()
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        importlib.import_module("torchvision")


def _define_missing_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]
    _kept.append(library)


def preload_libusb() -> None:
    """Load the libusb of the `libusb-package` wheel, where the system has none."""
    try:
        ctypes.CDLL("libusb-1.0.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        if importlib.util.find_spec("libusb_package") is None:
            return
        path = importlib.import_module("libusb_package").get_library_path()
        if path:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
