"""Run by a test on a display of its own: open the window, press keys, say what is seen, as JSON."""

import json
import sys

import numpy as np

from tests.viewer.conftest import SAGITTAL, stack_of
from volspine.anatomy import TARGETS, Protocol, Side
from volspine.dicom.study import Series, Study
from volspine.grades import StudyGrades
from volspine.viewer.build import bounds_scene
from volspine.viewer.exhibit import Exhibit
from volspine.viewer.palette import RIGHT_COLOR, rgb
from volspine.viewer.window import Window


def seen(window):
    """Return the columns of the orange of R, the number of white pixels, and what is drawn."""
    window.viewer.poll_events()
    window.viewer.update_renderer()
    picture = np.asarray(window.viewer.capture_screen_float_buffer(do_render=True)) * 255
    orange = np.argwhere(np.abs(picture - rgb(RIGHT_COLOR)).max(axis=2) < 30)
    white = np.argwhere(picture.min(axis=2) > 225)
    return {
        "right": orange[:, 1].mean() / picture.shape[1] if len(orange) else None,
        "ball": white[:, 1].mean() / picture.shape[1] if len(white) else None,
        "white": len(white),
        "drawn": sorted(thing.name for thing in window._drawn),
        "said": window.told[-1:],
    }


def main():
    study = Study(
        "ball",
        [
            Series(
                str(n), str(n), protocol, "", [stack_of(SAGITTAL, (1.0, 1.0, 3.0), (80, 90, 21))]
            )
            for n, protocol in enumerate((Protocol.SAGITTAL_T1, Protocol.SAGITTAL_T2))
        ],
    )
    points = np.zeros((25, 3))
    for target in TARGETS:
        points[target.index, 0] = {None: 0.0, Side.LEFT: 15.0, Side.RIGHT: -15.0}[target.side]
        points[target.index, 2] = 60.0 - 30.0 * list(type(target.level)).index(target.level)
    grades = StudyGrades(
        name="ball",
        probabilities=np.tile([0.2, 0.3, 0.5], (25, 1)),
        imputed=np.zeros(25, np.bool_),
        reasons=("",) * 25,
        points_mm=points,
        status="graded",
    )
    exhibit = Exhibit(study, bounds_scene(study, grades=grades))
    told = []
    window = Window(exhibit, exhibit.room(body="points", is_cut=False), say=told.append)
    window.told = told
    control = window.viewer.get_view_control()
    control.set_front((0.0, -1.0, 0.0))  # From the front: the patient's right is on the left.
    window._turn_letters(None)
    found = {"front": seen(window)}
    control.set_front((0.0, 1.0, 0.0))
    window._turn_letters(None)
    found["back"] = seen(window)
    for key in sys.argv[1:]:
        window._press(key, None)
        found[key] = seen(window)
    window.viewer.destroy_window()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
