"""The remedies for third-party packages act where an import would fail, and nowhere else."""

import os
import subprocess
import sys

import pytest

from tests import fakes

IMPORT_AND_REPORT = """
import volspine._compat as compat
compat.import_torchvision()
import torchvision
print("imported", torchvision.__version__)
"""


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(folder)},
    )


def test_a_torchvision_without_its_extension_gets_its_operators_and_imports(tmp_path):
    fakes.install(tmp_path, "torch", fakes.TORCH)
    vision = fakes.install(tmp_path, "torchvision", fakes.NEEDS_OPERATORS)
    (vision / "half_done.py").write_text("print('part imported')")
    done = run(IMPORT_AND_REPORT, tmp_path)
    assert done.stdout.split("\n")[:-1] == [
        "part imported",
        "defined nms",
        "defined qnms",
        "part imported",  # What was half imported has been thrown away and is imported again.
        "imported 0.28.0",
    ]


def test_a_healthy_torchvision_keeps_its_own_operators(tmp_path):
    fakes.install(tmp_path, "torch", fakes.TORCH)
    fakes.install(tmp_path, "torchvision", fakes.HEALTHY)
    assert run(IMPORT_AND_REPORT, tmp_path).stdout == "imported 0.28.0\n"


def test_another_fault_of_torchvision_is_not_hidden(tmp_path):
    fakes.install(tmp_path, "torch", fakes.TORCH)
    fakes.install(tmp_path, "torchvision", "raise RuntimeError('built for another torch')")
    done = run(IMPORT_AND_REPORT, tmp_path)
    assert done.returncode == 1
    assert "built for another torch" in done.stderr
    assert "defined" not in done.stdout


def test_without_torchvision_nothing_happens(tmp_path):
    code = """
import importlib.util
importlib.util.find_spec = lambda name: None
from volspine._compat import import_torchvision
import_torchvision()
import sys
print("torchvision" in sys.modules, "torch" in sys.modules)
"""
    assert run(code, tmp_path).stdout == "False False\n"


def test_an_imported_torchvision_is_left_alone(tmp_path):
    fakes.install(tmp_path, "torch", fakes.TORCH)
    code = (
        """
import sys, types
sys.modules["torchvision"] = loaded = types.ModuleType("torchvision")
loaded.__version__ = "already here"
"""
        + IMPORT_AND_REPORT
    )
    assert run(code, tmp_path).stdout == "imported already here\n"


PRELOAD = """
import ctypes
asked = []
class CDLL:
    def __init__(self, name, mode=0):
        asked.append((name, mode == ctypes.RTLD_GLOBAL))
        if name == "libusb-1.0.so.0" and not {there}:
            raise OSError("cannot open shared object file")
ctypes.CDLL = CDLL
from volspine._compat import preload_libusb
preload_libusb()
print(asked)
"""


def test_the_libusb_of_the_system_is_taken_where_there_is_one(tmp_path):
    shown = run(PRELOAD.format(there=True), tmp_path).stdout
    assert shown == "[('libusb-1.0.so.0', True)]\n"


def test_the_libusb_of_the_wheel_is_taken_where_the_system_has_none(tmp_path):
    fakes.install(tmp_path, "libusb_package", "get_library_path = lambda: '/wheel/libusb.so'")
    shown = run(PRELOAD.format(there=False), tmp_path).stdout
    assert shown == "[('libusb-1.0.so.0', True), ('/wheel/libusb.so', True)]\n"


def test_a_wheel_without_a_library_is_no_error(tmp_path):
    fakes.install(tmp_path, "libusb_package", "get_library_path = lambda: None")
    done = run(PRELOAD.format(there=False), tmp_path)
    assert (done.returncode, done.stdout) == (0, "[('libusb-1.0.so.0', True)]\n")


@pytest.mark.slow
def test_everything_that_needs_torchvision_imports_together_here(tmp_path):
    code = """
from volspine._compat import import_torchvision
import_torchvision()
import timm, timm_3d, torchmetrics, pytorch_lightning, torchvision
print("all")
"""
    done = run(code, tmp_path)
    assert done.stdout == "all\n", done.stderr
