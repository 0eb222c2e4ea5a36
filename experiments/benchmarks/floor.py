"""The floor under row a: bytes that must be read and written over measured bandwidth, and decoding.

    floor = (bytes of the files + bytes of three volumes) / bandwidth + decoding

Bandwidth is that of a copy of a large array, bytes read and written together; decoding is what the
codec alone takes for the frames, already in memory, one after another. No way can be faster with
these codecs and one thread to decode.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import RLELossless
from result import OURS, Result

__all__ = ["bandwidth", "decoding_s", "floor_of"]

_MB = 256


def bandwidth(megabytes: int = _MB) -> float:
    """Return bytes a second, those read and those written, of a copy of a large array."""
    source = np.ones(megabytes << 17)
    target = np.empty_like(source)
    np.copyto(target, source)
    return 2 * source.nbytes / _best(lambda: np.copyto(target, source))


def decoding_s(study: Path) -> float:
    """Return the seconds that the codec takes for all frames of a study."""
    frames = [dcmread(path) for path in sorted(study.rglob("*.dcm"))]
    if not frames[0].file_meta.TransferSyntaxUID.is_compressed:
        return 0.0
    packed = [next(generate_frames(ds.PixelData, number_of_frames=1)) for ds in frames]
    return sum(_best(_decoder(ds, data), 1) for ds, data in zip(frames, packed, strict=True))


def _decoder(ds: object, data: bytes) -> Callable[[], object]:
    """Return what decodes one frame: the fastest codec that is installed."""
    rows, columns = ds.Rows, ds.Columns  # type: ignore[attr-defined]
    if ds.file_meta.TransferSyntaxUID == RLELossless:  # type: ignore[attr-defined]
        from rle.rle import decode_frame

        return lambda: decode_frame(data, rows * columns, 16, "<")
    from openjpeg import decode_pixel_data

    get_decoder(ds.file_meta.TransferSyntaxUID)  # type: ignore[attr-defined]
    return lambda: decode_pixel_data(data, ds, 2)


def floor_of(what: str, study: Path, lines: list[Result], *, voxels: int) -> list[Result]:
    """Return the floor of a study as a line; its ratio is how far above it ours is, inverted."""
    read = sum(path.stat().st_size for path in study.rglob("*.dcm"))
    written = 3 * 4 * voxels
    speed = bandwidth()
    moved, decoding = (read + written) / speed, decoding_s(study)
    ours = next((line.median_s for line in lines if line.who == OURS), None)
    return [
        Result(
            row="a",
            what=what,
            who="floor",
            median_s=moved + decoding,
            ratio=None if ours is None else (moved + decoding) / ours,
            correct=f"{read / 1e6:.1f} MB in, {written / 1e6:.1f} MB out at "
            f"{speed / 1e9:.1f} GB/s, decoding {1e3 * decoding:.0f} ms",
            more={"bandwidth": speed, "read": read, "written": written, "decoding_s": decoding},
        )
    ]


def _best(run: Callable[[], object], times: int = 5) -> float:
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
