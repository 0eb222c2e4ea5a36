"""What an import loads: counted in modules, since seconds differ from machine to machine."""

import json
import subprocess
import sys

import pytest

from volspine.cli import COMMANDS

HEAVY = (
    "SimpleITK",
    "matplotlib",
    "numpy",
    "open3d",
    "pandas",
    "pydicom",
    "pytorch_lightning",
    "scipy",
    "timm",
    "torch",
    "torchio",
)
TRAINER = {"fit", "validate", "test"}  # LightningCLI's own help needs Lightning.


def heavy_modules_after(code: str) -> list[str]:
    """Run code in a fresh interpreter and return which heavy packages it has loaded."""
    loaded = modules_after(code)
    return [name for name in HEAVY if name in loaded]


def modules_after(code: str) -> list[str]:
    """Run code in a fresh interpreter and return the names of all modules that are loaded."""
    report = "import json, sys; print(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_the_count_of_heavy_modules_sees_a_heavy_module():
    assert heavy_modules_after("import numpy") == ["numpy"]


def test_import_volspine_loads_nothing_heavy():
    assert heavy_modules_after("import volspine") == []


def test_import_volspine_loads_under_three_times_the_modules_of_a_bare_interpreter():
    assert len(modules_after("import volspine")) < 3 * len(modules_after("import json"))


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - TRAINER))
def test_the_help_of_a_command_loads_nothing_heavy(name):
    code = f"from volspine.cli import main; assert main(['{name}', '--help']) == 0"
    assert heavy_modules_after(code) == []


def test_reading_dicom_loads_no_deep_learning():
    loaded = heavy_modules_after("import volspine; volspine.read_study; volspine.Grid")
    assert not {"torch", "torchio", "pytorch_lightning", "timm"} & set(loaded)


@pytest.mark.slow
def test_prediction_loads_no_trainer():
    loaded = heavy_modules_after("import volspine; volspine.Predictor")
    assert "pytorch_lightning" not in loaded


@pytest.mark.slow
def test_training_runs_where_torchio_and_simpleitk_are_not_installed():
    absent = (
        "import sys, torch; sys.modules['torchio'] = sys.modules['SimpleITK'] = None\n"
        "from volspine.cli.fit import run_lightning\n"
        "from volspine.data.transforms import LightAugment\n"
        "from volspine.models.grader import StudyGrader\n"
        "out = StudyGrader(shape=(8, 16, 16))(torch.zeros(1, 6, 8, 16, 16))\n"
        "assert out.log_probs.shape == (1, 25, 3)\n"
        "try:\n"
        "    import torchio\n"
        "    raise SystemExit('torchio was importable after all')\n"
        "except ImportError:\n"
        "    pass"
    )
    assert "torch" in heavy_modules_after(absent)
