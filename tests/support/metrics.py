"""What a service's ``/metrics`` says."""

from prometheus_client.parser import text_string_to_metric_families


def samples(text: str, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each series of this name that has these labels, and perhaps others."""
    return [
        (found.labels, float(found.value))
        for family in text_string_to_metric_families(text)
        for found in family.samples
        if found.name == name and labels.items() <= found.labels.items()
    ]


def total(text: str, name: str, **labels: str) -> float:
    """The sum of these series; 0 where there are none yet."""
    return sum(value for _, value in samples(text, name, **labels))
