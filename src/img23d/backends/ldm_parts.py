"""Names of weights of an autoencoder of the first latent diffusion code, and of OpenAI's CLIP, as diffusers and transformers have them.

Reference: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models (2022), and Radford et al., Learning Transferable
    Visual Models From Natural Language Supervision (2021), by what their released code calls the layers.
"""

from __future__ import annotations

import re

from torch import Tensor

_AUTOENCODER = (
    (r"\.down\.(\d+)\.block\.", r".down_blocks.\1.resnets."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.norm\.", ".mid_block.attentions.0.group_norm."),
    (r"\.mid\.attn_1\.([qkv])\.", r".mid_block.attentions.0.to_\1."),
    (r"\.mid\.attn_1\.proj_out\.", ".mid_block.attentions.0.to_out.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"coder\.norm_out\.", "coder.conv_norm_out."),
)
_ENCODER = (
    (r"^class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^ln_post\.", "vision_model.post_layernorm."),
    (r"^proj$", "visual_projection.weight"),
    (r"^transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


def autoencoder(tensors: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """The same tensors as diffusers' AutoencoderKL has them.

    Args:
        tensors: by the names of the first latent diffusion code, which counts the decoder's levels from the finest too.
        levels: of the encoder, as many as the decoder has.
    """
    found = {}
    for name, tensor in tensors.items():
        ours = _replaced(name, _AUTOENCODER)
        if up := re.match(r"decoder\.up\.(\d+)\.(block|upsample)\.", ours):
            part = "resnets" if up[2] == "block" else "upsamplers.0"
            ours = f"decoder.up_blocks.{levels - 1 - int(up[1])}.{part}.{ours[up.end() :]}"
        # Its attention is of convolutions that see one place; diffusers' of plain layers.
        linear = ".mid_block.attentions.0." in ours and tensor.dim() == 4
        found[ours] = tensor[:, :, 0, 0] if linear else tensor
    return found


def picture_encoder(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as transformers' CLIPVisionModelWithProjection has them; ``tensors`` are those of the original's visual part."""
    found = {}
    for name, tensor in tensors.items():
        ours = _replaced(name, _ENCODER)
        if together := re.fullmatch(r"(.*)\.attn\.in_proj_(weight|bias)", ours):
            for part, rows in zip("qkv", tensor.chunk(3)):
                found[f"{together[1]}.self_attn.{part}_proj.{together[2]}"] = rows
        else:
            found[ours] = tensor.T if name == "proj" else tensor
    return found


def _replaced(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, instead in rules:
        name = re.sub(pattern, instead, name)
    return name
