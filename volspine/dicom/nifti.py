"""NIfTI: a volume with an affine becomes a series with one stack.

NIfTI's world is RAS, ours LPS: x and y change sign, once, here. Which array axis is which comes
from the affine alone; they are then turned to the order of a scanner (`geometry.turn`).

NIfTI does not say what an image shows. The caller does (`protocol=`), or the file's name.
"""

import contextlib
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from volspine.anatomy import PROTOCOLS, Protocol
from volspine.dicom.assemble import MIN_SLICES
from volspine.dicom.descriptions import is_challenge_study
from volspine.dicom.files import ReadableFile
from volspine.dicom.identity import name_of_files
from volspine.dicom.ledger import Ledger
from volspine.dicom.limits import Limits
from volspine.dicom.protocol import Recognized, recognize_images, recognize_named
from volspine.dicom.study import Series, Source, Study
from volspine.errors import (
    GeometryError,
    InputError,
    NoUsableSeriesError,
    PixelError,
    VolspineError,
)
from volspine.geometry.affine import flip_frame
from volspine.geometry.axes import PLANES, Plane
from volspine.geometry.stack import Decoded, Stack
from volspine.geometry.turn import nearest_world_axes, scanner_axes, turned_affine
from volspine.types import FloatArray

__all__ = ["is_nifti", "read_nifti", "read_nifti_study"]

_HEADER_BYTES = 540
_PLANE_NAMES: tuple[tuple[str, Plane], ...] = (
    (r"sag", "sagittal"),
    (r"cor", "coronal"),
    (r"(?<![a-z])(ax|tra|tr[_-])", "axial"),
)


def is_nifti(name: str) -> bool:
    """Return whether a file's name is that of a NIfTI volume.

    Example:
        >>> is_nifti("t2_sag.NII.gz"), is_nifti("1.dcm")
        (True, False)
    """
    return name.lower().endswith((".nii", ".nii.gz"))


def read_nifti_study(
    root: Path,
    files: Sequence[ReadableFile],
    *,
    ledger: Ledger,
    protocol: Protocol | None,
    limits: Limits,
) -> Study:
    """Return the study that NIfTI files form, a series a file.

    Args:
        root: What was read.
        files: NIfTI files.
        ledger: Where files that cannot be used are noted.
        protocol: What they show; their names say it if omitted.
        limits: Caps on sizes.

    Raises:
        VolspineError: If none can be used: the error of the first.
    """
    found = []
    for file in files:
        try:
            found.append(read_nifti(file, protocol=protocol, limits=limits))
        except VolspineError as error:
            ledger.fault(error, file.name)
    if not found:
        raise ledger.errors[0]
    order = (*PROTOCOLS, Protocol.OTHER)
    return Study(
        name=root.resolve().name if is_challenge_study(root) else name_of_files(files),
        series=sorted(found, key=lambda series: (order.index(series.protocol), series.uid)),
        faults=ledger.faults,
        path=root,
    )


def read_nifti(file: ReadableFile, *, protocol: Protocol | None, limits: Limits) -> Series:
    """Return one NIfTI volume as a series.

    Raises:
        GeometryError: If its header does not say where the voxels lie.
        NoUsableSeriesError: If it is not one volume of three slices or more.
        InputError: If it is not NIfTI.
    """
    header = _read_header(file)
    affine = _affine_lps(header, file.path)
    shape = _shape(header, file.path)
    limits.check_inflation(
        math.prod(shape) * max(int(header["bitpix"]) // 8, 4),
        file.size,
        path=file.path,
        what="volume",
    )
    plane, plane_reason = _plane(file, affine, protocol)
    axes, flips = scanner_axes(affine, plane)
    turned = turned_affine(affine, shape, axes=axes, flips=flips)
    columns, rows, slices = (shape[axis] for axis in axes)
    if slices < MIN_SLICES:
        raise NoUsableSeriesError(
            f"{slices} slices are no volume", path=file.path, code="VS-SER-001",
            remedy="give the whole volume",
        )  # fmt: skip
    origins = turned[:3, 3] + np.arange(slices)[:, None] * turned[:3, 2]
    stack = Stack(turned, origins, (columns, rows), _Loader(file, axes, flips))
    if protocol is not None:
        answer = Recognized(protocol, "as the caller said", 1.0)
    else:
        named = recognize_named(plane, Path(file.name).name)
        answer = named or recognize_images([[stack]])[0]
    uid = name_of_files([file])
    source = Source(file.path, None, "", "")
    return Series(
        uid=uid,
        name=f"nifti-{uid[:8]}",
        protocol=answer.protocol,
        reason=f"{plane_reason}; {answer.reason}",
        confidence=answer.confidence,
        stacks=[stack],
        repairs=stack.repairs,
        instances=[[source] * slices],
    )


@contextlib.contextmanager
def _opened(file: ReadableFile) -> Iterator[io.BufferedIOBase]:
    with file.open() as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
        stream.seek(0)
        yield gzip.GzipFile(fileobj=stream) if is_packed else stream


def _read_header(file: ReadableFile) -> Any:
    try:
        with _opened(file) as stream:
            start = stream.read(_HEADER_BYTES)
        kind = nib.Nifti2Header if start[4:8] in (b"n+2\0", b"ni2\0") else nib.Nifti1Header
        return kind.from_fileobj(io.BytesIO(start))  # type: ignore[no-untyped-call]
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        nib.wrapstruct.WrapStructError,
    ) as error:
        raise InputError(
            f"this is not a readable NIfTI file ({type(error).__name__})",
            remedy="convert it again",
            path=file.path,
            code="VS-INP-010",
        ) from error  # fmt: skip


def _affine_lps(header: Any, path: str) -> FloatArray:
    """Return the voxel-to-LPS affine, from the sform or the qform; never a guess."""
    sform, qform = header.get_sform(coded=True), header.get_qform(coded=True)
    stated = [affine for affine, code in (sform, qform) if code and affine is not None]
    if not stated:
        raise _unknown("neither sform nor qform is set", path)
    determinants = [np.linalg.det(affine[:3, :3]) for affine in stated]
    if not np.all(np.isfinite(stated[0])) or abs(determinants[0]) < 1e-6:
        raise _unknown("its affine is singular", path)
    if len(stated) == 2 and determinants[0] * determinants[1] < 0:
        raise _unknown("sform and qform contradict one another about left and right", path)
    return flip_frame(np.asarray(stated[0], dtype=np.float64))


def _unknown(finding: str, path: str) -> GeometryError:
    return GeometryError(
        f"where the voxels lie cannot be known: {finding}",
        remedy="convert it again from DICOM with its orientation",
        path=path,
        code="VS-GEO-020",
    )


def _shape(header: Any, path: str) -> tuple[int, int, int]:
    shape = [int(size) for size in header.get_data_shape()]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3 or min(shape) < 1 or header.get_data_dtype().names is not None:
        raise NoUsableSeriesError(
            f"an array of shape {tuple(shape)} is not one grey volume",
            remedy="give one three-dimensional volume a file",
            path=path,
            code="VS-SER-006",
        )
    return shape[0], shape[1], shape[2]


def _plane(file: ReadableFile, affine: FloatArray, protocol: Protocol | None) -> tuple[Plane, str]:
    """Return the plane of the slices: as the caller or the name says, else the thick direction."""
    if protocol is not None and protocol is not Protocol.OTHER:
        plane: Plane = "axial" if protocol is Protocol.AXIAL_T2 else "sagittal"
        return plane, f"{plane} slices by protocol"
    name = Path(file.name).name.lower()
    for pattern, named in _PLANE_NAMES:
        if re.search(pattern, name):
            return named, f"{named} slices by file name"
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    thick = int(np.argmax(spacing))
    if spacing[thick] < 1.5 * float(np.median(spacing)):
        return "sagittal", "sagittal slices assumed, since voxels are as thin in every direction"
    plane = PLANES[nearest_world_axes(affine)[thick]]
    return plane, f"{plane} slices by voxel size"


@dataclass(frozen=True)
class _Loader:
    """Decodes one volume when `Stack.voxels` is first used."""

    file: ReadableFile
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def __call__(self) -> Decoded:
        header = _read_header(self.file)
        try:
            with _opened(self.file) as stream:
                values = header.data_from_fileobj(stream)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise PixelError(
                f"the volume is cut short or damaged ({type(error).__name__})",
                remedy="convert it again",
                path=self.file.path,
                code="VS-PIX-010",
            ) from error
        voxels = np.asarray(values, dtype=np.float32).reshape(values.shape[:3])
        voxels = voxels.transpose(self.axes)
        voxels = voxels[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]
        voxels, repairs = _finite(voxels, self.file.name)
        return np.ascontiguousarray(voxels), tuple(range(voxels.shape[2])), repairs


def _finite(voxels: Any, name: str) -> tuple[Any, tuple[str, ...]]:
    holes = ~np.isfinite(voxels)
    if not holes.any():
        return voxels, ()
    return np.where(holes, np.float32(0.0), voxels), (
        f"{int(holes.sum())} voxels that were not finite are 0 [{name}]",
    )
