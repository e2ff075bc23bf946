"""The page that names the authors of the training objects."""

from __future__ import annotations

import json

import pytest

from img23d.errors import InputError
from img23d.training.attribution import attribution_page, author


def test_every_object_is_named_under_its_licence_and_author(tmp_path):
    entries = [
        {"name": "chair", "licence": "CC-BY-4.0", "attribution": "Ann"},
        {"name": "boat", "licence": "CC0-1.0", "attribution": '{"name": "Bob", "link": "https://example.org"}'},
        {"name": "cup", "licence": "CC-BY-4.0", "attribution": "Ann"},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps(entries))
    page = attribution_page(tmp_path)
    assert "- Ann: chair, cup" in page and "- Bob (https://example.org): boat" in page
    assert page.index("CC-BY-4.0") < page.index("CC0-1.0")


def test_author_of_nothing_is_unknown_and_a_missing_manifest_is_told(tmp_path):
    assert author("") == "unknown"
    with pytest.raises(InputError):
        attribution_page(tmp_path)
