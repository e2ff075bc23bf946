"""What refine's two kinds of grid share: their interface, their first distances, how fine they are."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from img23d.config import Refine
from img23d.fields.grid import FrozenGrid, SdfField
from img23d.ops.necks import necks
from img23d.ops.strands import Balls, ball_distance, drawn_in, large_parts, lost_strands
from img23d.ops.volume import sample_volume, volume_points
from img23d.scene import Mesh, Views
from img23d.stages.context import Context

BAND_RINGS = 2
NEAR = 1.5  # spacings: parts thinner than a cell lie so near to some of its corners
THIN = 0.05  # object units: half-width of what counts as a strand
SEARCHED = 112  # samples along each side of the volume in which lost parts are searched for
CRUMB = 0.03  # share of the largest part's volume: smaller parts are crumbs, as are left of a strand
STRAND = 0.7  # cells: radius of strands that a grid shows in one piece
NECK = 0.01  # object units: what is joined by less depth than this may be worn through
ALL = 0.999  # of the samples about a point
SMALL_AREA, FINEST = 2.0, 1.5  # square object units; the cube has 24


class DeformableGrid(Protocol):
    """The learnable state: a grid, the change of its signed distances, the vertices' offsets, and which vertices may move.

    The distances are the field's plus a learnt change, so that a subdivided grid takes the field's own values at its new vertices
    instead of the facets of the coarse grid. The surface comes with how uneven it is, a loss in units of the grid.
    """

    change: Tensor
    offset: Tensor
    spacing: float
    free: Tensor
    smoothing: ClassVar[float]  # share of the rounds of smoothing that this kind of surface needs

    def sdf(self) -> Tensor:
        """(N,) signed distances."""
        ...

    def vertices(self) -> Tensor:
        """(N, 3) deformed positions."""
        ...

    def edges(self) -> Tensor:
        """(E, 2) int64, each edge of the grid once."""
        ...

    def surface(self, sdf: Tensor, context: Context, final: bool = False) -> tuple[Tensor, Tensor, Tensor | float]:
        """Vertices (M, 3), faces (F, 3) and unevenness of the surface of these distances, to learn from or, ``final``, to keep."""
        ...

    def learnt(self, options: Refine, slower: float) -> list[dict[str, Any]]:
        """Adam's groups of what is learnt, each with ``frozen``, the rows that stay."""
        ...

    def parted(self, context: Context) -> Parted:
        """What may move of the grid, apart from the rest."""
        ...

    def subdivided(self, field: SdfField, context: Context) -> DeformableGrid:
        """The part of the grid round the surface, split in eight, where it is now."""
        ...


class Parted(NamedTuple):
    """What may move of a grid, and the surface of the rest, which is found only once: most of a cup is known, and only its handle moves.

    The two surfaces meet vertex by vertex but share none, and the outline of what lies still is not antialiased; what moves hardly
    notices either.

    Args:
        moving: the cells with a vertex that may move.
        still: the surface of the others.
        share: of the whole surface's faces that ``moving`` has.
        inside: (N,) bool, which of the whole grid's vertices ``moving`` has.
    """

    moving: DeformableGrid
    still: Mesh
    share: float
    inside: Tensor

    @staticmethod
    def whole(grid: DeformableGrid) -> Parted:
        """All of a grid."""
        nothing = Mesh(grid.offset.new_zeros(0, 3), torch.zeros(0, 3, dtype=torch.long, device=grid.offset.device))
        return Parted(grid, nothing, 1.0, torch.ones_like(grid.free))


@torch.no_grad()
def finer_for_thin(field: SdfField, resolution: int, device: torch.device | str) -> int:
    """A finer grid, up to `FINEST` times, for objects with little surface: thin ones need it and pay no more faces for it."""
    points = volume_points(2 * resolution).reshape(-1, 3).to(device)
    shell = 1.0 / resolution
    area = 8.0 * float((field.sdf(points).abs() < shell).float().mean()) / (2 * shell)
    return round(resolution * min(FINEST, max(1.0, (SMALL_AREA / max(area, 1e-6)) ** 0.5)))


class StrandedField:
    """A field and thin parts that it has lost; see `img23d.ops.strands`.

    Args:
        sdf_volume: (R, R, R) the field's signed distance.
        balls: along the parts.
    """

    def __init__(self, sdf_volume: Tensor, balls: Balls) -> None:
        self.own, self.balls, self.strands = sdf_volume, balls, ball_distance(balls)

    def sdf(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N,) signed distance."""
        return torch.minimum(sample_volume(self.own, x), sample_volume(self.strands, x))

    def held(self, x: Tensor, reach: float) -> Tensor:
        """(N,) bool: within ``reach`` of a strand, and nearer to it than to the field's own surface."""
        strands = sample_volume(self.strands, x)
        return (strands < reach) & (strands < sample_volume(self.own, x))

    def drawn_in(self, vertices: Tensor, reach: float) -> Tensor:
        """(N, 3) vertices of the surface, those on strands moved to where the photo shows the strands' edges.

        Args:
            vertices: (N, 3) of the surface.
            reach: from the field's own surface up to here vertices move less.
        """
        own = sample_volume(self.own, vertices)
        return drawn_in(vertices, self.balls, torch.where(self.held(vertices, reach), (own / reach).clamp(0, 1), 0.0))


class HeldField:
    """A field and where it is to stay as it is: thinner than the pictures' pixels, strands and necks would be worn through.

    Args:
        field: with the strands that were lost, if any.
        necks: (K, 3) places where parts hang together by very little; see `img23d.ops.necks`.
        known: (R, R, R) bool, where the field is known for sure; or None.
    """

    def __init__(self, field: SdfField, necks: Tensor, known: Tensor | None = None) -> None:
        self.field, self.necks, self.known = field, necks, known

    def sdf(self, x: Tensor) -> Tensor:
        """(N, 3) -> (N,) signed distance."""
        return self.field.sdf(x)

    def held(self, x: Tensor, reach: float) -> Tensor:
        """(N,) bool: known, or within ``reach`` of a neck or of a strand."""
        from scipy.spatial import cKDTree

        near = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        if len(self.necks):
            apart, _ = cKDTree(self.necks.cpu().numpy()).query(x.cpu().numpy(), distance_upper_bound=reach)
            near = torch.from_numpy(apart < reach).to(x.device)
        if self.known is not None:
            near = near | (sample_volume(self.known.to(x), x) > ALL)
        return near | self.field.held(x, reach) if isinstance(self.field, StrandedField) else near

    def drawn_in(self, vertices: Tensor, reach: float) -> Tensor:
        """(N, 3) vertices of the surface, those on strands moved to where the photo shows the strands' edges."""
        return self.field.drawn_in(vertices, reach) if isinstance(self.field, StrandedField) else vertices


@torch.no_grad()
def with_thin_parts(field: SdfField, views: Views, whole: bool, cell: float) -> SdfField:
    """The field, what the photo's silhouette shows of thin parts that it has lost, and where it is thin enough to be held.

    Args:
        field: to begin with.
        views: the photo first, with depth.
        whole: whether the object is known to be in one piece: small parts of the field that are apart count as lost then.
        cell: side of the finest grid's cells, object units.
    """
    volume, shown = (sampled(field, size, views.mask) for size in (SEARCHED, min(SEARCHED, round(2 / cell) + 1)))
    volume, shown = (large_parts(part, CRUMB) if whole else part for part in (volume, shown))
    # The field may have what the grid is too coarse to show.
    balls = lost_strands(shown, views, THIN, STRAND * cell, whole, volume)
    thin = necks(volume, NECK)
    known = field.known if isinstance(field, FrozenGrid) else None
    if balls is not None:
        field = StrandedField(field.sdf_volume if isinstance(field, FrozenGrid) and known is not None else volume, balls)
    return field if balls is None and not len(thin) and known is None else HeldField(field, thin, known)


def sampled(field: SdfField, size: int, like: Tensor) -> Tensor:
    """(size, size, size) the field's distances over [-1, 1]^3."""
    return field.sdf(volume_points(size, like).reshape(-1, 3)).reshape((size,) * 3)


@torch.no_grad()
def field_sdf(field: SdfField, vertices: Tensor) -> Tensor:
    """(N,) the field's distances, positive on the faces of the cube, where the surface must close."""
    sdf = field.sdf(vertices)
    return torch.where(on_cube(vertices), sdf.abs().clamp_min(1e-3), sdf)


def on_cube(vertices: Tensor) -> Tensor:
    """(N,) bool: on the faces of [-1, 1]^3."""
    return (vertices.abs() > 1 - 1e-4).any(1)


def incoherence(state: DeformableGrid, edges: Tensor) -> Tensor:
    """Mean squared difference, along grid edges, of what was learnt: the surface moves as a whole, not vertex by vertex.

    It stands for the Laplacian of the extracted mesh, which would not do: a mesh's vertices slide along grid edges, and gathering
    them in clumps at the grid's vertices lowers it while the surface turns into terraces.
    """
    first, second = (end.contiguous() for end in edges.unbind(1))
    learnt = [state.change / state.spacing, *torch.tanh(state.offset).unbind(1)]
    # Axis by axis: see `img23d.ops.normals`.
    apart = [(values.index_select(0, first) - values.index_select(0, second)).square() for values in learnt]
    return apart[0].mean() + (apart[1] + apart[2] + apart[3]).mean() / 3
