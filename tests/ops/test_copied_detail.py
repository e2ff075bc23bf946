"""Detail finer than the mesh: copied in whole pieces, faint grain whole and drawings hardly."""

import torch

from img23d.ops.copied_detail import PIECE, copied_detail, fine_detail, nearest_middles
from img23d.ops.patches import upright_frames
from img23d.ops.project_photo import sample
from img23d.ops.unseen import Points, photo_layer


def speckled(points):
    """Grey with specks much finer than the vase's faces."""
    grain = torch.sin(140 * points[..., 0]) * torch.sin(150 * points[..., 1])
    return (0.5 + 0.06 * grain)[..., None].expand(*grain.shape, 3)


def test_what_is_copied_from_itself_is_the_photo(vase):
    scene, shown = vase(speckled, size=400)
    vertices, texels = scene.vertices, scene.texels
    frames = upright_frames(vertices.normal, torch.tensor([0.0, 0.0, -1.0]))
    itself = torch.where(shown > 0.95, torch.arange(len(shown)), -1)
    photo = photo_layer(scene.photo, vertices, texels)
    made = copied_detail(scene.surface, scene.photo, vertices, texels, frames, 0.02, photo.vertex_rgb, shown, itself)
    x, y, _ = scene.photo.sharp.camera.project(texels.position)[0].unbind(-1)
    wanted = sample(fine_detail(scene.photo), x, y, "bicubic")
    front = texels.position[:, 2] > 0.38
    assert wanted[front].std() > 0.02
    elsewhere = copied_detail(scene.surface, scene.photo, vertices, texels, frames, 0.02, photo.vertex_rgb + 0.2, shown, itself)
    assert elsewhere.abs().max() < 1e-3
    # Pieces are flat and the vase is round: most of a speck lies where it should.
    assert float(torch.corrcoef(torch.stack([made[front][:, 0], wanted[front][:, 0]]))[0, 1]) > 0.9


def test_grain_stays_and_drawings_go(vase):
    def lettered(points):
        stroke = (points[..., 1] > 0) & (torch.sin(90 * points[..., 0]) > 0)
        return torch.where(stroke[..., None], torch.tensor([0.0, 0.0, 0.0]), speckled(points))

    photo = vase(lettered, size=400)[0].photo
    fine, full = fine_detail(photo), photo.sharp.rgb - photo.soft.rgb
    drawn, grain = (slice(120, 180), slice(180, 220)), (slice(230, 290), slice(180, 220))
    assert full[drawn].std() > 3 * full[grain].std()
    assert fine[grain].std() > 0.8 * full[grain].std()
    assert fine[drawn].std() < 0.4 * full[drawn].std()


def test_pieces_keep_their_distance_and_their_side():
    step = torch.arange(12.0)
    y, x = torch.meshgrid(step, step, indexing="ij")
    front = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
    back = front - torch.tensor([0.0, 0.0, 0.1])
    normal = torch.tensor([0.0, 0.0, 1.0]).expand_as(front)
    vertices = Points(torch.cat([front, back]), torch.cat([normal, -normal]))
    found = nearest_middles(vertices, torch.ones(288, dtype=torch.bool), float(PIECE), torch.zeros(288))
    middles = found.unique()
    assert len(middles) < 40 and torch.equal(found[middles], middles)
    assert ((found < 144) == (torch.arange(288) < 144)).all()
    assert (vertices.position[found] - vertices.position).norm(dim=-1).max() < 2 * PIECE
    only = torch.zeros(288, dtype=torch.bool)
    only[7] = True
    assert (nearest_middles(vertices, only, 5.0, torch.zeros(288)) == 7).all()


def test_a_piece_is_neither_the_barest_nor_the_busiest():
    place = torch.rand(101, 3, generator=torch.Generator().manual_seed(0))
    vertices = Points(place, torch.tensor([0.0, 0.0, 0.5]).expand_as(place))
    rank = torch.randn(101, generator=torch.Generator().manual_seed(1))
    middle = nearest_middles(vertices, torch.ones(101, dtype=torch.bool), 1.0, rank)
    assert (rank[middle] == rank.median()).all()
