"""F17: prediction starts no process, so no script needs a main guard for it."""

import multiprocessing.process
import os
import subprocess
import sys
import textwrap

import pytest

from tests.inference.made_up import make_study
from volspine.inference.batch import Job, grade_batch
from volspine.inference.predictor import Predictor, predict


@pytest.fixture
def no_process(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse, raising=False)


def test_predict_starts_no_process(no_process, tiny_bundle):
    assert predict(make_study(), tiny_bundle, device="cpu").status == "graded"
    list(Predictor(tiny_bundle, device="cpu").predict_many([make_study()]))


def test_a_batch_starts_no_process_by_default(no_process, tiny_bundle, tmp_path, monkeypatch):
    from volspine.inference import batch

    monkeypatch.setattr(batch, "read_study", lambda path, **_: make_study(name=path.name))
    job = Job(out=tmp_path, model=tiny_bundle, device="cpu", formats=("csv",))
    assert grade_batch([tmp_path / "train_images" / "1"], job).exit_code == 0


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(tiny_bundle, tmp_path, repository):
    script = tmp_path / "unguarded.py"
    script.write_text(
        textwrap.dedent(f"""
        import multiprocessing
        multiprocessing.set_start_method("spawn")
        import sys
        sys.path.insert(0, {str(repository)!r})
        print("started")
        import volspine
        from tests.inference.made_up import make_study
        print(volspine.predict(make_study(), {str(tiny_bundle)!r}, device="cpu").status)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["started", "graded"]
