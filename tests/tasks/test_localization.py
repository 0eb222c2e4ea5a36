"""Training a localizer: it learns, it goes on after a break as if there had been none."""

import json
import subprocess
import sys

import pytest
import torch

from tests.data.made_maps import made_map
from tests.tasks.made_trainer import trainer
from volspine.data import map_looks
from volspine.data.lightning import pl
from volspine.data.phantom_maps import Draws, People, PhantomMaps
from volspine.errors import ConfigurationError, WeightsError
from volspine.landmarks import POINT_OF_TARGET, POINTS
from volspine.models.localizer import Localizer, Located, build_localizer
from volspine.models.localizer_loss import LocalizerLoss
from volspine.phantom import tissue_map_store
from volspine.phantom.appearance import Sample
from volspine.tasks.callbacks import AverageWeights
from volspine.tasks.localization import LocalizationTask
from volspine.tasks.localization_decode import named_points, true_points
from volspine.tasks.localization_errors import PointErrors

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
]

SHAPE = (4, 16, 16)


def small_sample(made, generator):
    """A bright blob at the first point of the chain, on a grid as small as the localizer."""
    del made
    points = torch.rand(27, 3, generator=generator) * torch.tensor([2.0, 10, 10]) + 1
    image = torch.rand(1, *SHAPE, generator=generator)
    i, j, k = points[0].round().int().tolist()
    image[0, i, j - 1 : j + 2, k - 1 : k + 2] = 5.0
    visible = torch.rand(27, generator=generator) > 0.2
    return Sample(image, torch.ones(image.shape, dtype=torch.bool), points, visible)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(tissue_map_store, "tissue_map", made_map)
    monkeypatch.setattr(map_looks, "sample_map", small_sample)
    people = People(train=3, val=2, test=2)
    return lambda **draws: PhantomMaps(
        str(tmp_path / "maps"), people=people, draws=Draws(**{"steps": 4, **draws})
    )


def task(**options) -> LocalizationTask:
    torch.manual_seed(0)
    localizer = options.pop("localizer", None) or Localizer(channels=(4, 8), shape=SHAPE)
    return LocalizationTask(localizer, optimizer=lambda p: torch.optim.AdamW(p, lr=0.02), **options)


def test_training_lowers_the_loss(data, tmp_path):
    module, run = task(), trainer(tmp_path, epochs=1)
    run.fit(module, datamodule=data())
    first = float(run.callback_metrics["train/loss"])
    again = trainer(tmp_path, epochs=6)
    again.fit(module, datamodule=data())
    assert float(again.callback_metrics["train/loss"]) < first - 0.3


class StopAfter(pl.Callback):
    """Stop as a time limit does: in the middle of an epoch."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= self.steps


@pytest.mark.parametrize(
    "stop",
    [pytest.param(4, marks=pytest.mark.slow), 6],
    ids=["between epochs", "in the middle of one"],
)
def test_a_resumed_run_ends_as_an_unbroken_one(data, tmp_path, stop):
    whole = task()
    trainer(tmp_path / "whole", epochs=3, max_steps=12).fit(whole, datamodule=data())
    first = trainer(tmp_path / "broken", epochs=3, max_steps=12, callbacks=[StopAfter(stop)])
    first.fit(task(), datamodule=data())
    assert first.global_step == stop
    first.save_checkpoint(tmp_path / "c.ckpt")
    again, rest = task(), trainer(tmp_path / "broken", epochs=9, max_steps=12)
    rest.fit(again, datamodule=data(), ckpt_path=tmp_path / "c.ckpt", weights_only=True)
    assert rest.global_step == 12
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_a_checkpoint_is_plain_data_and_carries_its_recipe(data, tmp_path):
    module, run = task(), trainer(tmp_path, callbacks=[AverageWeights(0.9)])
    run.fit(module, datamodule=data())
    run.save_checkpoint(tmp_path / "c.ckpt")
    kept = torch.load(tmp_path / "c.ckpt", weights_only=True)["volspine"]
    assert build_localizer(kept["model"]).recipe == module.localizer.recipe
    assert kept["data"]["people"] == {"train": 3, "val": 2, "test": 2}
    assert 0 < kept["validation"]["val/error"] <= 20
    assert json.loads(json.dumps(kept)) == kept


def test_a_checkpoint_of_another_localizer_is_refused(data, tmp_path):
    run = trainer(tmp_path, epochs=1)
    run.fit(task(), datamodule=data())
    run.save_checkpoint(tmp_path / "c.ckpt")
    other = task(localizer=Localizer(channels=(4, 8), shape=SHAPE, context=2))
    with pytest.raises(ConfigurationError, match="another localizer: context differ"):
        trainer(tmp_path, epochs=2).fit(
            other, datamodule=data(), ckpt_path=tmp_path / "c.ckpt", weights_only=True
        )


def test_a_run_starts_from_the_weights_of_another(data, tmp_path):
    run, first = trainer(tmp_path, epochs=1), task()
    run.fit(first, datamodule=data())
    run.save_checkpoint(tmp_path / "c.ckpt")
    second = task(start_from=str(tmp_path / "c.ckpt"))
    trainer(tmp_path, epochs=0).fit(second, datamodule=data())
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    run = trainer(tmp_path, epochs=2)
    run.fit(second, datamodule=data())
    run.save_checkpoint(tmp_path / "d.ckpt")
    resumed, again = task(start_from=str(tmp_path / "c.ckpt")), trainer(tmp_path, epochs=2)
    again.fit(resumed, datamodule=data(), ckpt_path=tmp_path / "d.ckpt", weights_only=True)
    for one, two in zip(second.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["nowhere.ckpt", "text.ckpt", "other.ckpt"])
def test_a_start_that_cannot_be_is_refused(data, tmp_path, name):
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"volspine": {"model": {}}, "state_dict": {}}, tmp_path / "other.ckpt")
    module = task(start_from=str(tmp_path / name))
    with pytest.raises(WeightsError, match="cannot start from this checkpoint"):
        trainer(tmp_path, epochs=1).fit(module, datamodule=data())


def test_testing_writes_the_errors_of_every_point(data, tmp_path):
    module, run = task(), trainer(tmp_path)
    run.test(module, datamodule=data(), verbose=False)
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert metrics["series"] == 2
    assert len(metrics["points"]) == 27
    assert metrics["data"]["seeds"]["test"] == 991
    assert "2 series, one at a time" in str(module.evaluation)
    assert "at a wrong level" in str(module.evaluation)
    assert metrics["named"]["num_true"] > 0


def test_maps_of_a_chain_are_named_at_its_true_places():
    localizer = Localizer(channels=(4, 4), shape=(24, 96, 128))
    points = torch.zeros(1, 27, 3)
    for n in range(27):
        level = n if n < 7 else 1 + (n - 7) % 5
        aside = 0.0 if n < 7 else 17.0 if n < 17 else 8.0
        left = n >= 7 and (n - 7) % 10 < 5
        points[0, n] = torch.tensor(
            [11.5 + (-aside if left else aside) / 4, 40.5, 116 - 17.0 * level]
        )
    cells = (points - torch.tensor([0.0, 0.5, 0.5])) / torch.tensor([1.0, 2.0, 2.0])
    axes = [torch.arange(n) for n in (24, 48, 64)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    away = 4.0 * (cells[0, :, None, None, None] - grid)
    heat = -0.5 * (away**2).sum(dim=-1) / 16.0
    disc = torch.logit(heat[:7].amax(dim=0).exp().clamp(1e-4, 1 - 1e-4))
    sure = heat + 20.0  # That much above nothing, so that each point is said to be in view.
    located = Located(torch.cat([sure, disc[None]])[None], away.movedim(-1, 1)[None])
    mask = torch.ones(1, 1, 24, 96, 128, dtype=torch.bool)
    found = named_points(located, mask, localizer)
    true = true_points(points, torch.ones(1, 27, dtype=torch.bool), localizer)
    torch.testing.assert_close(found.places_mm, true, rtol=0, atol=0.5)
    left = POINTS.index("left_neural_foraminal_narrowing_l4_l5")
    assert true[0, POINT_OF_TARGET.index(left), 0] > 0  # LPS: x grows to the patient's left.
    hidden = true_points(points, torch.zeros(1, 27, dtype=torch.bool), localizer)
    assert hidden.isnan().all()
    nothing = named_points(located, torch.zeros_like(mask), localizer)
    assert nothing.places_mm.isnan().all()


def test_validation_measures_what_is_read_out_in_millimetres(data):
    module, maps = task(average_mirrors=False).eval(), data()
    maps.setup("validate")
    (batch,) = maps.val_dataloader()
    with torch.no_grad():
        found = module(batch["image"], batch["mask"]).voxels
        module.validation_step(batch, 0)
    steps = torch.tensor([4.0, 2.0, 2.0])
    expected = ((found - batch["points_index"]) * steps).square().sum(dim=-1).sqrt()
    torch.testing.assert_close(module._errors.away[0], expected)


def test_errors_are_counted_where_points_are_in_view():
    away, visible = torch.full((2, 27), 3.0), torch.ones(2, 27, dtype=torch.bool)
    away[0, 1:6], away[1, 1] = 1.0, 50.0
    visible[1, 2:6] = False
    presence = torch.full((2, 27), 0.9)
    errors = PointErrors()
    errors.add(away, presence, visible)
    found = errors.summary()
    assert found["near"] == pytest.approx(5 / 6)
    assert found["canal_median"] == 1.0
    assert found["foramen_median"] == found["recess_95"] == 3.0
    assert found["presence"] == pytest.approx(50 / 54)
    assert found["error"] == pytest.approx((5 * 1 + 20 + 44 * 3) / 50)
    assert errors.to_dict()["points"]["canal_l1_l2"]["series"] == 2


def test_an_invisible_group_has_no_number():
    errors = PointErrors()
    errors.add(torch.ones(1, 27), torch.ones(1, 27), torch.zeros(1, 27, dtype=torch.bool))
    assert errors.summary()["canal_median"] != errors.summary()["canal_median"]


@pytest.mark.slow
def test_one_person_seen_once_can_be_learned_by_heart(data, tmp_path):
    maps = data(steps=1, batch_size=1)
    maps.setup()
    batch = next(iter(maps.train_dataloader()))
    batch["visible"][:] = True
    module = task(localizer=Localizer(channels=(16, 24), shape=SHAPE))
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.01)
    loss = LocalizerLoss(offset=1.0)
    for _ in range(250):
        optimizer.zero_grad()
        told = module.localizer.maps(batch["image"], batch["mask"])
        loss(told, batch["points_index"], batch["visible"])["loss"].backward()
        optimizer.step()
    module.average_mirrors = False
    module.eval()
    with torch.no_grad():
        found = module(batch["image"], batch["mask"]).voxels
    away = ((found - batch["points_index"]) * torch.tensor([4.0, 2, 2])).norm(dim=-1)
    assert away.median() < 2.0


@pytest.mark.slow
def test_training_needs_neither_dicom_nor_torchio():
    absent = ("pydicom", "SimpleITK", "torchio", "timm_3d", "spacecutter", "nibabel")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
    code += "import volspine.tasks.localization, volspine.data.phantom_maps"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
