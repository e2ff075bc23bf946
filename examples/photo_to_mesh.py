"""One photo to a GLB, from Python: the five stages, one after the other, with everything in between to look at.

usage: python examples/photo_to_mesh.py PHOTO OUT.glb [key.path=value ...]
"""

import sys
from pathlib import Path

from img23d import config, pipeline


def main(photo: str, out: str, *overrides: str) -> None:
    options = config.load("standard", overrides)
    result = pipeline.generate(Path(photo), Path(out), options, report=show)
    print(f"\n{result.path}: {result.figures['faces']:.0f} faces in {sum(result.seconds.values()):.1f} s")
    print(f"every step in pictures: {result.run_folder}")
    for line in result.warnings:
        print("note:", line)


def show(stage: str, fraction: float, text: str) -> None:
    print(f"\r{stage:>10} {fraction:4.0%} {text:40.40}", end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
