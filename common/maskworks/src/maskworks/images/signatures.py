"""What a file is by its first bytes, for messages about files that are not read."""

from __future__ import annotations

_STARTS = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "a Photoshop file"), (b"%PDF", "a PDF document"), (b"%!PS", "PostScript"), (b"<svg", "SVG"),
    (b"\x76\x2f\x31\x01", "OpenEXR"), (b"#?RADIANCE", "Radiance HDR"), (b"DDS ", "DDS"), (b"qoif", "QOI"),
    (b"\0\0\1\0", "a Windows icon"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"SIMPLE  =", "FITS"), (b"NRRD000", "NRRD"),
    (b"\x93NUMPY", "a NumPy array"), (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"Rar!\x1a\x07", "a RAR archive"), (b"\x1aE\xdf\xa3", "a Matroska video"),
    (b"OggS", "Ogg"), (b"ID3", "MP3"), (b"\x7fELF", "a program"), (b"MZ", "a Windows program"),
    (b"<!DOCTYPE html", "an HTML page"), (b"<html", "an HTML page"), (b"<?xml", "XML"), (b"{", "JSON"),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS, not the file itself"),
)  # fmt: skip
_NETPBM = tuple(f"P{kind}".encode() for kind in (*range(1, 8), "f", "F"))
# Behind the size and `ftyp` at the start of files of this family.
_BRANDS = (
    (b"avif", "AVIF"), (b"avis", "AVIF"), (b"heic", "HEIC"), (b"heix", "HEIC"), (b"heim", "HEIC"), (b"heis", "HEIC"),
    (b"hevc", "HEIC"), (b"mif1", "HEIC"), (b"msf1", "HEIC"), (b"crx ", "a raw photo (CR3)"), (b"qt  ", "a video"),
)  # fmt: skip


def kind_of(data: bytes | bytearray) -> str:
    """The kind of a file, for people; "" if it is not known."""
    head = bytes(data[:256])
    if head[4:8] == b"ftyp":
        return next((name for brand, name in _BRANDS if head[8:12] == brand), "a video")
    if head[:2] in _NETPBM and head[2:3].isspace():
        return "a Netpbm image"
    if head[128:132] == b"DICM":
        return "DICOM"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for start, name in _STARTS if head.startswith(start) or text[:20].startswith(start)), "")
