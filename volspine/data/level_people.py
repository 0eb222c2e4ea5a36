"""Plans of a level-mode data set: which people who never were it has, and how they are fetched."""

from dataclasses import dataclass, field
from typing import Literal

from volspine.data.crop_store import crop_specs
from volspine.data.resuming import SETS
from volspine.errors import ConfigurationError
from volspine.phantom.spec import Cohort, Noise, Size, Spec, parse_choice

__all__ = ["CropDraws", "CropPeople"]

Reader = Literal["none", "consensus", "single_reader"]


def _people(count: int) -> dict[str, int]:
    return {Cohort.RSNA_LIKE.value: count, Cohort.PROBE.value: count}


@dataclass(frozen=True, kw_only=True)
class CropPeople:
    """People who never were: how many there are, and which.

    Attributes:
        train: Number of each cohort that is trained on.
        val: Number of each that choose the best checkpoint; empty for none.
        test: Number of each that are only ever tested on.
        train_seed: People of another seed are other people.
        val_seed: Of the validation set.
        test_seed: Of the test set.
        noise: Whose labels: those of the measured geometry, of one reader, or of several.
        noise_of_tests: The same of validation and test sets; as in training if None.
        size: Of the images; `small` is for tests.
        workers: Processes that render.
    """

    train: dict[str, int] = field(default_factory=lambda: _people(400))
    val: dict[str, int] = field(default_factory=lambda: _people(40))
    test: dict[str, int] = field(default_factory=lambda: _people(50))
    train_seed: int = 2000
    val_seed: int = 2001
    test_seed: int = 2002
    noise: Reader = "none"
    noise_of_tests: Reader | None = None
    size: Literal["full", "small"] = "full"
    workers: int = 1

    def __post_init__(self) -> None:
        counts = [count for name in SETS for count in getattr(self, name).values()]
        seeds = {self.train_seed, self.val_seed, self.test_seed}
        if not self.specs("train") or min(counts) < 0 or self.workers < 1 or len(seeds) < 3:
            raise ConfigurationError(
                f"people {self.train}, {self.val} and {self.test} of the seeds {sorted(seeds)} "
                "are impossible",
                remedy="train on one person or more, and give each set a seed of its own",
                code="VS-CFG-143",
            )

    def reader(self, name: str) -> Noise:
        """Return whose labels the `train`, `val` or `test` set has."""
        return Noise(self.noise if name == "train" else self.noise_of_tests or self.noise)

    def specs(self, name: str) -> list[Spec]:
        """Return the people of the `train`, `val` or `test` set.

        Raises:
            ConfigurationError: If a cohort is not known.
        """
        counts: dict[str, int] = getattr(self, name)
        known = {Cohort(parse_choice(Cohort, c, "cohort")): n for c, n in counts.items()}
        return crop_specs(known, seed=getattr(self, f"{name}_seed"), size=Size(self.size))


@dataclass(frozen=True, kw_only=True)
class CropDraws:
    """How studies are fetched.

    Attributes:
        batch_size: Studies a step.
        steps: Steps that are called an epoch, at whose end checkpoints are written; 0 for as many
            as see every study once.
        num_workers: Processes that load; 0 loads in the main process.
        seed: Of order and looks.
        on_device: Cut and colour patches on the accelerator rather than in the workers.
        located: Whether validation and test studies lie where a localizer would find them, by
            errors that are always the same, rather than on their true places.
        recheck: Training studies, at most, that a test grades too, so that accuracy on studies
            that were trained on stands beside that on studies that were not; 0 for none.
    """

    batch_size: int = 8
    steps: int = 0
    num_workers: int = 0
    seed: int = 0
    on_device: bool = False
    located: bool = True
    recheck: int = 80

    def __post_init__(self) -> None:
        if self.batch_size < 1 or min(self.steps, self.num_workers) < 0:
            raise ConfigurationError(
                f"batch_size {self.batch_size}, steps {self.steps} and {self.num_workers} workers "
                "are impossible",
                remedy="use a batch size from 1, and steps and workers from 0",
                code="VS-CFG-144",
            )
