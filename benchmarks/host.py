"""``python -m benchmarks.host``: CPU milliseconds of each step of a request's own work, networks left out."""

import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from app.intake import Limits, decode
from app.reports.overlay import draw_overlay, encode_mask, encode_picture
from app.reports.report import report_models, report_zones
from benchmarks import uploads
from models.analysis import Analysis
from models.anatomy.placement import PlacedMasks
from models.runtime.processors import limit_threads
from models.runtime.stage import Stage
from models.weights import default_weights
from models.workflow import Workflow

RUNS = 15
UPLOADS = {
    "1024×1024 JPEG": lambda: uploads.jpeg(1024, 1024),
    "2500×2048 16-bit PNG": lambda: uploads.deep_png(2500, 2048),
    "3000×3000 JPEG": lambda: uploads.jpeg(3000, 3000),
}


def main() -> None:
    """Prints a Markdown table."""
    limit_threads()
    lungs, disease = (Stage.load(default_weights(role), role=role) for role in ("lungs", "disease"))
    workflow = Workflow(lungs, disease)
    columns = {name: measure(workflow, make()) for name, make in UPLOADS.items()}
    print(f"| step, CPU ms (median of {RUNS}) | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 1) + "|")
    for step in next(iter(columns.values())):
        print(f"| {step} | {' | '.join(f'{column[step]:.2f}' for column in columns.values())} |")


def measure(workflow: Workflow, upload: bytes) -> dict[str, float]:
    """CPU milliseconds by step, and the sums with and without the default overlay."""
    radiograph = decode(upload, Limits())
    prepared = workflow.prepare(radiograph.pixels)
    lung_map = workflow.lungs.run([prepared.picture])[0][0]
    cropped = workflow.crop_lungs(prepared, lung_map)
    disease_map = workflow.disease.run([workflow.disease.prepare(cropped.image)])[0][0]
    analysis = workflow.conclude(cropped, disease_map, None)
    picture = draw_overlay(radiograph.pixels, analysis)
    encoded = encode_picture(picture, "jpeg")[1]
    steps: dict[str, Callable[[], object]] = {
        "decode and hash": lambda: decode(upload, Limits()),
        "prepare": lambda: workflow.prepare(radiograph.pixels),
        "between: clean, crop, two lungs, zones": lambda: workflow.disease.prepare(
            workflow.crop_lungs(prepared, lung_map).image
        ),
        "score: shares, flags": lambda: workflow.conclude(cropped, disease_map, None),
        "report": lambda: (report_zones(analysis), report_models(workflow), analysis.diseased_share),
        "draw overlay": lambda: draw_overlay(radiograph.pixels, placed_anew(analysis)),
        "encode overlay, JPEG": lambda: encode_picture(picture, "jpeg"),
        "base64 of the overlay": lambda: b64encode(encoded).decode(),
    }
    found = {name: cpu_milliseconds(step) for name, step in steps.items()}
    overlay = ("draw overlay", "encode overlay, JPEG", "base64 of the overlay")
    without = sum(value for name, value in found.items() if name not in overlay)
    return {
        **found,
        "**sum without overlay**": without,
        "**sum with overlay**": sum(found.values()),
        "encode overlay, PNG instead": cpu_milliseconds(lambda: encode_picture(picture, "png")),
        "both masks as PNG (/segment)": cpu_milliseconds(lambda: encoded_masks(placed_anew(analysis))),
    }


def placed_anew(analysis: Analysis) -> Analysis:
    """The same without what was kept of its masks the last time."""
    assert isinstance(analysis.masks, PlacedMasks)
    return replace(analysis, masks=replace(analysis.masks))


def encoded_masks(analysis: Analysis) -> tuple[bytes, bytes]:
    return encode_mask(analysis.lungs), encode_mask(analysis.disease)


def cpu_milliseconds(step: Callable[[], object]) -> float:
    """Median over ``RUNS``, of all threads."""
    times = []
    for _ in range(RUNS):
        started = time.process_time()
        step()
        times.append((time.process_time() - started) * 1000)
    return median(times)


if __name__ == "__main__":
    main()
