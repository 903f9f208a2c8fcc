"""Chooses the media type of an answer by the client's ``Accept`` (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from app.errors import NotAcceptable


def choose_media_type(accept: str, offered: Sequence[str]) -> str:
    """The offered type that ``accept`` ranks highest; the first of those that share the highest rank.

    Raises:
        NotAcceptable: it allows none of them.
    """
    ranges = _ranges(accept) or {"*/*": 1.0}
    ranked = [(_quality(ranges, media_type), media_type) for media_type in offered]
    best = max(quality for quality, _ in ranked)
    if best <= 0:
        raise NotAcceptable(f"This resource is offered as {', '.join(offered)}")
    return next(media_type for quality, media_type in ranked if quality == best)


def _ranges(accept: str) -> dict[str, float]:
    ranges: dict[str, float] = {}
    for item in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in item.split(";"))
        if media_range:
            ranges[media_range] = next((_weight(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
    return ranges


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


def _quality(ranges: dict[str, float], media_type: str) -> float:
    """The weight of the most specific range that covers ``media_type``."""
    for media_range in (media_type, f"{media_type.split('/')[0]}/*", "*/*"):
        if media_range in ranges:
            return ranges[media_range]
    return 0.0
