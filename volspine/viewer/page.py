"""A scene -> one HTML file that turns in any browser: no network, no Python, no library.

Points are written as 16-bit parts of the scene's box (a few micrometres) and drawn by WebGL. Voxel
faces are drawn as points of a voxel's size. All text is escaped; the page's own policy forbids it
to load anything.
"""

import base64
import html
import importlib.resources
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from volspine.anatomy import LEVELS, Side, Target
from volspine.grades import StudyGrades
from volspine.types import FloatArray
from volspine.viewer.camera import FRONT_LEFT
from volspine.viewer.heat import Heat
from volspine.viewer.legend import COLUMNS, grade_color
from volspine.viewer.palette import GRADE_COLORS, GRADE_SIZES, HEAT_COLOR, UNKNOWN_COLOR
from volspine.viewer.scene import Points, Scene

__all__ = ["picture_html", "scene_html"]

MAX_POINTS = 900_000
"""In a page; more are thinned evenly, since the file grows by 16 bytes for each."""


def scene_html(
    scene: Scene,
    *,
    direction: tuple[float, float, float] = FRONT_LEFT,
    volume: dict[str, Any] | None = None,
) -> str:
    """Return the page of a scene.

    Args:
        scene: What to show.
        direction: From the patient to the viewer at first, LPS.
        volume: What planes are cut through, and what a threshold thins out, in the page; as
            `volspine.viewer.page_volume.volume_data` returns it. Neither without it.
    """
    layers = [*scene.points]
    layers += [Points(f.name, f.centers_mm, f.colors, max(f.spacing_mm)) for f in scene.faces]
    layers += [
        Points(s.name, s.mesh.vertices_mm, s.mesh.colors, s.spacing_mm) for s in scene.sheets
    ]
    layers = [replace(one, name=name) for one, name in zip(layers, _names(layers), strict=True)]
    total = sum(len(layer.colors) for layer in layers)
    every = max(-(-total // MAX_POINTS), 1)
    low, high = scene.bounds_mm
    data: dict[str, Any] = {
        "low": low.tolist(),
        "high": high.tolist(),
        "direction": list(direction),
        "layers": [_layer(layer, every, scene.bounds_mm) for layer in layers],
        "faces": bool(scene.faces),
        "volume": volume,
        "markers": [
            {
                "point": marker.point_mm.tolist(),
                "color": marker.color,
                "label": marker.label,
                "radius": marker.radius_mm,
            }
            for marker in scene.markers
        ],
        "outlines": [outline.tolist() for outline in scene.outlines_mm],
        "levels": [[name, point.tolist()] for name, point in scene.level_points_mm.items()],
    }
    template = importlib.resources.files("volspine.viewer").joinpath("page.html").read_text("utf-8")
    return _filled(
        template,
        {
            "TITLE": html.escape(scene.title),
            "SUBTITLE": html.escape(scene.subtitle),
            "HEAT": "" if scene.heat is None else _heat_key(scene.heat),
            "GRADES": "" if scene.grades is None else _table(scene.grades),
            "NOTES": "<br>".join(html.escape(note) for note in scene.notes),
            # "</script>" inside a name would end the script.
            "DATA": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        },
    )


def picture_html(title: str, png: bytes) -> str:
    """Return a page that holds one picture."""
    image = base64.b64encode(png).decode("ascii")
    name = html.escape(title)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        "<style>body{margin:0;background:#0b0e14;text-align:center}img{max-width:100%}</style>"
        f'</head><body><img alt="{name}" src="data:image/png;base64,{image}"></body></html>\n'
    )


def _filled(template: str, values: dict[str, str]) -> str:
    # In one pass over the template, so that no value is searched for the name of another.
    return re.sub("@([A-Z]+)@", lambda found: values[found[1]], template)


def _names(layers: Sequence[Points]) -> list[str]:
    """Return the names of layers; where several have one, each but the first with its number."""
    names = [layer.name for layer in layers]
    times = [names[: n + 1].count(name) for n, name in enumerate(names)]
    return [name if n == 1 else f"{name} ({n})" for name, n in zip(names, times, strict=True)]


def _layer(layer: Points, every: int, bounds: tuple[FloatArray, FloatArray]) -> dict[str, Any]:
    """Return one in so many points of a layer, as plain data."""
    low, high = bounds
    parts = (layer.points_mm[::every] - low) / np.maximum(high - low, 1e-9)
    # Four numbers for each point: WebGL reads attributes that start at multiples of four bytes.
    # The fourth is the intensity; what has none is never left out.
    places = np.full((len(parts), 4), 65535, dtype="<u2")
    places[:, :3] = np.rint(np.clip(parts, 0, 1) * 65535)
    if layer.intensity is not None:
        places[:, 3] = np.rint(layer.intensity[::every] * 65535)
    tints = np.zeros((len(parts), 4), dtype=np.uint8)
    tints[:, :3] = layer.colors[::every]
    return {
        "name": layer.name,
        "count": len(parts),
        "size": float(layer.size_mm * every**0.5),
        "places": base64.b64encode(places.tobytes()).decode("ascii"),
        "colors": base64.b64encode(tints.tobytes()).decode("ascii"),
    }


def _table(grades: StudyGrades) -> str:
    head = "".join(_heading(condition.side, name) for condition, name in COLUMNS)
    rows = "".join(
        f"<tr><td>{level.label}</td>"
        + "".join(f"<td>{_dot(grades, Target(condition, level))}</td>" for condition, _ in COLUMNS)
        + "</tr>"
        for level in LEVELS
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>{_key()}"


def _heading(side: Side | None, name: str) -> str:
    if side is None:
        return f"<th>{name}</th>"
    look = " class=right" if side is Side.RIGHT else ""
    return f"<th{look}>{side.value[0].upper()} {name}</th>"


def _dot(grades: StudyGrades, target: Target) -> str:
    grade, color = grades.grades[target.index], grade_color(grades, target)
    inside = ""
    if color == UNKNOWN_COLOR or grade is None:
        said, style = f"{target.label}: not measured", f"border:2px solid {color}"
    else:
        percent = f"{100 * grades.confidence[target.index]:.0f} %"
        said = f"{target.label}: {grade.label}, {percent}"
        style = f"background:{color};transform:scale({GRADE_SIZES[grade]})"
        inside = f"{100 * grades.confidence[target.index]:.0f}"
    return f'<span class="dot" title="{said}" style="{style}">{inside}</span>'


def _key() -> str:
    """Return what the colours and the numbers are."""
    rows = [
        (f"background:{color};transform:scale({GRADE_SIZES[grade]})", grade.label)
        for grade, color in GRADE_COLORS.items()
    ]
    rows.append((f"border:2px solid {UNKNOWN_COLOR}", "not measured"))
    dots = "<br>".join(f'<span class="dot" style="{look}"></span>{name}' for look, name in rows)
    said = "in a dot: confidence, %<br>sides are the patient's"
    return f'<div class="key">{dots}<p>{said}</p></div>'


def _heat_key(heat: Heat) -> str:
    whose, said = (html.escape(line) for line in heat.caption)
    bar = f"background:linear-gradient(90deg,transparent,{HEAT_COLOR})"
    return (
        f'<div class="heat"><b>{whose}</b><br>{said}<div class="bar" style="{bar}"></div>'
        "<span>none</span><span>most</span></div>"
    )
