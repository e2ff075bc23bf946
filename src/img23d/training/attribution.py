"""Who made the objects that the embedded networks learnt from, as the licences ask to be told."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from img23d.errors import InputError

INTRODUCTION = """# Objects that the embedded networks learnt from

The weights in `src/img23d/priors/weights` were trained on renders of the objects below and of objects made by code of this project.
No object is part of the project. Every object was normalised in size, its textures were reduced, and it was deformed and recoloured at
random while training; nobody named here endorses img23d. This page is written by `img23d.training.attribution` from the data's manifest.
"""

LINKS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "MIT": "https://opensource.org/license/mit",
    "MIT-0": "https://opensource.org/license/mit-0",
}


def attribution_page(folder: str | Path) -> str:
    """A Markdown page with every object of a folder's manifest, by licence and author.

    Raises:
        InputError: the folder has no manifest.
    """
    manifest = Path(folder) / "manifest.json"
    if not manifest.is_file():
        raise InputError(f"{folder} has no manifest.json", "a folder whose manifest tells source, licence and attribution")
    entries: list[dict[str, Any]] = json.loads(manifest.read_text())
    by_licence: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        by_licence[entry["licence"]][author(entry.get("attribution", ""))].append(entry["name"])
    lines = [INTRODUCTION]
    for licence in sorted(by_licence, key=lambda name: (not name.startswith("CC-BY"), name)):
        authors = by_licence[licence]
        count = sum(map(len, authors.values()))
        link = LINKS.get(licence)
        lines.append(f"\n## {f'[{licence}]({link})' if link else licence}: {count} objects\n")
        for who in sorted(authors, key=str.lower):
            lines.append(f"- {who}: {', '.join(sorted(authors[who]))}")
    return "\n".join(lines) + "\n"


def author(told: str) -> str:
    """An attribution in plain words; some manifests hold JSON with names and links."""
    try:
        people = json.loads(told)
    except ValueError:
        return told.replace(" library ", ", ") or "unknown"
    people = people if isinstance(people, list) else [people]
    return "; ".join(f"{person['name']} ({person['link']})" if person.get("link") else str(person["name"]) for person in people)
