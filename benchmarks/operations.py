"""``python -m benchmarks.operations``: what a radiograph asks of a device: arithmetic, and memory that moves."""

from benchmarks.peers.workflows import Kind, card_of
from models.evaluation.costs import demand
from models.weights.networks import build_network

KINDS: tuple[Kind, ...] = ("embedded", "published")


def main() -> None:
    """Prints a Markdown table."""
    print("| networks | stage | parameters, M | operations, G | memory moved, MB | to the device, kB | back, kB |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        for name, card, gray_bytes in (("I", card_of(kind, "lungs"), 1), ("II", card_of(kind, "disease"), 4)):
            found = demand(build_network(card.architecture, card.encoder), card.input_size, gray_bytes)
            counted = (found.parameters / 1e6, found.operations / 1e9, found.moved / 1e6)
            cells = (*counted, found.up / 1e3, found.down / 1e3)
            print(f"| {kind} | {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
