"""Fetch the JavaScript that `report.html` embeds: `python tools/vendor.py`, when a version below is changed.

The packages come through `npm pack` and must have the hashes that stand here. What is taken from them is
committed in `harness/read/renderers/vendor/`, with the licences and a manifest that the tests check: nothing
is fetched when a report is rendered, or read.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "harness/read/renderers/vendor"


@dataclass(frozen=True, slots=True)
class Package:
    """One package at one version, and what of it is kept under which name."""

    name: str
    version: str
    integrity: str  # of the whole package, as npm writes it
    files: dict[str, str]


PACKAGES = (
    Package(
        "uplot",
        "1.6.32",
        "sha512-KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw==",
        {
            "dist/uPlot.iife.min.js": "uplot.js",
            "dist/uPlot.min.css": "uplot.css",
            "LICENSE": "uplot.LICENSE",
        },
    ),
    Package(
        "speedscope",
        "1.25.0",
        "sha512-cpf9HWTZf1ijLXBJrk87Ve/54tnYx6rlf0gUThvn3ook6h63hLXVOQiMf44PT+XoV503cPfvfiT5gP5vojp6Ag==",
        {"dist/release/speedscope-Y2522XSH.js": "speedscope.js", "LICENSE": "speedscope.LICENSE"},
    ),
)


def main() -> None:
    """Fetch every package, and write what is kept of it with the manifest."""
    with tempfile.TemporaryDirectory() as folder:
        entries = [_taken(package, Path(folder)) for package in PACKAGES]
    (VENDOR / "manifest.json").write_text(json.dumps(entries, indent=1) + "\n")


def _taken(package: Package, folder: Path) -> dict[str, object]:
    wanted = f"{package.name}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", wanted], cwd=folder, check=True)
    archive = folder / f"{package.name}-{package.version}.tgz"
    came = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if came != package.integrity:
        raise SystemExit(f"{wanted}: expected {package.integrity}, got {came}")
    hashes = {}
    with tarfile.open(archive) as content:
        for path, name in package.files.items():
            member = content.extractfile(f"package/{path}")
            if member is None:
                raise SystemExit(f"{wanted} has no file {path}")
            data = member.read()
            (VENDOR / name).write_bytes(data)
            hashes[name] = hashlib.sha256(data).hexdigest()
    return {
        "package": package.name,
        "version": package.version,
        "integrity": package.integrity,
        "licence": "MIT",
        "sha256": hashes,
    }


if __name__ == "__main__":
    main()
