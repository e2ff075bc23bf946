"""What the embedded network adds: the same photo with the rounded silhouette and with the learnt prior, side by side in one PNG.

usage: python examples/compare_priors.py PHOTO OUT.png [key.path=value ...]
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from img23d import config, pipeline


def main(photo: str, out: str, *overrides: str) -> None:
    sheets = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("inflate", "auto"):
            options = config.load("draft", [f"prior.kind={kind}", "export.viewer=false", *overrides])
            result = pipeline.generate(Path(photo), Path(folder) / kind, options)
            with Image.open(result.run_folder / "preview.png") as sheet:
                sheets.append(sheet.convert("RGB"))
            print(f"{kind}: {sum(result.seconds.values()):.1f} s")
    both = Image.new("RGB", (max(s.width for s in sheets), sum(s.height for s in sheets)), "white")
    top = 0
    for sheet in sheets:
        both.paste(sheet, (0, top))
        top += sheet.height
    both.save(out)
    print(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
