"""How the embedded networks came to know what they know: objects and pictures to learn from, and the training on them.

Nothing that makes a mesh from a photo imports this; `img23d train` does.
"""
