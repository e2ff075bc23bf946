"""The table of pretrained weights: complete, consistent, and free of heavy imports."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from img23d.weights import BY_NAME, TABLE, Weights, find, unlisted


def test_names_are_unique_and_found_by_name_id_and_fallback() -> None:
    assert len(BY_NAME) == len(TABLE)
    for entry in TABLE:
        assert find(entry.name) is entry
        assert not entry.repo or find(entry.repo) is not None
        for fallback in entry.fallbacks:
            assert find(fallback) is not None
    assert find("") is None and find("no/such") is None


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry.name)
def test_entries_are_complete(entry: Weights) -> None:
    assert entry.licence and entry.what_for and entry.files
    if entry.kind != "embedded":
        assert entry.by_hand or entry.single_file or re.fullmatch(r"[\w.-]+/[\w.-]+", entry.repo)
        assert not entry.by_hand or "docs/models.md" in entry.note
    assert not re.search(r"\.(bin|ckpt|pth?|pkl)$", " ".join(entry.files))  # pickles are never even fetched
    if entry.checksum:
        algorithm, _, value = entry.checksum.partition(":")
        assert re.fullmatch(r"[0-9a-f]+", value) and len(value) == {"md5": 32, "sha256": 64}[algorithm]
    assert not entry.revision or re.fullmatch(r"[0-9a-f]{40}|refs/pr/\d+", entry.revision)


def test_non_commercial_licences_are_marked() -> None:
    for entry in TABLE:
        if re.search(r"NC|non-commercial|not stated|not consistent", entry.licence):
            assert not entry.commercial, entry.name
    assert not unlisted("a/b").commercial


def test_a_repository_nobody_listed_is_not_pinned() -> None:
    assert not unlisted("a/b").pinned and find("depth-anything-small").pinned


def test_torch_free() -> None:
    code = "import sys, img23d.weights, img23d.cli.models, img23d.backends.hub; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
