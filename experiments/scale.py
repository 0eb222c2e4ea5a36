"""What a study costs: measured here, and what that makes of a cluster, on paper.

    python experiments/scale.py --rows predict,scan --studies 6 [--model BUNDLE] [--out FILE.json]
    python experiments/scale.py --rows prepare,crops,train --studies 24 [--recipe RECIPE]
    python experiments/scale.py --table experiments/scale.json

Rows are processor seconds and bytes of one study of full size, read from synthetic DICOM in the
challenge's layout, one thread, after one study that warms up; each row in a process of its own,
whose largest memory is told. A processor second depends little on what else the machine does; the
clock is given beside it. From a row follows

    studies an hour = cores * 3600 / seconds            limited by the processor
    studies an hour = 3600 * peak * share / operations  limited by the network on a GPU

of which `operations` are counted by torch and `peak` and `share` are assumptions, named as such.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from volspine.cli import main as volspine
from volspine.data.crop_root import crop_root
from volspine.data.rsna import read_root
from volspine.dicom.reading import read_study
from volspine.dicom.scan import find_studies
from volspine.inference.batch import write_result
from volspine.inference.predictor import Predictor
from volspine.phantom.cohort import generate
from volspine.tasks.machine import commit, hardware

Row = dict[str, Any]

ASSUMED = {
    "h200_peak_flops": 989e12,  # Dense bf16, from the maker's data sheet.
    "h200_share": 0.05,  # Of the peak that small 3D networks reach.
    "cores_a_gpu": 16,
    "cores_a_node": 32,
    "nodes": 100,
    "use": 0.7,  # Of the time that nodes work: queues, stragglers, shared disks.
}

_STEPS = (20, 60)
_RULE = "|---" * 9
_SIZES = ("bytes_in", "bytes_out", "memory_bytes")
_PAPER = {
    "studies_an_hour_a_core": "studies an hour, one core",
    "studies_an_hour_h200": "studies an hour, one H200 with 16 cores",
    "studies_an_hour_100_nodes": "studies an hour, 100 nodes of 32 cores",
    "hours_for_a_million_h200": "hours for a million, one H200",
    "hours_for_a_million_100_nodes": "hours for a million, 100 nodes",
    "tb_read_for_a_million": "terabytes to be read for a million",
    "tb_written_for_a_million": "terabytes written for a million",
    "gb_a_second_100_nodes": "gigabytes a second that 100 nodes ask of the disks",
}


def main() -> None:
    """Measure the rows that are asked for and print them with what follows."""
    asked = _arguments()
    if asked.table:
        print(table(json.loads(asked.table.read_text(encoding="utf-8"))))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = generate(Path(folder) / "root", studies=asked.studies, noise="none")
        made = {name: _alone(name, root, asked) for name in asked.rows.split(",")}
    report = {
        "hardware": hardware(),
        "commit": commit(),
        "measured": made,
        "assumed": ASSUMED,
        "on_paper": {name: on_paper(row) for name, row in made.items()},
    }
    text = json.dumps(report, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


def _alone(name: str, root: Path, asked: argparse.Namespace) -> Row:
    """Return a row, measured in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, name, root, asked).result()


def _measured(name: str, root: Path, asked: argparse.Namespace) -> Row:
    torch.set_num_threads(1)
    row = ROWS[name](root, asked)
    return row | {"memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def on_paper(row: Row) -> Row:
    """Return studies an hour, and hours for a million, from what one study costs."""
    core = 3600 / row["cpu_s"]
    node = core * ASSUMED["cores_a_node"]
    cluster = node * ASSUMED["nodes"] * ASSUMED["use"]
    found = {
        "studies_an_hour_a_core": core,
        "studies_an_hour_100_nodes": cluster,
        "hours_for_a_million_100_nodes": 1e6 / cluster,
    }
    if {"bytes_in", "bytes_out"} <= set(row):
        moved = row["bytes_in"] + row["bytes_out"]
        found |= {
            "tb_read_for_a_million": row["bytes_in"] / 1e6,
            "tb_written_for_a_million": row["bytes_out"] / 1e6,
            "gb_a_second_100_nodes": moved * cluster / 3600 / 1e9,
        }
    if "operations" in row:
        reached = ASSUMED["h200_peak_flops"] * ASSUMED["h200_share"]
        feed = 3600 * ASSUMED["cores_a_gpu"] / (row["cpu_s"] - row["cpu_s_network"])
        compute = 3600 * reached / row["operations"]
        found |= {
            "studies_an_hour_h200": min(feed, compute),
            "h200_waits_for_cores": feed < compute,
        }
        found["hours_for_a_million_h200"] = 1e6 / found["studies_an_hour_h200"]
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def table(report: Row) -> str:
    """Return what was measured, and what follows, as the two tables of the page on scale."""
    lines = [
        "| a study | processor, s | by the clock, s | read, MB | written, MB | memory, MB |",
        f"{_RULE[:24]}|",
    ]
    for name, row in report["measured"].items():
        seconds = [_plain(row["cpu_s"]), _plain(row["wall_s"])]
        sizes = [_plain(row[n] / 1e6) if n in row else "" for n in _SIZES]
        lines.append(f"| {' | '.join([name, *seconds, *sizes])} |")
    lines += ["", "| on paper | " + " | ".join(report["on_paper"]) + " |"]
    lines.append(f"{_RULE[: 4 * (1 + len(report['on_paper']))]}|")
    for name, unit in _PAPER.items():
        cells = [row.get(name) for row in report["on_paper"].values()]
        said = ["" if cell is None else _plain(cell) for cell in cells]
        lines.append(f"| {unit} | {' | '.join(said)} |")
    return "\n".join(lines)


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def predict_row(root: Path, asked: argparse.Namespace) -> Row:
    """Return what grading a study and writing its results costs."""
    predictor = Predictor(asked.model, device="cpu")
    out = root.parent / "graded"
    network: list[float] = []

    def grade(study: Path) -> None:
        graded = predictor.predict(study)
        write_result(graded, out)
        timings = graded.grades.provenance["timings_s"]
        network.append(timings.get("grade", 0.0) + timings.get("locate", 0.0))

    row = _timed(grade, find_studies(root))
    # What the clock says of the networks, as part of what it says of everything.
    share = sum(network[1:]) / (row["wall_s"] * row["studies"])
    with FlopCounterMode(display=False) as counter:
        predictor.predict(find_studies(root)[0])
    operations = float(counter.get_total_flops())
    sizes = {"bytes_in": _size(root / "train_images", asked), "bytes_out": _size(out, asked)}
    return row | sizes | {"cpu_s_network": share * row["cpu_s"], "operations": operations}


def scan_row(root: Path, _asked: argparse.Namespace) -> Row:
    """Return what reading a study's headers costs; the bytes of those alone are not known."""
    return _timed(lambda study: read_study(study).series, find_studies(root))


def prepare_row(root: Path, asked: argparse.Namespace) -> Row:
    """Return what keeping a study's native voxels costs, the start of the command included."""
    store = root.parent / "store"
    command = ["prepare", str(root), "--out", str(store), "--quiet"]
    row = _timed(lambda _: volspine(command), [root], warm=False)
    row = {name: value / asked.studies for name, value in row.items()}
    sizes = {"bytes_in": _size(root / "train_images", asked), "bytes_out": _size(store, asked)}
    return row | sizes | {"studies": asked.studies}


def crops_row(root: Path, asked: argparse.Namespace) -> Row:
    """Return what cutting the crops of a marked study costs."""
    folder = root.parent / "crops"
    row = _timed(lambda study: crop_root([study], folder), read_root(root).studies)
    return row | {"bytes_out": _size(folder, asked)}


def train_row(root: Path, asked: argparse.Namespace) -> Row:
    """Return what training costs each time a study is seen: many steps less few, caches filled."""
    draws = yaml.safe_load(asked.recipe.read_text(encoding="utf-8"))["data"]
    at_once = (draws.get("draws") or draws["loader"])["batch_size"]
    kept = "data.crops" if "crops" in draws else "data.loader.cache_dir"
    command = ["fit", "-c", str(asked.recipe), "--data.root", str(root), "--quiet"]
    command += [f"--{kept}", str(root.parent / "kept"), "--trainer.limit_val_batches", "0"]
    command += ["--data.split.val", "1", "--data.split.test", "1", "--trainer.devices", "1"]

    def fit(steps: int) -> Row:
        out = root.parent / f"run_{steps}"
        told = ["--trainer.max_steps", str(steps), "--trainer.default_root_dir", str(out)]
        return _timed(lambda _: volspine([*command, *told]), [root], warm=False)

    few, many = (fit(steps) for steps in _STEPS)
    seen = at_once * (_STEPS[1] - _STEPS[0])
    costs = {name: (many[name] - few[name]) / seen for name in ("cpu_s", "wall_s")}
    return costs | {"studies": seen}


ROWS: dict[str, Callable[[Path, argparse.Namespace], Row]] = {
    "predict": predict_row,
    "scan": scan_row,
    "prepare": prepare_row,
    "crops": crops_row,
    "train": train_row,
}


def _timed(work: Callable[[Any], object], studies: Sequence[Any], *, warm: bool = True) -> Row:
    if warm:
        work(studies[0])
    rest = studies[1:] if warm else studies
    cpu, wall = time.process_time(), time.perf_counter()
    for study in rest:
        work(study)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"studies": len(rest), "cpu_s": cpu / len(rest), "wall_s": wall / len(rest)}


def _size(folder: Path, asked: argparse.Namespace) -> float:
    return sum(_sizes(folder)) / float(asked.studies)


def _sizes(folder: Path) -> Iterator[int]:
    return (path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", default="predict,scan", help=f"some of {','.join(ROWS)}")
    parser.add_argument(
        "--studies", type=int, default=6, help="studies that are made; one warms up"
    )
    parser.add_argument("--model", type=Path, help="bundle; the demo bundle if omitted")
    parser.add_argument("--recipe", type=Path, default=Path("experiments/level_root.yaml"))
    parser.add_argument("--table", type=Path, help="print the tables of what was measured before")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
