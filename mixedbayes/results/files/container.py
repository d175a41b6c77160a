"""A tree of draws in one netCDF file: written whole or not at all, and looked over before it is read.

Behind the netCDF file's own bytes stand MARK and their SHA-256; HDF5 takes no notice of what follows it.
"""

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from math import prod
from mmap import ACCESS_READ, mmap
from os import PathLike, strerror
from pathlib import Path
from secrets import token_hex
from shutil import copymode
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.coders import CFDatetimeCoder

from mixedbayes.arguments import flag
from mixedbayes.errors import ArgumentError, FileError, shown

MODEL = "mixedbayes"
"""The root's attribute that holds the model; who has it is a file of ours."""

MARK = b"\nmixedbayes sha256 "
SIGNATURE = len(MARK) + 32

MAX_UNPACKING = 50
SMALL = 2**24
"""A file is read if it unpacks to no more than so many times its size, or to so few bytes."""

MAX_GROUPS = 50
MAX_SETS = 2_000
MAX_ATTRIBUTES = 20_000
"""That are read, of which a fit has some tens: each takes xarray ten milliseconds."""


def write(tree: xr.DataTree, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write a tree: first beside its place, so that an interrupt, a full disk or a crash leaves what was there.

    Raises:
        ArgumentError: It is no path.
        FileError: The file cannot be written, or what is there holds no fit and is not to be overwritten.
    """
    check_place(path, overwrite=overwrite)
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{token_hex(8)}.part")
    try:
        tree.to_netcdf(part, engine="h5netcdf")
        _look_over(part)
        _sign(part)
        if target.exists():
            copymode(target, part)
        part.replace(target)
    except FileError as error:
        raise FileError(f"{path} cannot be written: {str(error).removeprefix(f'{part} ')}") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"{path} cannot be written: {_reason(error)}.") from error
    finally:
        part.unlink(missing_ok=True)


def check_place(path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Refuse a place that cannot be written, or should not be.

    Args:
        path: Where a fit is to be saved.
        overwrite: Whether to replace a file that holds something else than a fit.

    Raises:
        ArgumentError: It is no path, or overwrite is no truth value.
        FileError: There is no folder, no permission, or a file of another kind.
    """
    place = _path(path)
    flag("overwrite", overwrite)
    try:
        if not place.parent.is_dir():
            raise FileError(f"There is no folder {place.parent} to save {place.name} in.")
        if place.is_dir():
            raise FileError(f"{path} is a folder; name a file in it, as fit.nc.")
        if place.exists() and not place.is_file():
            raise FileError(f"{path} cannot be written: it is no file of a disk.")
        folder = Path(os.path.realpath(place)).parent
        if not os.access(folder, os.W_OK) or (place.exists() and not os.access(place, os.W_OK)):
            raise FileError(f"{path} cannot be written: no permission.")
        if not overwrite and place.exists() and place.stat().st_size and not _is_ours(place):
            raise FileError(
                f"{path} is there and holds something else than a fit: choose another name, or say that it may go, "
                "overwrite=True (--overwrite on the command line)."
            )
    except (OSError, ValueError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be written: {_reason(error)}.") from error


def read(path: str | PathLike[str]) -> tuple[xr.DataTree, bool]:
    """All that is in a file, in memory; and whether it has a checksum.

    Raises:
        ArgumentError: It is no path.
        FileError: There is no such file, it is damaged, or it is none of ours.
    """
    place = _path(path)
    try:
        signed = _check_signature(place, path)
        _look_over(place)
        # without a fixed unit dates before 1678 and after 2261 could not be read
        with xr.open_datatree(
            place,
            engine="h5netcdf",
            phony_dims="access",
            decode_times=CFDatetimeCoder(time_unit="us"),
            decode_timedelta=False,
        ) as lazy:
            return _loaded(lazy, path), signed
    except FileError:
        raise
    except FileNotFoundError:
        raise FileError(f"There is no file {path}.") from None
    except Exception as error:  # a damaged file shows as any exception, anywhere in three libraries
        raise FileError(f"{path} cannot be read as a netCDF file.") from error


def _path(path: Any) -> Path:
    if not isinstance(path, str | PathLike) or not isinstance(os.fspath(path), str) or not str(path):
        raise ArgumentError(f"The path of a file is a text, as 'fit.nc', not {shown(path)}.")
    return Path(path)


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return strerror(number) if number else str(error)


def _is_ours(place: Path) -> bool:
    """Whether a file holds a fit, be it damaged or of an older version."""
    if _signature(place) is not None:
        return True
    try:
        with h5py.File(place) as file:
            return MODEL in file.attrs
    except (OSError, ValueError, RuntimeError):
        return False


def _sign(place: Path) -> None:
    digest = _digest(place, place.stat().st_size)
    with place.open("ab") as file:
        file.write(MARK + digest)
        file.flush()
        os.fsync(file.fileno())


def _digest(place: Path, size: int) -> bytes:
    """SHA-256 of a file's first bytes."""
    digest = sha256()
    with place.open("rb") as file:
        while size > 0 and (piece := file.read(min(size, 2**20))):
            digest.update(piece)
            size -= len(piece)
    return digest.digest()


def _signature(place: Path) -> bytes | None:
    """The checksum that a file ends with, if it does."""
    with place.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SIGNATURE))
        end = file.read(SIGNATURE)
    return end[len(MARK) :] if len(end) == SIGNATURE and end.startswith(MARK) else None


def _check_signature(place: Path, path: str | PathLike[str]) -> bool:
    """Whether a file ends with a checksum, which must be that of its bytes."""
    if place.exists() and not place.is_file():
        raise FileError(f"{path} cannot be read as a netCDF file: it is a folder or a device.")
    expected = _signature(place)
    if expected is None:
        return False
    if _digest(place, place.stat().st_size - SIGNATURE) != expected:
        raise FileError(f"{path} is damaged: its bytes are not those that were saved (SHA-256).")
    return True


def _loaded(lazy: xr.DataTree, path: str | PathLike[str]) -> xr.DataTree:
    if MODEL not in lazy.attrs:
        raise FileError(f"{path} holds no fit of mixedbayes.")
    return lazy.load()


def _look_over(place: Path) -> None:
    """Refuse a file that reads from others, is built in a circle, or unpacks to far more than it holds."""
    _check_superblock(place)
    _check_heaps(place)
    _check_attribute_lengths(place)
    bound = max(SMALL, MAX_UNPACKING * place.stat().st_size)
    total = sets = attributes = 0
    with h5py.File(place) as file:  # h5netcdf would leave an unraisable exception behind what is no HDF5
        for item in _items(file, place):
            sets, attributes = sets + 1, attributes + len(item.attrs)
            if sets > MAX_SETS or attributes > MAX_ATTRIBUTES:
                raise FileError(
                    f"{place} has more than {MAX_SETS:,} data sets or {MAX_ATTRIBUTES:,} attributes, far more than a fit has."
                )
            for size in _sizes(item, place):
                total += size
                if total > bound:
                    raise FileError(
                        f"{place} unpacks to {total / 2**30:,.1f} GiB or more, far more than it can hold."
                    )


def _check_superblock(place: Path) -> None:
    """Refuse a file with a block for a driver: HDF5 would take as much memory as it asks for, and no fit has one.

    Source: HDF5 File Format Specification 3.0, section II.A, superblocks of versions 0 and 1.
    """
    with place.open("rb") as file:
        start = file.read(64)
    driver = {0: slice(48, 56), 1: slice(52, 60)}.get(start[8] if len(start) == 64 else -1)
    if start.startswith(b"\x89HDF") and driver and start[driver] != b"\xff" * 8:
        raise FileError(f"{place} cannot be read as a netCDF file: it asks for a driver.")


def _check_heaps(place: Path) -> None:
    """Refuse a file with a heap of texts in which an object has no length: HDF5 would look for the next without end.

    Source: HDF5 File Format Specification 3.0, section III.E, global heaps.
    """
    head = b"GCOL\x01\x00\x00\x00"
    with place.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        at = content.find(head)
        while at >= 0:
            place_of, end = at + 16, at + int.from_bytes(content[at + 8 : at + 16], "little")
            while place_of + 16 <= end <= len(content):
                number = int.from_bytes(content[place_of : place_of + 2], "little")
                size = int.from_bytes(content[place_of + 8 : place_of + 16], "little")
                need = 16 + (size + 7) // 8 * 8 if number else size  # object 0 is what is free
                if not 0 < need <= end - place_of:
                    raise FileError(f"{place} cannot be read as a netCDF file: its texts have no end.")
                place_of += need
            at = content.find(head, at + 8)


IN_16_BYTES = b"\x00\x10\x00\x00\x00"
VLEN = re.compile(
    rb"[\x19-\x49][\x00-\x21][\x00\x01]" + IN_16_BYTES +  # what has lengths of its own
    rb".{8}(?:.{4}(?:\x00{4})?)?"  # of what it is: references in 8 bytes, characters in 12, with 4 to fill up
    rb"(?:\x01(?P<rank>[\x00-\x20])(?P<most>[\x00\x01])\x00{5}|\x02(?P<rank2>[\x00-\x20])(?P<most2>[\x00\x01])[\x00-\x02])",
    re.DOTALL,
)  # fmt: skip
"""A datatype and the dataspace behind it, as attributes have them before their value."""


def _check_attribute_lengths(place: Path) -> None:
    """Refuse a file with attributes that say that they are longer than it: HDF5 would take the memory before it looks.

    Source: HDF5 File Format Specification 3.0, sections IV.A.2.b, d and m: dataspaces, datatypes and attributes.
    """
    with place.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        for start, count in _descriptors(content):
            _check_lengths(content[start : start + 16 * count], place)


def _descriptors(content: Any) -> Iterator[tuple[int, int]]:
    """Where the lengths of attributes' values are, and how many: one for each value, of which not too many are read."""
    at = content.find(IN_16_BYTES)  # ten times as fast as the pattern alone
    while at >= 0:
        found = VLEN.match(content, max(at - 3, 0))
        at = content.find(IN_16_BYTES, at + 1)
        if found is None:
            continue
        rank, most = (ord(found[name] or found[f"{name}2"]) for name in ("rank", "most"))
        dims = np.frombuffer(content[found.end() : found.end() + 8 * rank], "<u8").tolist()
        yield found.end() + 8 * rank * (1 + most), min(prod(dims), MAX_UNPACKING)


def _check_text_lengths(item: h5py.Dataset, place: Path) -> None:
    """The same of texts in a data set."""
    start = item.id.get_offset()
    if start is None:
        if item.id.get_storage_size():
            raise FileError(f"{place} has texts in pieces, as no fit has, at {item.name}.")
        return
    with place.open("rb") as file:
        file.seek(start)
        _check_lengths(file.read(16 * item.size), place)


def _check_lengths(descriptors: bytes, place: Path) -> None:
    """Refuse lengths of texts, each in the first 4 of 16 bytes, that are more than the whole file has."""
    lengths = np.frombuffer(descriptors[: len(descriptors) // 16 * 16], "<u4")[::4]
    if lengths.max(initial=0) > place.stat().st_size:
        raise FileError(f"{place} cannot be read as a netCDF file: a text is longer than the file.")


def _items(file: h5py.File, place: Path) -> Iterator[h5py.Group | h5py.Dataset]:
    """The root, its groups and their data sets, each once: a fit has nothing deeper."""
    yield file
    seen = {_address(file)}
    groups: list[tuple[str, h5py.Group]] = [("", file)]
    while groups:
        inside, group = groups.pop()
        for name in group:
            full = f"{inside}{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise FileError(f"{place} points to data outside of it, at {full}.")
            item = group[name]
            if _address(item) in seen:
                raise FileError(f"{place} has one part in two places, the second at {full}.")
            seen.add(_address(item))
            if isinstance(item, h5py.Group):
                if inside or len(groups) >= MAX_GROUPS:
                    raise FileError(f"{place} has more groups than a fit has, such as {full}.")
                groups.append((f"{full}/", item))
            elif not isinstance(item, h5py.Dataset):
                raise FileError(f"{place} has something else than groups and data sets, at {full}.")
            elif item.external or item.is_virtual:
                raise FileError(f"{place} points to data outside of it, at {full}.")
            yield item


def _address(item: h5py.HLObject) -> int:
    """Where an object is in its file, by whatever name it was reached."""
    return int(h5py.h5o.get_info(item.id).addr)


def _sizes(item: h5py.Group | h5py.Dataset, place: Path) -> Iterator[int]:
    """Bytes that attributes and numbers take in memory, before any are read that could be many."""
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        count = prod(attribute.shape)
        if not attribute.dtype.hasobject or _is_reference(attribute.dtype):
            yield count * attribute.dtype.itemsize
        elif attribute.get_type().committed():  # its lengths are not where `_check_attribute_lengths` looks
            raise FileError(f"{place} has an attribute of a type that stands elsewhere, {name!r}.")
        elif _is_text(attribute.dtype) or _is_dimensions(attribute.dtype):
            if count > MAX_UNPACKING:
                raise FileError(f"{place} has an attribute of {count:,} texts, {name!r}.")
            yield _length_of_all(item.attrs[name])
        else:
            raise FileError(f"{place} has an attribute of a kind that no fit has, {name!r}.")
    if isinstance(item, h5py.Dataset):
        if item.dtype.hasobject and not _is_text(item.dtype):
            raise FileError(f"{place} has values of a kind that no fit has, at {item.name}.")
        yield max(item.nbytes, prod(item.chunks or ()) * item.dtype.itemsize)
        if item.dtype.hasobject and item.size:
            _check_text_lengths(item, place)
            yield from map(_length_of_all, _pieces(item))


def _pieces(item: h5py.Dataset) -> Iterator[Any]:
    """Texts, a few at once: each may be as long as the file."""
    if not item.shape:
        yield item[()]
        return
    for leading in np.ndindex(item.shape[:-1]):
        for start in range(0, item.shape[-1], MAX_UNPACKING):
            yield item[(*leading, slice(start, start + MAX_UNPACKING))]


def _length_of_all(texts: Any) -> int:
    return sum(map(_length, np.ravel(np.asarray(texts, dtype=object))))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | np.ndarray) else 8


def _is_text(dtype: np.dtype[Any]) -> bool:
    return h5py.check_string_dtype(dtype) is not None


def _is_reference(dtype: np.dtype[Any]) -> bool:
    """A reference to an object of the file, or a record of them and of numbers: as REFERENCE_LIST has."""
    if dtype.fields is not None:
        return all(not field[0].hasobject or _is_reference(field[0]) for field in dtype.fields.values())
    return h5py.check_ref_dtype(dtype) is not None


def _is_dimensions(dtype: np.dtype[Any]) -> bool:
    """For each dimension the references to what it is: as DIMENSION_LIST has."""
    inside = h5py.check_vlen_dtype(dtype)
    return inside is not None and h5py.check_ref_dtype(inside) is not None
