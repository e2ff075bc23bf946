"""Rewriting what an OBJ file and its material libraries may hold and their reader would misunderstand."""

from __future__ import annotations

import re

from img23d.io.beside import Beside
from img23d.io.polygons import with_concave_cut

LIBRARY = re.compile(rb"^mtllib +(.*)$", re.MULTILINE)
MERGED = "img23d materials.mtl"
WITH_UV, WITHOUT_UV = re.compile(rb"\nf +-?\d+/-?\d"), re.compile(rb"\nf +-?\d+(?: |/ |//)")
RELATIVE = re.compile(rb"\nf +(?:\d*/){0,2}-\d")
NO_UV = "without texture coordinates"
_NUMBER = r"[-+]?[\d.]+(?:e[-+]?\d+)?"
OPTION = re.compile(rf"-(imfchan|type) +(\S+) +|-([a-z]+)((?: +(?:on|off|{_NUMBER})(?= ))*) +", re.IGNORECASE)
HARMLESS = {"s": {1.0}, "o": {0.0}, "t": {0.0}}  # values with which an option leaves the picture in its place
COLORFUL = ("mm", "clamp")


def prepared_obj(data: bytes, beside: Beside, warnings: list[str]) -> bytes:
    """An OBJ file's text in the plain style that its reader knows.

    Blanks, line ends and negative numbers are made plain; concave polygons are cut; all material libraries become one, which
    ``beside`` then finds; faces without texture coordinates get a material of their own, since they would take the others' away.

    Args:
        data: the file's bytes.
        beside: finds its material libraries and pictures.
        warnings: gets a line for all that is not honoured.
    """
    data = _absolute(with_concave_cut(_tidy(data)))
    found = LIBRARY.findall(data)
    if found:
        materials = [line for name in _names(found, beside) for line in _library(name, beside, warnings)]
        beside.written[MERGED] = "\n".join([*materials, *_without_pictures(materials)]).encode()
        data = f"mtllib {MERGED}\n".encode() + LIBRARY.sub(b"", data)
    return _separated(b"\n" + data)


def _tidy(data: bytes) -> bytes:
    """UTF-8 text with plain line ends, without tabs and blanks before its words."""
    if not data.isascii():
        from trimesh.util import decode_text

        data = decode_text(data).removeprefix("\ufeff").encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = data.replace(b"\\\n", b" ").replace(b"\t", b" ")
    return re.sub(rb"^ +", b"", data, flags=re.MULTILINE) if b"\n " in data or data.startswith(b" ") else data


def _absolute(data: bytes) -> bytes:
    """Negative numbers, which count back from the line they stand in, as positive ones: the reader counts back from the file's end."""
    if not RELATIVE.search(data):
        return data
    counts, lines = {b"v": 0, b"vt": 0, b"vn": 0}, data.split(b"\n")
    for place, line in enumerate(lines):
        word = line.split(b" ", 1)[0]
        if word in counts:
            counts[word] += 1
        elif word == b"f" and b"-" in line:
            corners = [corner.split(b"/") for corner in line.split(b"#")[0].split()[1:]]
            totals = list(counts.values())
            for corner in corners:
                for column, number in enumerate(corner):
                    if number.startswith(b"-"):
                        corner[column] = str(totals[column] + 1 + int(number)).encode()
            lines[place] = b"f " + b" ".join(b"/".join(corner) for corner in corners)
    return b"\n".join(lines)


def _names(lines: list[bytes], beside: Beside) -> list[str]:
    """The files that ``mtllib`` lines name: one a line, whose name may hold blanks, or several."""
    names = []
    for line in lines:
        whole = line.decode().strip()
        parts = whole.split()
        several = beside.find(whole) is None and any(beside.find(part) is not None for part in parts)
        names += parts if several else [whole]
    return names


def _library(name: str, beside: Beside, warnings: list[str]) -> list[str]:
    """The lines of a material library without comments, and with nothing but the name in those of pictures."""
    from trimesh.util import decode_text

    try:
        text = decode_text(beside.get(name)).removeprefix("\ufeff")
    except FileNotFoundError:
        return []  # noted by ``beside``
    lines = []
    for written in text.splitlines():
        line = " ".join(written.split("\t")).strip()
        word, _, rest = line.partition(" ")
        plain = re.split(r"(?:^| )#", rest)[0].strip()
        if word.lower() == "map_kd" and rest.strip():
            picture, moved = (rest.strip(), False) if beside.find(rest.strip()) else _without_options(plain)
            lines.append(f"map_Kd {picture}")
            if moved:
                warnings.append(f"{name} moves or changes the picture {picture}, which is not honoured: it is used as it is")
        elif not word.startswith("#"):
            lines.append(f"{word} {plain}")
    return lines


def _without_options(value: str) -> tuple[str, bool]:
    """A picture's name without the options before it, and whether any of them changes what is seen."""
    changed = False
    while match := OPTION.match(value):
        name, arguments = (match[3] or "").lower(), (match[4] or "").split()
        numbers = {float(argument) for argument in arguments} if name in HARMLESS else set()
        changed = changed or not numbers <= HARMLESS.get(name, set())
        changed = changed or (name in COLORFUL and arguments not in (["off"], ["0", "1"]))
        value = value[match.end() :]
    return value, changed


def _without_pictures(materials: list[str]) -> list[str]:
    """A second one of each material, for faces that cannot show its picture."""
    kept = [line for line in materials if not line.lower().startswith("map_")]
    return [f"{line} {NO_UV}" if line.lower().startswith("newmtl ") else line for line in kept]


def _separated(data: bytes) -> bytes:
    """Faces without texture coordinates under a material of their own, where others have them."""
    if not (WITH_UV.search(data) and WITHOUT_UV.search(data)):
        return data
    lines, material, bare = [], b"", False
    for line in data.split(b"\n"):
        if line.startswith(b"usemtl "):
            material, bare = line[7:].strip(), False
        elif line.startswith(b"f ") and (without := WITHOUT_UV.match(b"\n" + line) is not None) != bare:
            bare = without
            lines.append(b"usemtl " + (material + b" " + NO_UV.encode() if bare else material or b"-"))
        lines.append(line)
    return b"\n".join(lines)
