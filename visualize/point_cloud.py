"""Look at a study as points: every voxel at its true place, the tilted axial stacks among them.

    python visualize/point_cloud.py [STUDY] [--out FILE.png]

Without a study a synthetic one is made and its truth is drawn in. The figures a phantom gives prove
that the pipeline works; they say nothing about patients.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from volspine import read_study
from volspine.jobs import write_bytes
from volspine.phantom.cohort import generate
from volspine.viewer.build import point_scene
from volspine.viewer.picture import scene_png
from volspine.viewer.truth import read_truth


def main() -> None:
    """Read or make a study, and save its picture."""
    parser = argparse.ArgumentParser(description="Save a point view of a study.")
    parser.add_argument("study", nargs="?", type=Path, help="folder, zip or NIfTI; else a phantom")
    parser.add_argument("--out", type=Path, default=Path("point_cloud.png"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study, grades = arguments.study, None
        if study is None:
            root = Path(folder, "phantom")
            generate(root, studies=1, seed=7)
            study = next((root / "train_images").iterdir())
            grades = read_truth(root / "truth" / f"{study.name}.json")
        scene = point_scene(read_study(study), grades=grades)
    if grades is not None:
        scene = replace(scene, notes=(*scene.notes, "A synthetic study with its true grades."))
    write_bytes(arguments.out, scene_png(scene))
    print(f"saved {arguments.out}: {scene.subtitle}")


if __name__ == "__main__":
    main()
