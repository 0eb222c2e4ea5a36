"""Rulers for label maps: areas, calipers and rays, none of them from the code under test."""

import numpy as np
from scipy import ndimage

from volspine.anatomy import Protocol
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_labels
from volspine.phantom.tissues import Sequence, Tissue

SOLID = (Tissue.ANNULUS, Tissue.NUCLEUS, Tissue.MARROW, Tissue.LIGAMENT)
FAT = (Tissue.FAT, Tissue.EPIDURAL_FAT)


def single_slice(protocol, centre, tilt, pixel_mm, pixels):
    """Plan one slice of square pixels around a point of the body frame."""
    return SeriesPlan(
        series_id="1",
        protocol=protocol,
        sequence=Sequence("T2", 3500.0, 100.0),
        centres_mm=np.asarray(centre, dtype=np.float64)[None],
        tilts=np.array([float(tilt)]),
        stacks=(0,),
        thickness_mm=4.0,
        spacing_mm=4.0,
        acquired=(pixels, pixels),
        acquired_mm=pixel_mm,
        matrix=(pixels, pixels),
        snr=0.0,
    )


def disc_map(anatomy, centre, level, pixel_mm=0.1, pixels=401):
    """Return a label map in the plane of a disc around a point, and the plane's tilt."""
    tilts = anatomy.frame.tilts
    tilt = (tilts[5 + level] + tilts[6 + level]) / 2
    plan = single_slice(Protocol.AXIAL_T2, centre, tilt, pixel_mm, pixels)
    return render_labels(anatomy, plan)[0], tilt


def sac_area(labels, pixel_mm=0.1):
    """Count the pixels of fluid and of roots and cord within it."""
    fluid = ndimage.binary_closing(labels == Tissue.CSF, iterations=9)
    parts, _ = ndimage.label(ndimage.binary_fill_holes(fluid))
    middle = parts[180:221, 180:221]
    return (parts == middle.max()).sum() * pixel_mm**2


def recess_depth(labels, row, column, pixel_mm=0.1):
    """Open calipers from a point forwards and backwards to the first solid tissue."""
    solid = np.isin(labels[:, column], SOLID)
    front = row - np.argmax(solid[row::-1])
    back = row + np.argmax(solid[row:])
    return (back - front - 1) * pixel_mm


def fat_rays(labels, pixel_mm, rays=32):
    """Count directions from the middle in which the root is followed by a millimetre of fat."""
    middle = labels.shape[0] // 2
    reach = np.arange(0.0, 12.0, pixel_mm / 4) / pixel_mm
    count = 0
    for angle in np.arange(rays) * 2 * np.pi / rays:
        rows = np.rint(middle + reach * np.sin(angle)).astype(int)
        columns = np.rint(middle + reach * np.cos(angle)).astype(int)
        seen = labels[rows, columns]
        fat = np.isin(seen[np.argmax(seen != Tissue.ROOT) :], FAT)
        run = fat.size if fat.all() else int(np.argmin(fat))
        # The ends of a run are known to half a pixel.
        count += run * pixel_mm / 4 >= 1.0 - pixel_mm / 2
    return count
