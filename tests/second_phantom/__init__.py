"""A second lumbar phantom, written apart from the library's own: it shares no code with it.

A localizer that was taught by one anatomy generator proves nothing by finding its way in that same
generator. This one is built another way: rigid vertebrae of superquadrics and round cones along
piecewise arcs, voxelised directly in three dimensions, a sacrum of five fused and tapering pieces,
organs of ellipsoids, bowel and fat of smooth noise, and its own tables of signal.

    case = make_case(0, 3)
    case.study        # a sagittal T1 and a sagittal T2 in memory
    case.points_mm    # (27, 3) LPS millimetres in the order of `volspine.landmarks.POINTS`
"""

from tests.second_phantom.case import Case, make_case, mirrored

__all__ = ["Case", "make_case", "mirrored"]
