"""What a file is by its first bytes, for messages about files that are not read."""

from __future__ import annotations

from pathlib import Path

from maskworks.images.heif import is_heic
from maskworks.regular_file import open_regular

_HEAD = 256  # bytes that tell the kind of a file
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WebP", "GIF", "AVIF", "HEIC")
_READ = (
    (b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"BM", "BMP"), (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
)  # fmt: skip
_OTHERS = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\xff\x0a", "JPEG XL"), (b"II\xbc\x01", "JPEG XR"),
    (b"IIU\0", "a raw photo (RW2)"), (b"IIRO", "a raw photo (ORF)"), (b"MMOR", "a raw photo (ORF)"),
    (b"FUJIFILMCCD-RAW", "a raw photo (RAF)"), (b"FOVb", "a raw photo (X3F)"),
    (b"8BPS", "a Photoshop file"), (b"%PDF", "a PDF document"), (b"%!PS", "PostScript"), (b"gimp xcf", "a GIMP file"),
    (b"\x76\x2f\x31\x01", "OpenEXR"), (b"#?RADIANCE", "Radiance HDR"), (b"DDS ", "DDS"), (b"qoif", "QOI"),
    (b"\0\0\1\0", "a Windows icon"), (b"icns", "a Mac icon"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"SIMPLE  =", "FITS"),
    (b"CDF\1", "NetCDF"), (b"CDF\2", "NetCDF"), (b"NRRD000", "NRRD"), (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "a gzip file"), (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"), (b"\x1aE\xdf\xa3", "a Matroska video"), (b"OggS", "Ogg"), (b"ID3", "MP3"),
    (b"\x7fELF", "a program"), (b"MZ", "a Windows program"),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS, not the file itself"),
)  # fmt: skip
# Behind a byte order mark and blanks, in small letters.
_TEXTS = (
    (b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "SVG"), (b"<?xml", "XML"),
    (b"{", "JSON"),
)  # fmt: skip
_NETPBM = b"123456fF7"
# Behind the size and `ftyp` at the start of files of this family.
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"crx ": "a raw photo (CR3)", b"jxl ": "JPEG XL", b"qt  ": "a video"}


def kind_of(data: bytes | bytearray) -> str:
    """The kind of a file, one of FORMATS if it is read; "" if it is not known."""
    head = bytes(data[:_HEAD])
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WebP"
    if is_heic(head):
        return "HEIC"
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return "a raw photo (CR2)"
    return next((name for start, name in _READ if head.startswith(start)), "") or _other_kind(head)


def kind_of_file(path: Path) -> str:
    """`kind_of` a file that may be large.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    with open_regular(path) as file:
        return kind_of(file.read(_HEAD))


def unread(data: bytes | bytearray) -> str:
    """What there is to say of a file that no reader knows: its kind, or that it is broken, and what is expected."""
    kind = kind_of(data)
    if kind in FORMATS:
        return f"{kind} that is broken at its start; expected a complete image file"
    found = f"{kind}, which is not read" if kind else "not of a known format"
    return f"{found}; expected {', '.join(FORMATS)}"


def _other_kind(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "a video")
    if head[:1] == b"P" and head[1:2] in _NETPBM and head[2:3].isspace():
        return "a Netpbm image"
    if head[:4] == b"RIFF":
        return "AVI or WAV"
    if head[128:132] == b"DICM":
        return "DICOM"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    found = (name for start, name in _OTHERS if head.startswith(start))
    return next(found, next((name for start, name in _TEXTS if text.startswith(start)), ""))
