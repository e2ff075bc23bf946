"""Colours for what the photo does not see: guesses laid one over the other, each shifted to meet the next without a step.

A layer is a guess with a trust between 0 and 1: the photo itself, its mirror image, a learnt back, the photo blurred and seen from
behind. They are painted in order, the most trusted last. Where a layer ends, what lies below is shifted by a smooth field on the
surface so that both agree along the border; the shift fades with distance where the lower layer is itself trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from img23d.ops.bake import interpolate
from img23d.ops.membrane import Membrane
from img23d.scene import Mesh

# A layer's colours take hold over this length, and a shift fades over the other on a fully trusted layer; object units.
GRIP, FADE = 0.008, 0.25
# Trust in a layer from which nothing of the detail below shows through.
GHOSTLY = 0.3
# Trust of having nothing at all: keeps the problem solvable on parts that no layer reaches.
NOTHING = 1e-3


@dataclass(frozen=True)
class Surface:
    """Where colours live: fine detail on texels, the smooth shifts on the vertices of a mesh.

    Args:
        mesh: N vertices, F faces, about as fine as the smallest features that colours should be matched over.
        face: (P,) int64, face of the mesh under each texel.
        barycentric: (P, 3) weights of its corners.
        membrane: of the mesh.
    """

    mesh: Mesh
    face: Tensor
    barycentric: Tensor
    membrane: Membrane

    def at_texels(self, values: Tensor) -> Tensor:
        """(P, C) from (N, C) values at the vertices."""
        return interpolate(values, self.mesh.faces, self.face, self.barycentric)


@dataclass(frozen=True)
class Layer:
    """Colours and how far they are trusted, at vertices and texels.

    Args:
        vertex_rgb: (N, 3), without detail finer than the mesh.
        vertex_trust: (N,) 0..1.
        texel_rgb: (P, 3).
        texel_trust: (P,) 0..1.
    """

    vertex_rgb: Tensor
    vertex_trust: Tensor
    texel_rgb: Tensor
    texel_trust: Tensor


def plain_layer(surface: Surface, rgb: Tensor) -> Layer:
    """One colour everywhere, (3,), hardly trusted: the ground that everything is painted on."""
    vertices, texels = len(surface.mesh.vertices), len(surface.face)
    trust = rgb.new_full((vertices,), NOTHING), rgb.new_full((texels,), NOTHING)
    return Layer(rgb.expand(vertices, 3), trust[0], rgb.expand(texels, 3), trust[1])


def smooth_layer(surface: Surface, vertex_rgb: Tensor, vertex_trust: Tensor) -> Layer:
    """A layer that has no detail finer than the mesh: (N, 3) colours and (N,) trust."""
    both = surface.at_texels(torch.cat([vertex_rgb, vertex_trust[:, None]], -1))
    return Layer(vertex_rgb, vertex_trust, both[:, :3], both[:, 3])


def lay_over(surface: Surface, below: Layer, above: Layer) -> Layer:
    """Paint one layer over another so that no step shows where the upper one ends.

    With u the shift of the lower layer, u minimises |grad u|^2 + trust_above / GRIP^2 |u - (above - below)|^2
    + (1 - trust_above) trust_below / FADE^2 |u|^2 over the surface.

    Args:
        surface: the mesh and its texels.
        below: what is there.
        above: what is painted; where its trust is 0 only its influence on the shift remains.

    Returns:
        The layer of both; its trust is that of the better one.

    Reference: Perez et al., Poisson image editing (2003), with a screening term and on a surface.
    """
    trust = above.vertex_trust
    below_trust = below.vertex_trust.clamp(min=NOTHING)
    shift = surface.membrane.fit(above.vertex_rgb - below.vertex_rgb, trust.square() / GRIP**2, (1 - trust) * below_trust / FADE**2)
    vertex = torch.lerp(below.vertex_rgb + shift, above.vertex_rgb, trust[:, None])
    # The shift makes the lower layer look like the upper one, but for detail finer than the mesh: left there, it would be a ghost.
    ground = torch.cat([below.vertex_rgb, below.vertex_rgb + shift], -1)
    old, new = surface.at_texels(ground).split(3, dim=-1)
    detail = (below.texel_rgb - old) * (1 - above.texel_trust[:, None] / GHOSTLY).clamp(min=0)
    texel = torch.lerp(new + detail, above.texel_rgb, above.texel_trust[:, None])
    return Layer(
        vertex.clamp(0, 1),
        torch.maximum(trust, below.vertex_trust),
        texel.clamp(0, 1),
        torch.maximum(above.texel_trust, below.texel_trust),
    )


def scaled(layer: Layer, factor: float) -> Layer:
    """The same layer, trusted less by a factor 0..1."""
    return replace(layer, vertex_trust=layer.vertex_trust * factor, texel_trust=layer.texel_trust * factor)
