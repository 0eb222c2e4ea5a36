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
    from volspine.viewer.scene import Scene

__all__ = ["add_arguments", "run"]


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
    view_heat.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show or save the view.

    Returns:
        0.

    Raises:
        VolspineError: If the study, the grades or the display are not usable.
    """
    _check(arguments)
    read = read_view(arguments)
    if arguments.mode == "slices":
        _slices(arguments, read)
        return 0
    scene = _scene(arguments, read)
    if arguments.save is None:
        from volspine.viewer.window import show

        show(scene)
    else:
        _save(arguments, scene)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read."""
    from volspine.viewer.window import has_display

    view_heat.check(arguments)
    save = arguments.save
    if save is None and arguments.mode == "slices":
        raise ConfigurationError(
            "slices are a picture, not a window",
            remedy="say where to: --save slices.png",
            code="VS-CFG-036",
        )
    if save is None and not has_display():
        raise ConfigurationError(
            "there is no display to open a window on", remedy=_DISPLAY_REMEDY, code="VS-CFG-033"
        )
    if save is None:
        return
    allowed = _ENDINGS[:2] if arguments.mode == "slices" else _ENDINGS
    if save.suffix.lower() not in allowed:
        raise ConfigurationError(
            f"--save cannot write {save.suffix or 'a name without ending'!r} in this mode",
            remedy=f"end the name in {', '.join(allowed[:-1])} or {allowed[-1]}",
            code="VS-CFG-037",
        )


def _protocol(arguments: argparse.Namespace) -> Protocol | None:
    return None if arguments.protocol is None else Protocol(arguments.protocol)


def _scene(arguments: argparse.Namespace, read: ReadView) -> "Scene":
    from dataclasses import replace

    from volspine.viewer.build import point_scene, voxel_scene

    study = read.study
    look: dict[str, Any] = {
        "protocol": _protocol(arguments),
        "grades": read.grades,
        "heat": read.heat,
    }
    if arguments.mode == "voxels":
        scene = voxel_scene(study, **look, is_cut=not arguments.whole)
    elif arguments.save is not None and arguments.save.suffix.lower() == ".ply":
        # A file is for other programs to work with: every voxel once, nothing cut away or thinned.
        scene = point_scene(study, **look, is_cut=False, limit=None)
    else:
        scene = point_scene(study, **look, is_cut=not arguments.whole)
    return replace(scene, notes=read.notes)


def _save(arguments: argparse.Namespace, scene: "Scene") -> None:
    from volspine.jobs import write_bytes, write_text

    ending = arguments.save.suffix.lower()
    if ending == ".png":
        from volspine.viewer.picture import scene_png

        write_bytes(arguments.save, scene_png(scene, renderer=arguments.renderer))
    elif ending == ".html":
        from volspine.viewer.page import scene_html

        write_text(arguments.save, scene_html(scene))
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
        notes=read.notes,
        heat=read.heat,
    )
    if arguments.save.suffix.lower() == ".png":
        write_bytes(arguments.save, png)
    else:
        write_text(arguments.save, picture_html(read.study.name, png))
