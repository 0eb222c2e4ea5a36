"""A scene on disk -> a picture on disk, by Open3D without a display; run as a process of its own.

A missing graphics library kills the process that imports Open3D. So the caller starts this module
as `python -m volspine.viewer.offscreen SCENE.npz PICTURE.png` and, if no picture comes, draws by
itself. The arrays are those of `volspine.viewer.open3d_scene.pack`.
"""

import sys
from pathlib import Path

import numpy as np

from volspine.viewer.open3d_scene import geometries, open3d, unpack

__all__ = ["main"]


def main(source: Path, picture: Path) -> None:
    """Draw a packed scene into a PNG file."""
    o3d = open3d()
    with np.load(source, allow_pickle=False) as arrays:
        parts, view = unpack(arrays)
    width, height = (int(n) for n in view["size_px"])
    window = o3d.visualization.Visualizer()
    if not window.create_window(visible=False, width=width, height=height):
        raise SystemExit(3)
    for geometry in geometries(o3d, parts):
        window.add_geometry(geometry)
    options = window.get_render_option()
    options.background_color = view["background"] / 255
    options.light_on = False
    options.point_size = float(view["point_px"])
    options.mesh_show_back_face = True
    place = o3d.camera.PinholeCameraParameters()
    focal = float(view["focal_px"])
    place.intrinsic = o3d.camera.PinholeCameraIntrinsic(
        width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5
    )
    place.extrinsic = view["extrinsic"]
    control = window.get_view_control()
    control.convert_from_pinhole_camera_parameters(place, allow_arbitrary=True)
    control.set_constant_z_near(float(view["near_mm"]))
    control.set_constant_z_far(float(view["far_mm"]))
    window.poll_events()
    window.update_renderer()
    window.capture_screen_image(str(picture), do_render=True)
    window.destroy_window()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
