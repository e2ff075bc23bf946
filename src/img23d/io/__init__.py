"""How it is stored: images, meshes, previews."""
