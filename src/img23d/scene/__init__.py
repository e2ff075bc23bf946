"""What things are: the nouns of the pipeline, with shape checks and no algorithms.

Conventions that every file shares:

=============  =====================================================================================
object frame   right-handed, +Y up (gravity), +Z towards the photo's camera azimuth; object in the cube [-1, 1]^3
camera frame   x right, y up, looks along -z (OpenGL and glTF)
intrinsics     focal length and principal point divided by the image size: 64 px and 512 px share a camera
pixels         row 0 on top, centres at (i + 0.5) / W
images         (V, H, W, C) float32 in 0..1; ``rgb`` is sRGB-encoded, ``_linear`` means linear light
depth          z-depth in object units, > 0; meaningless where the mask is 0
normal         unit length, object frame, outward
sdf            negative inside, object units
volumes        [z, y, x] over [-1, 1]^3, first and last sample on the faces of the cube (align_corners=True)
faces, tets    int64; faces counter-clockwise seen from outside; every tet has det > 0
uv             glTF: (0, 0) is the top left corner of the texture
angles         radians inside; degrees only in names that end in ``_deg`` (config and command line)
dtype          float32; ops also run in float64; never a hard-coded device
letters        V views, H W image, R texture, N points or vertices, F faces, T tets, E edges, S samples
=============  =====================================================================================
"""

from img23d.scene.cameras import Cameras, orbit
from img23d.scene.mesh import Mesh, TexturedMesh, brought_near, lies_far, put_back
from img23d.scene.prior import ShapePrior
from img23d.scene.tetgrid import TetGrid
from img23d.scene.views import Views

__all__ = ["Cameras", "Mesh", "ShapePrior", "TetGrid", "TexturedMesh", "Views", "brought_near", "lies_far", "orbit", "put_back"]
