"""How many threads torch uses in a worker; a module of its own, as it loads torch first."""

import os
import time

import torch


def threads_and_process(_item):
    """Return torch's threads, what the environment says of them, and which process this is."""
    time.sleep(0.2)  # So that no worker does everything.
    return torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.getpid()
