"""DMTet refinement: outlines, topology, the frozen rim."""

from dataclasses import replace

import pytest
import torch

from img23d.backends.threads import repeatable
from img23d.config import Ramp, Refine
from img23d.errors import FitError
from img23d.fields.analytic import Box, Sphere, Torus
from img23d.fields.grid import FrozenGrid
from img23d.ops.render import render
from img23d.ops.topology import components, euler_characteristic, is_closed, is_closed_manifold, is_consistently_oriented, volume
from img23d.scene import Mesh
from img23d.scene.cameras import orbit_degrees
from img23d.stages import refine as refine_module
from img23d.stages import refine_cubes, refine_tets
from img23d.stages.refine import refine
from img23d.stages.refine_grid import HeldField, field_sdf, finer_for_thin, with_thin_parts
from img23d.stages.refine_tets import start

QUICK = Refine(resolution=20, subdivisions=1, steps=24, image_size=96, learning_rate=0.01)


def overlap(mesh, views, context):
    size = views.mask.shape[-1]
    seen = render(mesh, views.cameras, size, size, context.rasterizer).views.mask > 0.5
    true = views.mask > 0.5
    return float((seen & true).sum() / (seen | true).sum())


def test_what_the_field_knows_for_sure_is_held(ball, context):
    """The photo shows a larger ball: the side that is known stays, the other follows the photo."""
    prior = ball.prior(0.54, resolution=48)
    known = (torch.linspace(-1, 1, 48) < 0.1).expand(48, 48, 48)
    options = replace(QUICK, steps=16, learning_rate=0.025, anchor=Ramp(0.05, 0.05), smooth=0, smooth_unseen=0)
    grown = []
    for held in (known, None):
        mesh = refine(ball.views(96), FrozenGrid(prior.sdf, torch.full((3, 4, 4, 4), 0.5), known=held), options, context)
        across = mesh.vertices[(mesh.vertices[:, 1].abs() < 0.1) & (mesh.vertices[:, 2].abs() < 0.1)]
        grown += [float((side.norm(dim=-1) - 0.54).abs().median()) for side in (across[across[:, 0] < -0.3], across[across[:, 0] > 0.3])]
    assert grown[0] < 0.001 and min(grown[1:]) > 0.0025


def half_known(radius):
    """A ball whose left half, and a little more, is known for sure."""
    steps = torch.linspace(-1, 1, 48)
    z, y, x = torch.meshgrid(steps, steps, steps, indexing="ij")
    sdf = (x.square() + y.square() + z.square()).sqrt() - radius
    return FrozenGrid(sdf, torch.full((3, 4, 4, 4), 0.5), known=(steps < 0.1).expand(48, 48, 48))


def test_what_lies_still_and_what_moves_are_the_whole_surface(context):
    state = start(Sphere(0.6), Refine(resolution=16), context)
    torch.manual_seed(0)
    state.offset = 0.3 * torch.randn_like(state.offset)
    state.free = state.free & (state.vertices()[:, 0] > 0.2)
    moving, still, share, inside = state.parted(context)
    first, second, _ = moving.surface(moving.sdf(), context)
    parts = torch.cat([first[second], still.vertices[still.faces]])
    vertices, faces, _ = state.surface(state.sdf(), context)
    whole = vertices[faces]
    assert 0 < share < 0.6 and share == pytest.approx(len(second) / len(faces))
    assert torch.equal(sorted_rows(parts), sorted_rows(whole)) and torch.equal(moving.vertices(), state.vertices()[inside])
    assert set(moving.free.tolist()) == {True, False} and int(moving.free.sum()) == int(state.free.sum())


def sorted_rows(corners):
    """(F, 9) corners of faces in an order of their own."""
    rows = sorted(corners.reshape(-1, 9).tolist())
    return torch.tensor(rows)


def test_leaving_out_what_lies_still_hardly_changes_what_moves(ball, context, monkeypatch):
    """The photo's ball is larger than the known one: the other half grows as much with the known one in the loop as without."""
    options = replace(QUICK, steps=16, learning_rate=0.004, anchor=Ramp(0.05, 0.05), smooth=0, smooth_unseen=0, relief=0)
    made = []
    for few in (refine_tets.FEW_STILL, 2.0):
        monkeypatch.setattr(refine_tets, "FEW_STILL", few)
        with repeatable(context.device):
            made.append(refine(ball.views(96), half_known(0.54), options, context))
    quick, slow = made
    assert is_closed_manifold(quick) and abs(len(quick.faces) - len(slow.faces)) < 0.005 * len(slow.faces)
    free = quick.vertices[quick.vertices[:, 0] > 0.12]
    nearest = torch.cdist(free, slow.vertices).argmin(1)
    apart = (free.norm(dim=-1) - slow.vertices[nearest].norm(dim=-1)).abs()
    grown = [float((mesh.vertices.norm(dim=-1) - 0.54)[mesh.vertices[:, 0] > 0.3].mean()) for mesh in made]
    assert grown[1] > 0.001 and grown[0] == pytest.approx(grown[1], rel=0.1)
    assert float(apart.quantile(0.99)) < 0.0006


def test_nothing_is_drawn_for_what_is_known_all_round_and_it_stays_as_it_would(ball, context, monkeypatch):
    prior = ball.prior(0.54, resolution=48)
    field = FrozenGrid(prior.sdf, torch.full((3, 4, 4, 4), 0.5), known=torch.ones(48, 48, 48, dtype=torch.bool))
    stepped = replace(QUICK, steps=4, subdivisions=1)
    with monkeypatch.context() as patch:
        patch.setattr(refine_module, "all_frozen", lambda groups: False)
        slow = refine(ball.views(96), field, stepped, context)
    monkeypatch.setattr(refine_module, "render", None)
    quick = refine(ball.views(96), field, stepped, context)
    assert torch.equal(quick.vertices, slow.vertices) and torch.equal(quick.faces, slow.faces)


@pytest.mark.parametrize("radius", [0.54, 0.65])
def test_the_outline_is_fitted(ball, context, radius):
    views = ball.views(96)
    before = refine(views, Sphere(radius), Refine(resolution=20, steps=0, image_size=96), context)
    options = replace(QUICK, steps=16, learning_rate=0.025, anchor=Ramp(0.05, 0.05))  # the field is wrong here: let go of it
    after = refine(views, Sphere(radius), options, context)
    assert overlap(before, views, context) < 0.9
    assert overlap(after, views, context) > 0.94


def test_drawn_outlines_are_fitted_beside_the_photos(ball, context):
    front, seen = ball.views(96), ball.views(96, orbit_degrees([90.0], 0.0, 2.4, 40.0))
    drawn = replace(seen, confidence=torch.zeros_like(seen.mask))
    options = replace(QUICK, steps=20, learning_rate=0.03, anchor=Ramp(0.05, 0.05))
    alone, told = (refine(front, Sphere(0.65), options, context, views) for views in (None, drawn))
    assert overlap(told, seen, context) > overlap(alone, seen, context) + 0.05
    assert overlap(told, front, context) > 0.94


def test_what_no_view_sees_stays(ball, context):
    mesh = refine(ball.views(96), Sphere(0.6), replace(QUICK, steps=16), context)
    behind = mesh.vertices[mesh.vertices[:, 2] < -0.2]
    assert float((behind.norm(dim=-1) - 0.6).abs().max()) < 0.02


@pytest.mark.parametrize(("shape", "euler"), [(Sphere(0.6), 2), (Torus(), 0)])
@pytest.mark.parametrize("subdivisions", [0, 1, 2])
def test_surfaces_are_closed_manifold_and_outward(ball, context, shape, euler, subdivisions):
    options = Refine(resolution=18, subdivisions=subdivisions, steps=3, image_size=48)
    mesh = refine(ball.views(64), shape, options, context)
    assert is_closed_manifold(mesh) and is_consistently_oriented(mesh)
    assert euler_characteristic(mesh) == euler
    assert volume(mesh) > 0


def test_a_surface_at_the_cube_s_faces_is_still_closed(ball, context):
    mesh = refine(ball.views(64), Sphere(1.3), Refine(resolution=16, steps=2, image_size=48), context)
    assert is_closed_manifold(mesh) and float(mesh.vertices.abs().max()) <= 1.0


def test_subdivision_takes_the_field_s_own_values(context):
    state = start(Sphere(0.6), Refine(resolution=16), context)
    finer = state.subdivided(Sphere(0.6), context)
    assert finer.spacing == state.spacing / 2
    exact = Sphere(0.6).sdf(finer.grid.vertices)
    assert float((finer.sdf() - exact)[finer.free].abs().max()) < 1e-6


def test_a_deformed_vertex_keeps_its_place_when_the_grid_is_split(context):
    state = start(Sphere(0.6), Refine(resolution=16), context)
    torch.manual_seed(0)
    state.offset = 0.3 * torch.randn_like(state.offset)
    finer = state.subdivided(Sphere(0.6), context)
    old, new = state.vertices(), finer.vertices()
    nearest = torch.cdist(new[:400], old).amin(1)
    kept = nearest < 1e-6  # the corners of the split tets; the others are their edges' midpoints
    assert int(kept.sum()) > 20
    middle = (old[state.grid.tets[:, 0]] + old[state.grid.tets[:, 1]]) / 2
    assert float(torch.cdist(middle[::50], new).amin(1).min()) < 1e-6
    assert float((finer.sdf() - Sphere(0.6).sdf(new)).abs().mean()) < 0.02


@pytest.mark.parametrize("extractor", ["marching_tets", "flexicubes"])
def test_the_same_seed_gives_the_same_mesh(ball, context, extractor):
    options = Refine(extractor=extractor, resolution=14, steps=4, image_size=48)
    with repeatable(context.device):  # as the pipeline runs every stage
        first, second = (refine(ball.views(64), Sphere(0.55), options, context) for _ in range(2))
    assert torch.equal(first.vertices, second.vertices) and torch.equal(first.faces, second.faces)


@pytest.mark.parametrize("extractor", ["marching_tets", "flexicubes"])
def test_no_surface_is_an_error(ball, context, extractor):
    class Nothing:
        def sdf(self, x):
            return torch.ones_like(x[..., 0])

    with pytest.raises(FitError, match="no surface"):
        refine(ball.views(64), Nothing(), replace(QUICK, extractor=extractor), context)


def test_the_faces_of_the_cube_are_outside():
    points = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    assert (field_sdf(Sphere(2.0), points) > 0).tolist() == [True, False]


def test_floaters_behind_one_silhouette_are_dropped_and_real_parts_kept(ball, context):
    class Two:
        """A ball and a smaller one behind it."""

        def __init__(self, place):
            self.place = torch.tensor(place)

        def sdf(self, x):
            return torch.minimum(Sphere(0.35).sdf(x), Sphere(0.2).sdf(x - self.place))

    options = Refine(resolution=20, subdivisions=0, steps=0)
    hidden = refine(ball.views(64), Two([0.0, 0.0, -0.7]), options, context)
    assert euler_characteristic(hidden) == 2
    views = ball.views(64)
    apart = views.mask * ((torch.arange(64) < 30) | (torch.arange(64) > 34))
    kept = refine(replace(views, mask=apart), Two([0.75, 0.0, 0.0]), options, context)
    assert euler_characteristic(kept) == 4


def test_thin_objects_get_a_finer_grid(context):
    assert finer_for_thin(Sphere(0.6), 24, context.device) == 24
    assert finer_for_thin(Box((0.8, 0.05, 0.05)), 24, context.device) == 36


@pytest.mark.parametrize("begin", [start, refine_cubes.start])
def test_the_surface_cannot_leave_a_grid_that_was_split(context, begin):
    # what the finer grid sees of the field may lie on the border of what was split
    state = begin(Sphere(0.5), Refine(resolution=12), context).subdivided(Sphere(0.56), context)
    torch.manual_seed(1)
    state.change = torch.where(state.free, 0.02 * torch.randn_like(state.change) - state.start, state.change)
    vertices, faces, _ = state.surface(state.sdf(), context)
    assert is_closed(Mesh(vertices, faces))


@pytest.mark.parametrize("extractor", ["marching_tets", "flexicubes"])
def test_a_thin_part_that_the_field_has_lost_comes_back(ball, context, extractor):
    views = ball.views(160)
    mask = views.mask.clone()
    mask[:, 4:156, 78:82] = 1.0  # a rod from above to below
    options = Refine(extractor=extractor, resolution=24, subdivisions=1, steps=6, image_size=96)
    mesh = refine(replace(views, mask=mask), Sphere(0.6), options, context)
    assert is_closed_manifold(mesh) and euler_characteristic(mesh) == 2
    assert float(mesh.vertices[:, 1].max()) > 0.75 and float(mesh.vertices[:, 1].min()) < -0.75
    bare = refine(views, Sphere(0.6), options, context)
    assert float(bare.vertices[:, 1].abs().max()) < 0.65
    rod = mesh.vertices[mesh.vertices[:, 1].abs() > 0.7]
    assert float(rod[:, 0].abs().max()) < 0.03, "wider than the photo shows it"


class LeafOnStalk:
    """The ball with a small one above it, joined by a stalk thinner than a grid's cell."""

    def __init__(self, radius=0.6, aside=0.0):
        self.radius, self.aside = radius, aside

    def sdf(self, x):
        x = x - torch.tensor([self.aside, 0.0, self.aside])
        leaf = Sphere(0.1).sdf(x - torch.tensor([0.0, 0.78, 0.0]))
        stalk = torch.maximum((x[:, [0, 2]].square().sum(1) + 1e-9).sqrt() - 0.015, torch.maximum(x[:, 1] - 0.78, -x[:, 1]))
        return torch.minimum(torch.minimum(Sphere(self.radius).sdf(x), leaf), stalk)


def with_leaf(views, beside, radius=0.6):
    """The ball's views and the leaf's outline, on a stalk of half-width 0.02 that is this much beside its place."""
    size = views.mask.shape[-1]
    origin, direction = (part.reshape(-1, 3) for part in views.cameras.rays(size, size))
    x, y, _ = (origin - direction * (origin[:, 2:] / direction[:, 2:])).unbind(-1)
    leaf = (torch.hypot(x, y - 0.78) < 0.1) | (((x - beside).abs() < 0.02) & (y > 0) & (y < 0.78))
    body = views.mask * (torch.hypot(x, y) < radius * 1.1).reshape(1, size, size)
    return replace(views, mask=torch.maximum(body, leaf.reshape(1, size, size).to(views.mask)))


def test_a_leaf_stays_on_a_stalk_that_the_pictures_show_elsewhere(ball, context):
    views, field = with_leaf(ball.views(96), 0.045), LeafOnStalk()
    held = with_thin_parts(field, views, True, 1 / 32)
    assert isinstance(held, HeldField) and 0 < len(held.necks) < 100
    places = torch.tensor([[0.0, 0.64, 0.0], [0.0, 0.64, 0.2], [0.6, 0.0, 0.0]])
    assert held.held(places, 0.1).tolist() == [True, False, False]
    options = Refine(resolution=24, subdivisions=1, steps=30, image_size=96, learning_rate=0.008)
    mesh = refine(views, field, options, context)
    assert is_closed_manifold(mesh) and float(mesh.vertices[:, 1].max()) > 0.8


def test_a_stalk_that_the_field_has_and_the_grid_is_too_coarse_for_holds_its_leaf(ball, context):
    """At 112 samples a side the field shows the stalk; a grid with cells of 1/10 would show a ball and a leaf in the air."""
    field, options = LeafOnStalk(0.4, 0.05), Refine(resolution=20, subdivisions=0, steps=4, image_size=96)
    views = with_leaf(ball.views(320), 0.05, 0.4)
    held = with_thin_parts(field, views, True, 1 / 10)
    middle = torch.tensor([[0.05, 0.56, 0.05]])
    assert isinstance(held, HeldField) and float(held.sdf(middle)) < 2 * float(field.sdf(middle)) < 0
    mesh = refine(views, field, options, context)
    assert is_closed_manifold(mesh) and float(mesh.vertices[:, 1].max()) > 0.8 and int(components(mesh).max()) == 0


@pytest.mark.parametrize("known", [False, True])
def test_relief_that_normals_show_is_raised_and_only_where_nothing_is_known(ball, context, known):
    prior = ball.prior(0.6, resolution=48)
    field = FrozenGrid(prior.sdf, torch.full((3, 4, 4, 4), 0.5), known=torch.full((48, 48, 48), known))
    views = ball.views(128)
    wave = 0.25 * torch.sin(torch.arange(128) * 0.4)[None, None, :, None] * torch.tensor([1.0, 0.0, 0.0])
    views = replace(views, normal=torch.nn.functional.normalize(views.normal + wave, dim=-1), confidence=views.mask)
    options = replace(QUICK, steps=2, smooth=0, smooth_unseen=0)
    plain, raised = (refine(views, field, replace(options, relief=relief), context) for relief in (0.0, 1.0))
    moved = (raised.vertices - plain.vertices).norm(dim=-1)
    assert torch.equal(plain.faces, raised.faces)
    assert float(moved[plain.vertices[:, 2] < -0.1].max()) == 0
    assert float(moved.max()) == 0 if known else 0.004 < float(moved.max()) < 0.08


def test_a_meshs_own_parts_get_no_relief(ball, context):
    views = replace(ball.views(96), normal=torch.nn.functional.normalize(ball.views(96).normal + 0.3, dim=-1))
    options = replace(QUICK, steps=2)
    once, again = (refine(views, Sphere(0.6), replace(options, relief=relief), context, parts_known=True) for relief in (0.0, 1.0))
    assert torch.equal(once.vertices, again.vertices)
