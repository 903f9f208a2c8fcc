"""``cxr-score`` against the real service: what the table and the pictures say is what the service says."""

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from models.anatomy.severity import ZONES
from models.phantom import draw_phantom
from tests.app.client.command_line import rows, score
from tests.support import ROOT
from tests.support.dicoms import dicom
from tests.support.pictures import encoded
from tests.support.server import Server


def radiographs(folder: Path, phantom: bytes) -> None:
    (folder / "CT 1" / "deep").mkdir(parents=True)
    (folder / "CT 1" / "deep" / "phantom").write_bytes(phantom)
    (folder / "small.jpg").write_bytes(encoded(draw_phantom(300), ".jpg"))
    (folder / "no lungs.png").write_bytes(encoded(np.full((300, 300), 90, np.uint8)))
    (folder / "cut off.png").write_bytes(phantom[:2000])
    (folder / "notes.png").write_text("no picture")
    (folder / "nothing.dcm").touch()
    whole = dicom(draw_phantom(400))
    (folder / "IM000001").write_bytes(whole)
    (folder / "IM000002").write_bytes(whole[132:])  # without preamble


def test_a_folder_with_masks_and_overlays(server: Server, phantom_png: bytes, tmp_path: Path) -> None:
    folder, table, masks, overlays = tmp_path / "in", tmp_path / "t.csv", tmp_path / "in" / "masks", tmp_path / "o"
    radiographs(folder, phantom_png)
    options = ("--masks", str(masks), "--overlays", str(overlays), "--dataset", "phantoms")
    result = score(folder, table, server.url, *options)
    assert result.exit_code == 1, result.stderr
    found = {row["filename"]: row for row in rows(table)}
    sent = {"CT 1/deep/phantom", "small.jpg", "no lungs.png", "cut off.png", "IM000001", "IM000002"}
    assert found.keys() == sent | {"notes.png", "nothing.dcm"}
    assert {row["dataset"] for row in found.values()} == {"phantoms"}
    for name, kind, code in (
        ("cut off.png", "refused", "unreadable_image"),
        ("no lungs.png", "unscorable", "lungs_not_found"),
        ("notes.png", "not sent", "unsupported_format"),
        ("nothing.dcm", "not sent", "empty_file"),
    ):
        assert re.search(f"{kind}: {name}: .*{code}", result.stderr)
    unsent = "2 not sent (1 empty_file, 1 unsupported_format)"
    assert f"{unsent}, 1 refused (1 unreadable_image), 4 scored, 1 unscorable; 0 answered before" in result.stderr
    for name, code in (("notes.png", "unsupported_format"), ("nothing.dcm", "empty_file")):
        assert (found[name]["score"], found[name]["status"], found[name]["error"]) == ("", "", code)
    assert "Research use only. Not a medical device." in result.stderr

    said = server.client.post("/segment", content=phantom_png).json()
    row = found["CT 1/deep/phantom"]
    shares = {zone["zone"]: zone["share"] for zone in said["zones"]}
    assert row["score"] == str(said["score"])
    assert [float(row[f"lung_segment_{number}"]) for number in range(1, 7)] == [shares[zone] for zone in ZONES]
    assert float(row["threshold"]) == said["threshold"]
    assert {found[name]["format"] for name in ("IM000001", "IM000002")} == {"DICOM"}
    for name in ("CT 1/deep/phantom", "small.jpg", "IM000001", "IM000002"):
        # As the published tables are read: the score is the count of shares over the network's threshold.
        row = found[name]
        counted = sum(float(row[f"lung_segment_{number}"]) > float(row["threshold"]) for number in range(1, 7))
        assert row["score"] == str(counted)
    row = found["CT 1/deep/phantom"]
    assert (row["sha256"], row["status"], row["error"]) == (hashlib.sha256(phantom_png).hexdigest(), "200", "")
    assert row["disease_sha256"] == said["models"]["disease"]["sha256"]
    for name in ("lungs", "disease"):
        kept = (masks / "CT 1" / "deep" / f"phantom.{name}.png").read_bytes()
        assert kept == base64.b64decode(said["masks"][name]["data"])
    assert (overlays / "CT 1" / "deep" / "phantom.overlay.jpg").read_bytes().startswith(b"\xff\xd8\xff")

    assert (found["no lungs.png"]["score"], found["no lungs.png"]["scorable"]) == ("", "false")
    assert "lungs_not_found" in found["no lungs.png"]["flags"].split(";")
    assert found["no lungs.png"]["lung_segment_1"] == ""
    assert (found["cut off.png"]["score"], found["cut off.png"]["error"]) == ("", "unreadable_image")
    assert not list(masks.rglob("cut off*"))
    assert not list(tmp_path.rglob("*.part"))

    again = score(folder, table, server.url, *options)
    assert again.exit_code == 1
    assert "nothing to send; 8 answered before" in again.stderr  # the masks among the radiographs are not looked at
    assert "4 answered before without a score" in again.stderr
    assert len(rows(table)) == 8


def test_it_starts_without_the_networks_libraries_and_the_service() -> None:
    program = (
        "import sys, app.client.command\n"
        "loaded = {name for name in sys.modules if name.startswith(('app.', 'models'))}\n"
        "assert all(name.startswith('app.client') for name in loaded), loaded\n"
        "assert not {'torch', 'numpy', 'cv2', 'fastapi', 'pydantic', 'PIL'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_without_its_extra_it_says_what_to_install() -> None:
    program = "import sys\nsys.modules['typer'] = None\nfrom app.client.__main__ import main\nmain()\n"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == "typer is missing: pip install 'cxr-severity[client]'\n"
