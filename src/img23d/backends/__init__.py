"""Who else can compute it: the only folder that imports kaolin, nvdiffrast, open3d, rembg, diffusers, transformers or gsplat."""
