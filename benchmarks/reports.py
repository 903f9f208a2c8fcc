"""``python -m benchmarks.reports``: processor time and size of each DICOM answer, 2,048 × 2,500 pixels.

One thread, no network: from an analysis whose masks are there to the answer's bytes.
"""

import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np

from app.reports.dicom.secondary_capture import write_capture
from app.reports.dicom.segmentation import write_segmentation
from app.reports.dicom.structured_report import write_report
from app.reports.overlay import draw_overlay, write_heading
from app.reports.words import summarise
from tests.support.reports import analysis, case_of, full_source, masks

HEIGHT, WIDTH = 2500, 2048
ROUNDS = 15


def writers() -> dict[str, Callable[[], bytes]]:
    """Each answer, made anew from the header on."""
    source = full_source(Rows=HEIGHT, Columns=WIDTH)
    found = analysis(masks=masks(HEIGHT, WIDTH))
    pixels = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)

    def capture() -> bytes:
        case = case_of(source, found)
        overlay = draw_overlay(pixels, found)
        write_heading(overlay, summarise(case.analysis))
        return write_capture(case, np.asarray(cv2.cvtColor(overlay, cv2.COLOR_BGR2RGB), dtype=np.uint8))

    return {
        "segmentation": lambda: write_segmentation(case_of(source, found)),
        "structured report": lambda: write_report(case_of(source, found)),
        "secondary capture": capture,
    }


def main() -> None:
    """Prints the first time, in which highdicom reads its tables, and the median of the following ones."""
    cv2.setNumThreads(1)
    print("| answer | first, ms | then, ms | MB |\n|---|---|---|---|")
    for name, write in writers().items():
        times = []
        for _ in range(ROUNDS):
            began = time.thread_time()
            data = write()
            times.append(1000 * (time.thread_time() - began))
        print(f"| {name} | {times[0]:.0f} | {median(times[1:]):.0f} | {len(data) / 1e6:.2f} |")


if __name__ == "__main__":
    main()
