"""Rulers for label maps: areas, calipers and rays, none of them from the code under test."""

from dataclasses import replace

import numpy as np
from scipy import ndimage

from volspine.anatomy import Protocol
from volspine.phantom.plan import SeriesPlan
from volspine.phantom.render import render_labels
from volspine.phantom.tissues import Sequence, Tissue

SOLID = (Tissue.ANNULUS, Tissue.NUCLEUS, Tissue.MARROW, Tissue.LIGAMENT)
FAT = (Tissue.FAT, Tissue.EPIDURAL_FAT)
FIRST = 5
"""The vertebra L1, of those from T8 downwards; the disc below it is L1/L2."""


def single_slice(protocol, centre, tilt, pixel_mm, pixels):
    """Plan one slice around a point of the body frame; `pixels` is a side, or rows and columns."""
    shape = (pixels, pixels) if isinstance(pixels, int) else pixels
    return SeriesPlan(
        series_id="1",
        protocol=protocol,
        sequence=Sequence("T2", 3500.0, 100.0),
        centres_mm=np.asarray(centre, dtype=np.float64)[None],
        tilts=np.array([float(tilt)]),
        stacks=(0,),
        thickness_mm=4.0,
        spacing_mm=4.0,
        acquired=shape,
        acquired_mm=pixel_mm,
        matrix=shape,
        snr=0.0,
    )


def disc_tilt(anatomy, level):
    """Lean of the plane halfway between the two vertebrae of a level."""
    tilts = anatomy.frame.tilts
    return (tilts[FIRST + level] + tilts[FIRST + level + 1]) / 2


def root_tilt(anatomy, point, level):
    """Lean of the spine at an exiting root, by its distances to the planes of both vertebrae."""
    tilts, centres = anatomy.frame.tilts, anatomy.frame.centres_mm
    above, below = (
        abs((point[1:] - centres[n]) @ np.array([np.sin(tilts[n]), np.cos(tilts[n])]))
        for n in (FIRST + level, FIRST + level + 1)
    )
    share = above / (above + below)
    return tilts[FIRST + level] + share * np.diff(tilts)[FIRST + level]


def drained(anatomy):
    """The same person without cord and cauda equina, so that fluid alone fills the sac."""
    subject = replace(anatomy.subject, roots=np.zeros((2, 0, 2)), conus=-99.0)
    return replace(anatomy, subject=subject)


def disc_map(anatomy, centre, level, pixel_mm=0.1, pixels=301):
    """Return a label map in the plane of a disc around a point, and the plane's tilt."""
    tilt = disc_tilt(anatomy, level)
    plan = single_slice(Protocol.AXIAL_T2, centre, tilt, pixel_mm, pixels)
    return render_labels(anatomy, plan)[0], tilt


def pedicle_map(anatomy, centre, vertebra, pixel_mm=0.1, pixels=301):
    """Return a label map in the plane through the middle of a vertebra, near a point's canal."""
    tilt, (y, z) = anatomy.frame.tilts[vertebra], anatomy.frame.centres_mm[vertebra]
    back = 0.5 * (anatomy.subject.depths[vertebra] + anatomy.subject.canal_depths[vertebra])
    middle = [centre[0], y + back * np.cos(tilt), z - back * np.sin(tilt)]
    plan = single_slice(Protocol.AXIAL_T2, middle, tilt, pixel_mm, pixels)
    return render_labels(anatomy, plan)[0]


def sac_area(labels, pixel_mm=0.1):
    """Count the pixels of the largest lake of fluid in a drained sac, its islands included.

    Roots that leave it bite into its shore; whatever is narrower than a millimetre is filled.
    """
    step = round(0.9 / pixel_mm)
    padded = np.pad(labels == Tissue.CSF, 2 * step)
    fluid = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=step))
    parts, _ = ndimage.label(fluid)
    return np.bincount(parts.ravel())[1:].max() * pixel_mm**2


def recess_depth(anatomy, point, level, pixel_mm=0.02):
    """Open calipers at a point forwards and backwards to the first solid tissue, mm."""
    plan = single_slice(Protocol.AXIAL_T2, point, disc_tilt(anatomy, level), pixel_mm, (1201, 3))
    solid = np.isin(render_labels(anatomy, plan)[0, :, 1], SOLID)
    front, back = np.argmax(solid[600::-1]), np.argmax(solid[600:])
    return (front + back - 1) * pixel_mm


def foramen_map(anatomy, point, pixel_mm=0.08, pixels=305):
    """Return a sagittal label map around a point."""
    plan = single_slice(Protocol.SAGITTAL_T1, point, 0.0, pixel_mm, pixels)
    return render_labels(anatomy, plan)[0]


def fat_rays(labels, pixel_mm, tilt=0.0, rays=32):
    """Count directions from the middle in which the root is followed by a millimetre of fat.

    Directions are counted from behind, along the lean of the spine. A root whose section is
    flatter than 0.7 counts as having none.
    """
    if flatness(labels) < 0.7:
        return 0
    middle = labels.shape[0] // 2
    reach = np.arange(0.0, 12.0, pixel_mm / 4) / pixel_mm
    count = 0
    for angle in np.arange(rays) * 2 * np.pi / rays + tilt:
        rows = np.rint(middle + reach * np.sin(angle)).astype(int)
        columns = np.rint(middle + reach * np.cos(angle)).astype(int)
        seen = labels[rows, columns]
        fat = np.isin(seen[np.argmax(seen != Tissue.ROOT) :], FAT)
        run = fat.size if fat.all() else int(np.argmin(fat))
        # The ends of a run are known to half a pixel.
        count += run * pixel_mm / 4 >= 1.0 - pixel_mm / 2
    return count


def flatness(labels):
    """Axis ratio of the root in the middle, from the second moments of its pixels."""
    parts, _ = ndimage.label(labels == Tissue.ROOT)
    middle = labels.shape[0] // 2
    places = np.array(np.nonzero(parts == parts[middle, middle]))
    least, most = np.linalg.eigvalsh(np.cov(places))
    return np.sqrt(least / most)
