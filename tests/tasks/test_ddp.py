"""Two processes that train together (DDP, gloo) do what one does with batches of twice the size."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.data import made_roots

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    grades = np.random.default_rng(0).integers(0, 3, (12, 25))
    made_roots.write_root(folder / "root", grades)
    return folder


def train(mode, processes, folder, repository, *more):
    """Return what a run wrote down."""
    # A group of processes of a machine alone: no cluster's variables, and the loopback device.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.ddp_run", mode, str(processes), folder, *more],
        cwd=repository,
        env={**clean, "PYTHONPATH": str(repository), "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    name = f"{mode}_{processes}{'_resumed' if more else ''}.json"
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("mode", ["study", "level"])
def test_two_processes_have_the_loss_and_the_weights_of_one(mode, folder, repository):
    one, two = (train(mode, processes, folder, repository) for processes in (1, 2))
    assert len(one["losses"]) == 4
    assert two["seen"] == one["seen"]
    for epoch in (0, 2):
        assert len({name for step in two["seen"][epoch : epoch + 2] for name in step}) == 8
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(two["scores"], one["scores"], rtol=1e-5)


@pytest.mark.parametrize("mode", ["study", "level"])
def test_two_processes_go_on_in_the_middle_of_an_epoch(mode, folder, repository):
    whole = train(mode, 2, folder, repository)
    rest = train(mode, 2, folder, repository, str(folder / f"{mode}_2/step=3.ckpt"))
    assert rest["seen"] == whole["seen"][3:]
    assert rest["weights"] == whole["weights"]
