import pytest

from app.errors import NotAcceptable
from app.http.negotiation import choose_media_type

OFFERED = ["application/json", "image/png"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG", "image/png"),
        ("image/*", "image/png"),
        ("application/json;q=0.5, image/png;q=0.9", "image/png"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png, */*;q=0.1", "image/png"),
        ("image/png; q=nonsense, application/json;q=0.1", "application/json"),
        ("image/png;level=1;q=0.2, application/json;q=0.1", "image/png"),
    ],
)
def test_the_highest_ranked_offer_is_chosen(accept: str, chosen: str) -> None:
    assert choose_media_type(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["application/dicom", "text/html", "image/png;q=0, application/json;q=0", "*/*;q=0"])
def test_nothing_acceptable_is_said(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="application/json, image/png"):
        choose_media_type(accept, OFFERED)
