"""Files beside the pictures: small, valid PDFs, tables, and stand-ins for movies. All made up, all deterministic."""

from __future__ import annotations

import io
import zipfile

from biomedica_assets.sample.pictures.canvas import generator


def supplement(name: str, owner: str) -> bytes:
    """Bytes of a supplement by its extension: pdf, csv, xlsx (an empty workbook's container), mp4 (header only)."""
    rng = generator(owner, name)
    ending = name.rsplit(".", 1)[-1].lower()
    if ending == "pdf":
        return pdf(f"Supplementary file {name}")
    if ending == "csv":
        rows = "\n".join(f"S{i:02d},{rng.uniform(0, 9):.3f},{rng.uniform(0, 9):.3f}" for i in range(30))
        return f"sample,before,after\n{rows}\n".encode()
    if ending == "xlsx":
        return _zip({"[Content_Types].xml": "<Types/>", "xl/workbook.xml": "<workbook/>"})
    if ending in ("mp4", "mov"):
        return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + rng.bytes(2000)
    return f"Supplement {name} of {owner}\n".encode()


def pdf(title: str) -> bytes:
    """A one-page PDF that shows its title."""
    shown = title.encode("latin-1", "replace").replace(b"\\", b"").replace(b"(", b"[").replace(b")", b"]")
    stream = b"BT /F1 12 Tf 60 760 Td (" + shown[:90] + b") Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for n, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%s\nendobj\n" % (n, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _zip(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()
