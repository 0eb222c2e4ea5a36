"""`volspine view`: look at a study in 3D, in a window, a picture, a page or a point cloud.

Without `--save` a window opens; that needs a display. With it nothing is shown and the ending of
the file's name says what is written.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.cli import view_heat
from volspine.cli.view_input import ReadView, read_view
from volspine.errors import ConfigurationError

if TYPE_CHECKING:
    from volspine.types import FloatArray
    from volspine.viewer.scene import Scene

__all__ = ["add_arguments", "run"]

PLANES = ("sagittal", "coronal", "axial")
MOST = 0.95
"""Highest threshold."""

_ENDINGS = (".png", ".html", ".ply")
_DISPLAY_REMEDY = "save a picture or a page instead: --save view.png, or --save view.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `volspine view`."""
    parser.add_argument(
        "study",
        type=Path,
        metavar="STUDY",
        help="a study folder, a zip, a NIfTI file, or STORE/<study> of a volspine prepare store",
    )
    parser.add_argument(
        "--mode",
        choices=("voxels", "points", "slices"),
        default="voxels",
        help="voxels of one series, cut open at the midline (default); every series as points at "
        "their true places; or sagittal, coronal and axial planes",
    )
    parser.add_argument(
        "--grades",
        type=Path,
        metavar="result.json",
        help="draw the grades in: a result of volspine predict or its folder, or a phantom's truth",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FILE",
        help="write a picture (.png), a page that turns in any browser (.html) or a point cloud "
        "(.ply) instead of opening a window",
    )
    parser.add_argument(
        "--protocol",
        choices=[protocol.value for protocol in PROTOCOLS],
        help="show this protocol only; of a NIfTI file: what it shows",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="cut nothing away in voxels and points (points in a .ply are always whole)",
    )
    parser.add_argument(
        "--renderer",
        choices=("auto", "open3d", "software"),
        default="auto",
        help="what draws a .png: Open3D, and the software renderer where it cannot start (default)",
    )
    _add_planes(parser)
    view_heat.add_arguments(parser)


def _add_planes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.0,
        metavar="T",
        help="leave out what is darker than this part of the intensities, 0 to 0.95 (default: 0, "
        "the whole body)",
    )
    parser.add_argument(
        "--planes",
        nargs="+",
        choices=PLANES,
        default=(),
        help="draw these planes among voxels or points (slices have all three)",
    )
    parser.add_argument(
        "--at",
        nargs=3,
        type=float,
        metavar=("X", "Y", "Z"),
        help="where planes cross, LPS millimetres (default: the middle level, or the middle)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Show or save the view.

    Returns:
        0.

    Raises:
        VolspineError: If the study, the grades or the display are not usable.
    """
    _check(arguments)
    read = read_view(arguments)
    if arguments.save is None:
        _show(arguments, read)
    elif arguments.mode == "slices" and arguments.save.suffix.lower() != ".ply":
        _slices(arguments, read)
    else:
        _save(arguments, read, _scene(arguments, read))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read."""
    from volspine.viewer.window import has_display

    view_heat.check(arguments)
    save = arguments.save
    if not 0 <= arguments.threshold <= MOST:
        raise ConfigurationError(
            f"a threshold of {arguments.threshold:g} is no part of the intensities",
            remedy=f"give one from 0 to {MOST:g}",
            code="VS-CFG-036",
        )
    if save is None and not has_display():
        raise ConfigurationError(
            "there is no display to open a window on", remedy=_DISPLAY_REMEDY, code="VS-CFG-033"
        )
    if save is not None and save.suffix.lower() not in _ENDINGS:
        raise ConfigurationError(
            f"--save cannot write {save.suffix or 'a name without ending'!r}",
            remedy=f"end the name in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}",
            code="VS-CFG-037",
        )


def _protocol(arguments: argparse.Namespace) -> Protocol | None:
    return None if arguments.protocol is None else Protocol(arguments.protocol)


def _scene(arguments: argparse.Namespace, read: ReadView) -> "Scene":
    from dataclasses import replace

    from volspine.viewer.build import (
        best_series,
        plane_scene,
        point_scene,
        voxel_scene,
        with_planes,
    )

    study, protocol, at_mm = read.study, _protocol(arguments), _at_mm(arguments)
    look: dict[str, Any] = {"protocol": protocol, "grades": read.grades, "heat": read.heat}
    if arguments.mode == "slices":
        scene = plane_scene(study, **look, at_mm=at_mm, planes=arguments.planes or PLANES)
        return replace(scene, notes=read.notes)
    is_cut, threshold = not arguments.whole, arguments.threshold
    if arguments.mode == "voxels":
        scene = voxel_scene(study, **look, is_cut=is_cut, threshold=threshold)
    elif arguments.save is not None and arguments.save.suffix.lower() == ".ply":
        # A file is for other programs to work with: every voxel once, nothing cut away or thinned.
        scene = point_scene(study, **look, is_cut=False, limit=None)
    else:
        scene = point_scene(study, **look, is_cut=is_cut)
    scene = scene.above(threshold)
    if arguments.planes:
        series = best_series(study, protocol, read.heat)
        scene = with_planes(
            scene, series, at_mm=at_mm, planes=arguments.planes, threshold=threshold
        )
    return replace(scene, notes=read.notes)


def _at_mm(arguments: argparse.Namespace) -> "FloatArray | None":
    import numpy as np

    return None if arguments.at is None else np.array(arguments.at, dtype=np.float64)


def _show(arguments: argparse.Namespace, read: ReadView) -> None:
    """Open the window and tell on the terminal what its keys do."""
    from dataclasses import replace

    from volspine.viewer.build import bounds_scene
    from volspine.viewer.exhibit import Exhibit
    from volspine.viewer.window import show

    protocol = _protocol(arguments)
    scene = bounds_scene(read.study, protocol=protocol, grades=read.grades, heat=read.heat)
    exhibit = Exhibit(read.study, replace(scene, notes=read.notes), protocol=protocol)
    is_flat = arguments.mode == "slices"
    look: dict[str, Any] = {
        "planes": frozenset(arguments.planes or (PLANES if is_flat else ())),
        "is_cut": not arguments.whole,
        "threshold": arguments.threshold,
    }
    if arguments.at is not None:
        look["place_mm"] = tuple(arguments.at)
    room = exhibit.room(body="none" if is_flat else arguments.mode, **look)
    show(exhibit, room, say=print)


def _volume(arguments: argparse.Namespace, read: ReadView) -> "dict[str, Any] | None":
    """Return what a page cuts planes through; none beside heat, which they would not show."""
    from volspine.viewer.build import best_series
    from volspine.viewer.cut import kept_voxels
    from volspine.viewer.page_volume import PAGE_MM, volume_data
    from volspine.viewer.voxel_layer import volume_of

    if read.heat is not None:
        return None
    series = best_series(read.study, _protocol(arguments), None)
    volume, kept = volume_of(series, spacing_mm=PAGE_MM), None
    if not arguments.whole:
        kept, _ = kept_voxels(series.protocol, volume.grid, read.grades, None)
    return volume_data(volume, kept)


def _save(arguments: argparse.Namespace, read: ReadView, scene: "Scene") -> None:
    from volspine.jobs import write_bytes, write_text

    ending = arguments.save.suffix.lower()
    if ending == ".png":
        from volspine.viewer.picture import scene_png

        write_bytes(arguments.save, scene_png(scene, renderer=arguments.renderer))
    elif ending == ".html":
        from volspine.viewer.page import scene_html

        write_text(arguments.save, scene_html(scene, volume=_volume(arguments, read)))
    else:
        from volspine.viewer.ply import scene_ply

        write_bytes(arguments.save, scene_ply(scene))


def _slices(arguments: argparse.Namespace, read: ReadView) -> None:
    from volspine.jobs import write_bytes, write_text
    from volspine.viewer.page import picture_html
    from volspine.viewer.slices import slices_png

    png = slices_png(
        read.study,
        protocol=_protocol(arguments),
        grades=read.grades,
        point_mm=_at_mm(arguments),
        notes=read.notes,
        heat=read.heat,
    )
    if arguments.save.suffix.lower() == ".png":
        write_bytes(arguments.save, png)
    else:
        write_text(arguments.save, picture_html(read.study.name, png))
