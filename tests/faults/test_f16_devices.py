"""F16: a device that is not there, does not work, or has too little memory."""

import logging

import pytest
import torch

from tests.inference.made_up import make_study
from volspine.errors import DeviceError
from volspine.inference.device import is_out_of_memory, resolve_device
from volspine.inference.predictor import Predictor


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_auto_falls_back_to_the_cpu_and_logs_it(no_cuda, caplog):
    with caplog.at_level(logging.INFO, "volspine"):
        assert resolve_device("auto") == torch.device("cpu")
    assert "no CUDA device; computing on the CPU" in caplog.text


def test_auto_falls_back_when_the_gpu_does_not_work_and_warns(monkeypatch, caplog):
    def fails(*args, **kwargs):
        raise RuntimeError("CUDA error: no kernel image is available")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fails)
    with caplog.at_level(logging.WARNING, "volspine"):
        assert resolve_device("auto") == torch.device("cpu")
    assert "does not work" in caplog.text


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:9"])
def test_a_named_gpu_that_is_absent_is_an_error(no_cuda, name):
    with pytest.raises(DeviceError, match="is not there; this machine has 0") as caught:
        resolve_device(name)
    assert "auto" in caught.value.remedy


def test_an_index_beyond_the_last_gpu_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="'cuda:2' is not there; this machine has 2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["toaster", "", "mps", "meta"])
def test_what_is_no_device_of_ours_is_an_error(name):
    with pytest.raises(DeviceError, match=r"no device|not supported"):
        resolve_device(name)


@pytest.fixture
def short_of_memory(tiny_bundle, monkeypatch):
    """A predictor whose grader runs out of memory above a batch size, and what it was asked."""
    predictor = Predictor(tiny_bundle, device="cpu")
    (grader,) = predictor.bundle.graders
    asked = []

    def limit(largest):
        whole = grader.forward

        def forward(volume):
            asked.append(len(volume))
            if len(volume) > largest:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
            return whole(volume)

        monkeypatch.setattr(grader, "forward", forward)
        return predictor, asked

    return limit


def test_out_of_memory_is_tried_once_with_less(short_of_memory, tiny_bundle, caplog):
    expected = Predictor(tiny_bundle, device="cpu").predict(make_study()).grades.probabilities
    predictor, asked = short_of_memory(1)
    with caplog.at_level(logging.WARNING, "volspine"):
        graded = predictor.predict(make_study())
    assert asked == [2, 1, 1]
    assert "smaller batch" in caplog.text
    assert graded.grades.probabilities == pytest.approx(expected, abs=1e-5)


def test_out_of_memory_twice_is_one_clear_error(short_of_memory):
    predictor, asked = short_of_memory(0)
    with pytest.raises(DeviceError, match="too little memory") as caught:
        predictor.predict(make_study())
    assert asked == [2, 1]
    assert "--device cpu" in caught.value.remedy


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny_bundle, monkeypatch):
    predictor = Predictor(tiny_bundle, device="cpu")

    def forward(volume):
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(predictor.bundle.graders[0], "forward", forward)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        predictor.predict(make_study())


def test_a_lack_of_memory_on_the_cpu_is_recognised():
    text = "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"
    assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_gpu_says_what_the_cpu_says(tiny_bundle):
    study = make_study()
    cpu, gpu = (
        Predictor(tiny_bundle, device=device).predict(study).grades.probabilities
        for device in ("cpu", "cuda")
    )
    assert gpu == pytest.approx(cpu, abs=1e-5)
