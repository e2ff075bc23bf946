"""Names of weights in a U-Net of the first latent diffusion code, as diffusers' UNet2DConditionModel has them.

Reference: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022), whose released code numbers the blocks on
    the way down and up through, wherever a level begins.
"""

from __future__ import annotations

from torch import Tensor

# The layers of a residual block, and what stands before the first and after the last block. A camera comes in as diffusers' class does.
RESIDUAL = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj", "out_layers.0": "norm2", "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}  # fmt: skip
ENDS = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "camera_embed.0": "class_embedding.linear_1", "camera_embed.2": "class_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip
# Of attention that reads a picture beside the text: see `img23d.backends.picture_prompts`.
PICTURE_KEYS, PICTURE_VALUES = (".attn2.to_k_ip.", ".attn2.processor.to_k_ip."), (".attn2.to_v_ip.", ".attn2.processor.to_v_ip.")


def module_names(blocks: tuple[int, ...], attends: tuple[bool, ...]) -> dict[str, str]:
    """What diffusers calls each module; within attention the names are the same.

    Args:
        blocks: residual blocks of each level on the way down, finest first; one more on the way up.
        attends: whether the blocks of a level have attention.
    """
    names, coarsest = dict(ENDS), len(blocks) - 1

    def residual(theirs: str, ours: str) -> None:
        names.update({f"{theirs}.{layer}": f"{ours}.{name}" for layer, name in RESIDUAL.items()})

    number = 1
    for level, count in enumerate(blocks):
        for block in range(count):
            residual(f"input_blocks.{number}.0", f"down_blocks.{level}.resnets.{block}")
            if attends[level]:
                names[f"input_blocks.{number}.1"] = f"down_blocks.{level}.attentions.{block}"
            number += 1
        if level < coarsest:
            names[f"input_blocks.{number}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            number += 1
    residual("middle_block.0", "mid_block.resnets.0")
    names["middle_block.1"] = "mid_block.attentions.0"
    residual("middle_block.2", "mid_block.resnets.1")
    number = 0
    for level in reversed(range(len(blocks))):
        up = f"up_blocks.{coarsest - level}"
        for block in range(blocks[level] + 1):
            residual(f"output_blocks.{number}.0", f"{up}.resnets.{block}")
            if attends[level]:
                names[f"output_blocks.{number}.1"] = f"{up}.attentions.{block}"
            if level and block == blocks[level]:
                names[f"output_blocks.{number}.{1 + attends[level]}.conv"] = f"{up}.upsamplers.0.conv"
            number += 1
    return names


def renamed(tensors: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    """The same tensors by diffusers' names; one whose module is not among ``names`` keeps its own."""
    return {_renamed(key, names).replace(*PICTURE_KEYS).replace(*PICTURE_VALUES): tensor for key, tensor in tensors.items()}


def _renamed(key: str, names: dict[str, str]) -> str:
    parts = key.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:length])
        if module in names:
            return ".".join([names[module], *parts[length:]])
    return key
