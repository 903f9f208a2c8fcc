"""The Segmentation in the library with which OHIF shows them: it asks for a position in space, which we do not have."""

import subprocess
from pathlib import Path

import pytest

from app.reports.dicom.segmentation import write_segmentation
from tests.support.programs import program
from tests.support.reports import HEIGHT, WIDTH, case_of, full_source

LOAD = f"""
import {{ readFileSync }} from "node:fs";
import {{ adaptersSEG }} from "@cornerstonejs/adapters";
const file = readFileSync("segmentation.dcm");
const modules = {{
  // As Cornerstone takes a radiograph that has no orientation.
  imagePlaneModule: {{ rowCosines: [1, 0, 0], columnCosines: [0, 1, 0], rows: {HEIGHT}, columns: {WIDTH} }},
  generalSeriesModule: {{ modality: "CR", seriesInstanceUID: "{full_source().SeriesInstanceUID}" }},
  generalImageModule: {{ sopInstanceUID: "{full_source().SOPInstanceUID}" }},
}};
const content = file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
const metadataProvider = {{ get: (kind) => modules[kind] }};
await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(["image"], content, {{ metadataProvider }});
"""


def test_cornerstone_stops_at_the_missing_orientation(tmp_path: Path) -> None:
    """As docs/api.md says; once it reads a projection's segmentation, that has to be said there."""
    root = subprocess.run([program("npm"), "root", "--global"], capture_output=True, text=True, check=True).stdout
    packages = Path(root.strip())
    if not (packages / "@cornerstonejs" / "adapters").is_dir():
        pytest.skip("@cornerstonejs/adapters is not installed")
    (tmp_path / "node_modules").symlink_to(packages)
    (tmp_path / "segmentation.dcm").write_bytes(write_segmentation(case_of(full_source())))
    (tmp_path / "load.mjs").write_text(LOAD)
    ran = subprocess.run(
        [program("node", "nodejs"), "load.mjs"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "reading 'ImageOrientationPatient'" in ran.stderr, ran.stderr
