"""Train a tiny grader on one process or on several (DDP, gloo) and write down what was seen.

python -m tests.tasks.ddp_run MODE PROCESSES FOLDER [CHECKPOINT]

Four studies a step in all, whatever the number of processes; no batch statistics, so every number
must be the same.
"""

import json
import sys
from pathlib import Path

import torch
from torch import distributed

from tests.data import made_roots
from tests.data.conftest import GRID
from tests.tasks.made_graders import TinyGrader
from tests.tasks.made_levels import TinyLevelGrader, formula_person
from tests.tasks.made_trainer import trainer
from volspine.data import cache, crop_store
from volspine.data.datamodule import LoaderPlan, RsnaDataModule, SplitPlan
from volspine.data.level_datamodule import LevelCrops
from volspine.data.level_people import CropDraws, CropPeople
from volspine.data.lightning import ModelCheckpoint, pl
from volspine.data.transforms import LightAugment
from volspine.tasks.grading import GradingTask
from volspine.tasks.level_grading import LevelGradingTask
from volspine.tasks.schedule import Schedule

AT_ONCE, EPOCHS = 4, 2


class Diary(pl.Callback):
    """What the processes saw together at each step, and the mean of their losses."""

    def __init__(self):
        self.losses, self.seen, self.scores = [], [], []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        everyone = [None] * trainer.world_size
        if trainer.world_size > 1:
            distributed.all_gather_object(everyone, list(batch["study_id"]))
        else:
            everyone = [list(batch["study_id"])]
        loss = trainer.strategy.reduce(outputs["loss"].detach().clone(), reduce_op="mean")
        self.losses.append(float(loss))
        self.seen.append(sorted(name for names in everyone for name in names))

    def on_validation_end(self, trainer, module):
        self.scores.append(float(trainer.callback_metrics["val/score"]))


def data_of(mode, folder, size):
    if mode == "level":
        crop_store.phantom_levels = formula_person
        people = CropPeople(train={"rsna_like": 8}, val={"probe": 4}, test={"probe": 2})
        return LevelCrops(str(folder / "store"), people=people, draws=CropDraws(batch_size=size))
    cache.read_study = made_roots.read_fake_study
    return RsnaDataModule(
        str(folder / "root"),
        grid=GRID,
        split=SplitPlan(val=2, test=2),
        loader=LoaderPlan(batch_size=size),
        augment=LightAugment(),
    )


def main(mode, processes, folder, checkpoint=None):
    torch.manual_seed(0)
    kind, grader = {
        "study": (GradingTask, TinyGrader),
        "level": (LevelGradingTask, TinyLevelGrader),
    }[mode]
    module = kind(grader(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1), schedule=Schedule())
    diary = Diary()
    keep = ModelCheckpoint(
        dirpath=folder / f"{mode}_{processes}",
        filename="{step}",
        every_n_train_steps=3,
        save_top_k=-1,
    )
    spread = {"strategy": "ddp", "devices": processes} if processes > 1 else {}
    run = trainer(
        folder,
        EPOCHS,
        callbacks=[diary, keep],
        enable_checkpointing=True,
        precision="32-true",
        **spread,
    )
    data = data_of(mode, folder, AT_ONCE // processes)
    run.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=False)
    if run.global_rank == 0:
        weights = [p.detach().flatten().tolist() for p in module.grader.parameters()]
        notes = {name: getattr(diary, name) for name in ("losses", "seen", "scores")}
        notes["weights"] = [number for row in weights for number in row]
        name = f"{mode}_{processes}{'_resumed' if checkpoint else ''}.json"
        (folder / name).write_text(json.dumps(notes))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
