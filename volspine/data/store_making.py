"""Making a store: every study under a root is read, decoded once and kept as native stacks.

A study is known by a digest of its files, of what the tables say of it, of the version of reading
and of the parameters. What is there already, with every byte in place, is kept; what is not, or is
of another digest, is made anew. So the same command goes on where it was interrupted, mends what is
damaged, and does nothing where nothing changed. Several may run at once: each study appears by one
rename, and two that make the same one write the same bytes.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from volspine.anatomy import Protocol
from volspine.data.store import INDEX, Entry
from volspine.data.store_folder import bench, put, put_bytes, sweep, writing
from volspine.data.store_outcome import Done, Prepared
from volspine.data.store_summary import TABLES, summary_of_tables
from volspine.dicom.descriptions import IMAGE_FOLDERS, is_challenge_study
from volspine.dicom.find import NO_STUDY, find_studies
from volspine.dicom.prepared import is_prepared, read_description
from volspine.dicom.preparing import content_key, is_current, write_prepared
from volspine.dicom.reading import read_study
from volspine.dicom.safe_names import safe_path_in
from volspine.errors import ConfigurationError, InputError, OutputError, VolspineError
from volspine.jobs import run_many

__all__ = ["prepare"]

log = logging.getLogger("volspine.data")


def prepare(
    root: str | Path,
    out: str | Path,
    *,
    workers: int = 1,
    engine: str = "local",
    protocol: Protocol | None = None,
    on_start: Callable[[int], Callable[[], Any]] | None = None,
) -> Prepared:
    """Make the store of a root, or finish, mend or update one.

    Args:
        root: A challenge root, any folder of studies, or one study.
        out: Folder of the store.
        workers: Number of processes.
        engine: Where they are: `local`, or `ray` for a cluster whose disks all show the same root
            and store.
        protocol: What every series is said to be; recognized if omitted.
        on_start: Told how many studies there are; returns what is called after each.

    Raises:
        TableError: If a table of the root does not parse.
        InputError: If there is no such root.
        ConfigurationError: If the root is a store, or holds the store.
        OutputError: If the store cannot be written at all.
        MissingExtraError: If Ray is asked for and not installed.
    """
    base, store = Path(root), Path(out)
    _refuse(base, store)
    studies = _studies(base)
    found = _Found(base, store, studies)
    summary = found.tables()
    with writing(store):
        store.mkdir(parents=True, exist_ok=True)
        is_shared = sweep(store)
    found.copy_tables()
    advance = on_start(len(studies)) if on_start is not None else lambda: None
    done = Done()
    preparer = _Preparer(base, store, protocol)
    # Who comes second begins elsewhere, so that not everything is made twice.
    order = _from_anywhere(studies) if is_shared else studies
    for outcome in run_many(preparer, order, workers=workers, engine=engine):
        if isinstance(outcome.error, OutputError):
            return done.stopped(store, outcome.error)
        done.add(found.place(outcome.item), outcome.result, outcome.error)
        advance()
    return done.finished(store, summary)


def _refuse(root: Path, store: Path) -> None:
    if (root / INDEX).is_file() or is_prepared(root):
        raise ConfigurationError(
            "this is a store, or a study of one, which is prepared already",
            path=root,
            remedy="give the folder of DICOM files",
            code="VS-CFG-321",
        )
    # A store inside its root would be found among its studies.
    if root.is_dir() and store.resolve().is_relative_to(root.resolve()):
        raise ConfigurationError(
            "the store would lie inside the root that it is made of",
            path=store,
            remedy="choose a folder outside it",
            code="VS-CFG-322",
        )


def _studies(root: Path) -> list[Path]:
    try:
        return find_studies(root)
    except InputError as error:
        # Tables without images are looked at all the same.
        if error.code == NO_STUDY and any((root / name).is_file() for name in TABLES):
            return []
        raise


def _from_anywhere(studies: list[Path]) -> list[Path]:
    start = os.getpid() % max(len(studies), 1)
    return studies[start:] + studies[:start]


@dataclass(frozen=True)
class _Found:
    """A root: its tables, and where its studies are."""

    root: Path
    store: Path
    studies: Sequence[Path]

    @property
    def base(self) -> Path:
        """The folder of the tables, which lies above the folder of images."""
        return self.root.parent if self.root.name in IMAGE_FOLDERS else self.root

    def place(self, study: Path) -> str:
        """Return where a study is below the root."""
        return _below(self.root, study)

    def tables(self) -> dict[str, Any]:
        """Return the summary of the tables."""
        folders = [s.name for s in self.studies if s.parent.name == IMAGE_FOLDERS[0]]
        return summary_of_tables(self.base, folders) if self.base.is_dir() else {}

    def copy_tables(self) -> None:
        """Copy every table byte for byte."""
        for name in TABLES:
            if (self.base / name).is_file():
                content = (self.base / name).read_bytes()
                put_bytes(content, self.store / name, store=self.store)


def _below(root: Path, study: Path) -> str:
    return study.resolve().name if study == root else study.relative_to(root).as_posix()


@dataclass(frozen=True)
class _Preparer:
    """Prepares one study; what is sent to a process."""

    root: Path
    store: Path
    protocol: Protocol | None

    def __call__(self, path: Path) -> tuple[Entry, bool]:
        """Return what the index says of a study, and whether it had to be made.

        Raises:
            OutputError: If the store cannot be written, which ends all of it.
            VolspineError: If the study cannot be prepared.
        """
        try:
            return self._prepared(path)
        except VolspineError:
            raise
        except Exception as error:
            # One broken study must not cost the others; its text may quote a header.
            log.debug("unexpected error", exc_info=True)
            raise VolspineError(
                f"internal error ({type(error).__name__})",
                remedy="prepare it alone with --debug and report what it says",
                code="VS-998",
            ) from error

    def _prepared(self, path: Path) -> tuple[Entry, bool]:
        study = read_study(path, protocol=self.protocol)
        key = content_key(path, protocol=self.protocol)
        if is_challenge_study(path):
            place = f"{path.resolve().parent.name}/{study.name}"
        else:
            place = f"studies/{study.name}-{key[:8]}"
        folder = self.store / place
        is_made = not is_current(folder, key)
        if is_made:
            with writing(folder), bench(self.store) as own:
                made = own / "study"
                made.mkdir()
                write_prepared(study, made, key=key)
                put(made, folder)
        return self._entry(place, path), is_made

    def _entry(self, place: str, path: Path) -> Entry:
        """Return what the index says of a study, from what is stored of it alone."""
        told = read_description(self.store / place)
        series = told["series"]
        return Entry(
            place=place,
            key=told["key"],
            name=told["name"],
            source=safe_path_in(path, _below(self.root, path)),
            num_bytes=sum(stack["bytes"] for each in series for stack in each["stacks"]),
            series=dict(sorted(Counter(each["protocol"] for each in series).items())),
            findings={
                "repairs": len(told["repairs"]) + sum(len(each["repairs"]) for each in series),
                "faults": len(told["faults"]),
            },
        )
