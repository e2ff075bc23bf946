"""img23d turns one photo into a textured 3D mesh."""

__version__ = "0.1.0"
