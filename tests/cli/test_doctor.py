"""`volspine doctor` against faulty installations: it names the fault and says the remedy."""

import hashlib
import json
import os
import subprocess
import sys

import pytest

import volspine
from tests import fakes
from volspine.cli import checks, machine, main, packages
from volspine.cli.checks import Check, State


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """Return a folder that comes first on the path, here and in every probe."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def one(found):
    (check,) = found
    return check


class TestRequirements:
    def test_a_package_that_is_there_and_new_enough_is_fine(self, faulty):
        fakes.register(faulty, "volspine", "0.1.0", "something>=2")
        fakes.register(faulty, "something", "2.5")
        assert next(packages.requirements()) == Check("something", State.OK, "2.5")

    def test_a_package_that_is_missing_is_a_fault_with_the_command_that_adds_it(self, faulty):
        fakes.register(faulty, "volspine", "0.1.0", "something>=2")
        assert next(packages.requirements()) == Check(
            "something", State.FAULT, "is not installed", "pip install 'something>=2'"
        )

    def test_huggingface_hub_2_is_a_fault(self, faulty):
        fakes.register(faulty, "huggingface_hub", "2.0.1")
        found = {check.name: check for check in packages.requirements()}["huggingface_hub"]
        assert found.state is State.FAULT
        assert found.found.startswith("2.0.1, but ")
        assert "<2" in found.remedy

    def test_an_extra_that_is_missing_is_a_note_that_says_what_it_adds(self, faulty):
        fakes.register(faulty, "volspine", "0.1.0", 'something>=2; extra == "sr"')
        found = one(check for check in packages.requirements() if "sr" in check.name)
        assert found.state is State.NOTE
        assert found.found.startswith("not installed (something); it adds DICOM structured reports")
        assert found.remedy == "pip install 'volspine[sr]'"

    def test_an_extra_that_is_too_old_is_a_fault(self, faulty):
        fakes.register(faulty, "volspine", "0.1.0", 'something>=2; extra == "view"')
        fakes.register(faulty, "something", "1.9")
        found = one(check for check in packages.requirements() if check.name == "something")
        assert found == Check(
            "something", State.FAULT, "1.9, but >=2 is needed", "pip install 'something>=2'"
        )

    def test_every_declared_dependency_is_also_imported(self):
        declared = {requirement.name.lower() for requirement in _declared()}
        known = {name.replace("-", "_").lower() for name in packages.MODULES}
        assert {name.replace("-", "_") for name in declared} == known


def _declared():
    import importlib.metadata

    from packaging.requirements import Requirement

    every = map(Requirement, importlib.metadata.requires("volspine"))
    for requirement in every:
        extras = ["", *packages.EXTRAS]
        if any(not requirement.marker or requirement.marker.evaluate({"extra": e}) for e in extras):
            yield requirement


class TestImports:
    def test_a_package_that_ends_the_process_is_named_and_the_rest_is_still_tried(
        self, faulty, monkeypatch
    ):
        fakes.install(faulty, "first", "", version="1")
        fakes.install(faulty, "open3d", "import os; os.abort()", version="0.20.0")
        fakes.install(faulty, "last", "raise ImportError('libX is missing')", version="1")
        names = ("first", "open3d", "last")
        monkeypatch.setattr(packages, "MODULES", {name: name for name in names})
        fatal, failed, total = packages.imports()
        assert (fatal.name, fatal.state) == ("import open3d", State.FAULT)
        assert "ends the process (signal 6" in fatal.found
        assert "libusb" in fatal.remedy
        assert (failed.name, failed.state) == ("import last", State.FAULT)
        assert failed.found == "ImportError: libX is missing"
        assert total == Check("imports", State.OK, "1 of 3 packages import")

    def test_what_is_not_installed_is_not_imported(self, monkeypatch):
        monkeypatch.setattr(packages, "MODULES", {"not-installed-anywhere": "nothing"})
        assert one(packages.imports()).found == "0 of 0 packages import"


class TestTorchvision:
    @pytest.fixture
    def pair(self, faulty):
        fakes.install(faulty, "torch", fakes.TORCH, version="2.13.0")

        def install(source):
            package = fakes.install(faulty, "torchvision", source, version="0.28.0")
            (package / "half_done.py").touch()
            return one(packages.torchvision())

        return install

    def test_a_pair_that_fits_is_fine(self, pair):
        found = pair(fakes.HEALTHY)
        assert found.found == "torch 2.13.0+fake with torchvision 0.28.0"
        assert found.state is State.OK

    def test_an_extension_that_does_not_load_is_worked_around_and_said(self, pair):
        found = pair(fakes.NEEDS_OPERATORS)
        assert found.state is State.OK
        assert "volspine works around it" in found.found

    def test_a_pair_that_cannot_be_mended_is_a_fault_with_the_pins(self, pair):
        found = pair("raise RuntimeError('undefined symbol')")
        assert found.state is State.FAULT
        assert "RuntimeError: undefined symbol" in found.found
        assert "torch==2.13.*" in found.remedy

    def test_an_import_that_ends_the_process_is_a_fault(self, pair):
        found = pair("import os; os.abort()")
        assert (found.state, "signal 6" in found.found) == (State.FAULT, True)


class TestClashes:
    def test_spacecutter_lightning_is_a_fault(self, faulty):
        fakes.register(faulty, "spacecutter-lightning", "0.1")
        found = one(packages.clashes())
        assert found.state is State.FAULT
        assert found.remedy.startswith("pip uninstall spacecutter-lightning;")

    def test_a_folder_named_dl_where_gdcm_is_imported_is_a_fault(self, tmp_path, monkeypatch):
        monkeypatch.setattr(packages, "version_of", {"python-gdcm": "3.2"}.get)
        monkeypatch.chdir(tmp_path)
        assert list(packages.clashes()) == []
        (tmp_path / "dl").mkdir()
        assert one(packages.clashes()).remedy == "run from another folder"


class TestCodecs:
    def test_a_missing_core_decoder_is_a_fault_and_an_extra_one_a_note(self, faulty):
        source = (
            "get_decoder = lambda uid: type('', (), {'is_available': uid not in"
            " {'1.2.840.10008.1.2.5', '1.2.840.10008.1.2.4.70'}})"
        )
        package = fakes.install(faulty, "pydicom", "", version="3.0.2")
        fakes.install(package, "pixels", "")
        fakes.install(package / "pixels", "decoders", "")
        (package / "pixels" / "decoders" / "base.py").write_text(source)
        (package / "uid.py").write_text("class UID(str): name = property(lambda s: 'N' + s[-2:])")
        assert [(c.state, c.found) for c in machine.codecs()] == [
            (State.FAULT, "no decoder for N.5"),
            (State.NOTE, "no decoder for N70"),
        ]

    def test_here_every_syntax_of_the_tested_set_is_read(self):
        pytest.importorskip("gdcm")
        assert one(machine.codecs()).state is State.OK


class TestDevices:
    def seen(self, monkeypatch, **changes):
        seen = {
            "cuda": [],
            "cuda_error": None,
            "mps": False,
            "cuda_build": None,
            "threads": 2,
            "cores": 4,
        }
        monkeypatch.setattr(machine, "probe", lambda name: ([{**seen, **changes}], None))
        monkeypatch.setattr(machine.shutil, "which", lambda name: None)
        return machine.devices()

    def test_a_cpu_is_enough(self, monkeypatch):
        found = one(self.seen(monkeypatch))
        assert found == Check("device", State.OK, "CPU, 2 threads on 4 cores")

    def test_a_gpu_is_named(self, monkeypatch):
        assert one(self.seen(monkeypatch, cuda=["H1"])).found.startswith("H1; CPU")

    def test_a_gpu_that_does_not_compute_is_a_fault(self, monkeypatch):
        first, _ = self.seen(monkeypatch, cuda=["H1"], cuda_error="no kernel image")
        assert (first.state, "no kernel image" in first.found) == (State.FAULT, True)

    def test_a_driver_that_torch_cannot_use_is_a_note(self, monkeypatch):
        looks = self.seen(monkeypatch)
        monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
        found = one(looks)
        assert found.state is State.NOTE
        assert found.found.endswith("torch is a build without CUDA")


class TestView:
    def test_an_open3d_that_dies_when_it_draws_is_a_note_with_a_way_out(self, faulty):
        fakes.install(faulty, "open3d", "import os; os.abort()", version="0.20.0")
        found = one(machine.view())
        assert (found.state, "signal 6" in found.found) == (State.NOTE, True)
        assert "matplotlib" in found.remedy


class TestDemoBundle:
    @pytest.fixture
    def bundle(self, tmp_path, monkeypatch):
        folder = tmp_path / "inference" / "demo_bundle"
        folder.mkdir(parents=True)
        monkeypatch.setattr(volspine, "__file__", str(tmp_path / "__init__.py"))
        (folder / "weights.safetensors").write_bytes(b"numbers")
        digest = hashlib.sha256(b"numbers").hexdigest()
        files = {"weights.safetensors": {"sha256": digest, "bytes": 7}}
        (folder / "card.json").write_text(json.dumps({"files": files}))
        return folder

    def test_an_intact_one_is_fine(self, bundle):
        assert one(machine.demo_bundle()).state is State.OK

    def test_a_changed_byte_is_a_fault(self, bundle):
        (bundle / "weights.safetensors").write_bytes(b"numbars")
        found = one(machine.demo_bundle())
        assert (found.state, found.found) == (State.FAULT, "damaged: weights.safetensors")

    @pytest.mark.parametrize("name", ["weights.safetensors", "card.json"])
    def test_a_missing_file_is_a_fault(self, name, bundle):
        (bundle / name).unlink()
        assert one(machine.demo_bundle()).state is State.FAULT

    def test_a_card_that_is_not_one_is_a_fault(self, bundle):
        (bundle / "card.json").write_text("[]")
        assert one(machine.demo_bundle()).state is State.FAULT


class TestCommand:
    @pytest.fixture
    def look(self, monkeypatch):
        """Replace every check by one record each of the given states."""

        def install(*states):
            monkeypatch.setattr(machine, "CHECKS", ())
            found = [Check(f"thing {i}", s, "seen", "mend it") for i, s in enumerate(states)]
            monkeypatch.setattr(packages, "CHECKS", (lambda: iter(found),))

        return install

    def test_a_fault_exits_with_1_and_shows_the_remedy(self, look, capsys):
        look(State.OK, State.FAULT)
        assert main(["doctor"]) == 1
        shown = capsys.readouterr().out
        assert "fault  thing 1  seen" in shown
        assert "-> mend it" in shown
        assert shown.endswith("One fault to mend; the arrow below each says how.\n")

    def test_notes_alone_exit_with_0(self, look, capsys):
        look(State.OK, State.NOTE)
        assert main(["doctor"]) == 0
        assert capsys.readouterr().out.endswith("Nothing is broken.\n")

    def test_json_holds_every_check(self, look, capsys):
        look(State.OK, State.FAULT)
        assert main(["doctor", "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        assert report["volspine"] == volspine.__version__
        assert [check["state"] for check in report["checks"]] == ["ok", "fault"]

    @pytest.mark.slow
    def test_the_tested_installation_has_no_fault(self):
        done = subprocess.run(
            [sys.executable, "-m", "volspine", "doctor", "--json"],
            capture_output=True,
            text=True,
            check=False,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
        faults = [c for c in json.loads(done.stdout)["checks"] if c["state"] == "fault"]
        assert (faults, done.returncode) == ([], 0)


def test_a_probe_that_does_not_answer_is_given_up(monkeypatch):
    def never(*_, **options):
        raise subprocess.TimeoutExpired("probe", options["timeout"])

    monkeypatch.setattr(checks.subprocess, "run", never)
    assert checks.probe("pair") == ([], "no answer in five minutes")
