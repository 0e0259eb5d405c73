"""What others wrote and the page embeds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.read.formats import render
from harness.read.renderers import html
from tests.read.conftest import Full, Record

VENDOR = Path(html.__file__).parent / "vendor"
PACKAGES = json.loads((VENDOR / "manifest.json").read_text())


def test_vendored_files_are_those_of_the_manifest() -> None:
    """Every file has the hash that was taken when it was fetched, and there is no other file."""
    hashes = {name: digest for package in PACKAGES for name, digest in package["sha256"].items()}

    assert {path.name for path in VENDOR.iterdir()} == {*hashes, "manifest.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_vendored_packages_bring_their_licence(full: Full) -> None:
    """A licence lies beside each, and stands in the page that embeds it."""
    page = render(full().document(), "html")

    for package in PACKAGES:
        licence = (VENDOR / f"{package['package']}.LICENSE").read_text()
        assert "Permission is hereby granted, free of charge" in licence
        assert licence in page


def test_a_page_embeds_only_what_it_uses(record: Record) -> None:
    """Without samples there is no speedscope, without a loop no chart."""
    made = record()
    made.ended()
    page = render(made.document(), "html")

    assert "speedscope-code" not in page
    assert "uPlot" not in page
