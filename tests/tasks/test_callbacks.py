from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch

from tests.tasks.made_trainer import trainer
from volspine.data.lightning import pl
from volspine.errors import ConfigurationError, VolspineError
from volspine.tasks.callbacks import AverageWeights, StopEarly, StopOnNonFiniteLoss, ema_step

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]


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


class Steps(pl.LightningModule):
    """Five weights that follow a gradient of their own."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.linspace(0, 1, 5))
        self.norm = torch.nn.BatchNorm1d(5)
        self.seen = []

    def training_step(self, batch, batch_idx):
        return (self.norm(batch["x"]) * self.weights.sin()).square().mean()

    def validation_step(self, batch, batch_idx):
        self.seen.append((self.weights.detach().clone(), self.norm.running_mean.clone()))

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.3)


def loader(batches):
    return torch.utils.data.DataLoader(batches, batch_size=None)


def run_of(average, folder):
    torch.manual_seed(0)
    batches = [{"x": torch.randn(4, 5), "study_id": [str(n)] * 4} for n in range(3)]
    module = Steps()
    run = trainer(folder, epochs=3, callbacks=[average])
    run.fit(module, loader(batches), loader(batches[:1]))
    return module


def test_the_average_is_that_of_lightning_bit_for_bit(tmp_path):
    def mean(old, new, count):
        return torch.lerp(old, new, 1 - ema_step(int(count), 0.7))

    ours = run_of(AverageWeights(decay=0.7), tmp_path)
    theirs = run_of(pl.callbacks.WeightAveraging(use_buffers=False, avg_fn=mean), tmp_path)
    plain = run_of(StopOnNonFiniteLoss(), tmp_path)
    assert len(ours.seen) == 3
    for one, two in zip(ours.seen, theirs.seen, strict=True):
        assert all(map(torch.equal, one, two))
    assert torch.equal(ours.weights, theirs.weights)
    assert not torch.equal(ours.weights, plain.weights)


def checked_gradient(value, scaler=None):
    callback, module = StopOnNonFiniteLoss(), Steps()
    module.weights.grad = torch.tensor([0.0, 1.0, value, 0.0, 0.0])
    plugin = SimpleNamespace(scaler=scaler)
    run = Mock(spec=pl.Trainer, global_step=12, precision_plugin=plugin)
    callback.on_train_batch_start(run, module, {"study_id": ["7", "9"]}, 0)
    callback.on_before_optimizer_step(run, module, module.configure_optimizers())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_names_step_and_studies(value):
    with pytest.raises(VolspineError, match="not finite at step 12, in studies 7, 9") as caught:
        checked_gradient(value)
    assert caught.value.code == "VS-TRN-002"
    checked_gradient(value, scaler=object())


def test_a_large_gradient_passes():
    checked_gradient(3e38)


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"least": -0.1}])
def test_stopping_early_at_once_or_never_is_refused(wrong):
    with pytest.raises(ConfigurationError) as caught:
        StopEarly(**wrong)
    assert caught.value.code == "VS-CFG-401"


def test_stopping_early_needs_a_validation_set():
    run = Mock(spec=pl.Trainer, enable_validation=False)
    with pytest.raises(ConfigurationError, match="without a validation set"):
        StopEarly().on_fit_start(run, Mock(spec=pl.LightningModule))


def test_a_run_stops_when_its_score_has_not_become_better_for_a_while(tmp_path):
    class Falling(Steps):
        def validation_step(self, batch, batch_idx):
            scores = [0.9, 0.8, 0.795, 0.79, 0.1]
            self.log("val/score", torch.tensor(scores[self.current_epoch]), batch_size=1)

    batches = [{"x": torch.randn(4, 5), "study_id": ["7"] * 4}]
    run = trainer(tmp_path, epochs=5, callbacks=[StopEarly(patience=2, least=0.01)])
    run.fit(Falling(), loader(batches), loader(batches))
    assert run.current_epoch == 4
