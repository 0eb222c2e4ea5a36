from unittest.mock import Mock

import pytest
import torch

from volspine.data.lightning import pl
from volspine.errors import VolspineError
from volspine.tasks.callbacks import AverageWeights, StopOnNonFiniteLoss, ema_step


def checked(loss):
    callback, trainer = StopOnNonFiniteLoss(), Mock(spec=pl.Trainer, global_step=12)
    module = Mock(spec=pl.LightningModule)
    callback.on_train_batch_start(trainer, module, {"study_id": ["7", "9"]}, 0)
    callback.on_before_backward(trainer, module, torch.tensor(loss))


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_names_step_and_studies(loss):
    with pytest.raises(VolspineError, match="at step 12, in studies 7, 9") as caught:
        checked(loss)
    assert "learning rate" in caught.value.remedy


def test_a_finite_loss_passes():
    checked(1e30)


def test_the_average_is_quick_at_first_and_slow_later():
    assert [ema_step(n, 0.9) for n in (0, 1, 90, 10**6)] == [0.1, 2 / 11, 0.9, 0.9]


def test_averaging_moves_the_mean_by_the_rest_of_the_decay():
    average = AverageWeights(decay=0.5)._kwargs["avg_fn"]
    moved = average(torch.tensor([0.0]), torch.tensor([1.0]), torch.tensor(1000))
    assert moved.item() == 0.5
