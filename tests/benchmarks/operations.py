"""``python -m tests.benchmarks.operations``: what a radiograph asks of a device: arithmetic, and memory that moves."""

from models.evaluation.costs import demand
from tests.benchmarks.peers.workflows import Kind, build_workflow

KINDS: tuple[Kind, ...] = ("embedded", "published")


def main() -> None:
    """Prints a Markdown table."""
    print("| networks | stage | parameters, M | operations, G | memory moved, MB | to the device, kB | back, kB |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        workflow = build_workflow(kind)
        for name, stage, gray_bytes in (("I", workflow.lungs, 1), ("II", workflow.disease, 4)):
            found = demand(stage, gray_bytes)
            counted = (found.parameters / 1e6, found.operations / 1e9, found.moved / 1e6)
            cells = (*counted, found.up / 1e3, found.down / 1e3)
            print(f"| {kind} | {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
