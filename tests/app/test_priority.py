"""Urgent requests before bulk, and callers with limits, over real HTTP around gated stages."""

from pathlib import Path

import pytest

from app.admission import kept_for_urgent
from app.keys import Key, hash_key, read_entry
from tests.support.gates import gated
from tests.support.polling import until
from tests.support.problems import assert_problem

URGENT, BULK = "u=0", "u=6"
HASH = hash_key("key")


def test_an_urgent_request_is_answered_before_bulk_that_came_first(phantom_png: bytes) -> None:
    answered: list[str] = []
    with gated(max_batch_size=1) as live:
        live.lungs.gate.clear()
        blocker = live.post(phantom_png, priority=BULK)
        live.entered()
        bulk = [live.post(phantom_png, priority=BULK) for _ in range(3)]
        until(lambda: live.queued() == 3, "bulk in the queue")
        urgent = live.post(phantom_png, priority=URGENT)
        until(lambda: live.queued() == 4, "the urgent request in the queue")
        for name, answer in (("urgent", urgent), *(("bulk", answer) for answer in bulk)):
            answer.add_done_callback(lambda _, name=name: answered.append(name))
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in (blocker, urgent, *bulk)] == [200] * 5
        assert live.gauge("cxr_analysis_seconds_count", urgency="0") == 1
        assert live.gauge("cxr_analysis_seconds_count", urgency="6") == 4
    assert answered[0] == "urgent"


def test_some_places_are_kept_for_urgent_requests(phantom_png: bytes) -> None:
    with gated(max_in_flight=2) as live:
        live.lungs.gate.clear()
        admitted = [live.post(phantom_png, priority=BULK), live.post(phantom_png)]
        until(lambda: live.in_flight() == 2, "places taken")
        assert_problem(live.post(phantom_png).result(60), 503, "overloaded")
        admitted.append(live.post(phantom_png, priority="u=2"))
        until(lambda: live.in_flight() == 2 + kept_for_urgent(2), "a place kept for it")
        assert_problem(live.post(phantom_png, priority=URGENT).result(60), 503, "overloaded")
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in admitted] == [200] * 3


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (15, 1), (16, 2), (64, 8)])
def test_an_eighth_more_places_but_one_at_least(limit: int, kept: int) -> None:
    assert kept_for_urgent(limit) == kept


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (HASH, Key(HASH, HASH[:8])),
        (f"ris:{HASH}", Key(HASH, "ris")),
        (f"research:{HASH};u=5;max=16", Key(HASH, "research", 5, 16)),
        (f"{HASH};max=1", Key(HASH, HASH[:8], places=1)),
        (f"gateway:{HASH};vouches", Key(HASH, "gateway", vouches=True)),
    ],
)
def test_an_entry_may_limit_its_key(entry: str, key: Key) -> None:
    assert read_entry(entry) == key


@pytest.mark.parametrize(
    "limits", [";", ";u=8", ";u=-1", ";max=0", ";max=", ";x=1", ";max=2;u=1", ";u=1;u=2", ";vouches=1"]
)
def test_what_is_no_limit_is_refused(limits: str) -> None:
    with pytest.raises(ValueError, match="expected SHA-256"):
        read_entry(f"ris:{HASH}{limits}")


def test_a_key_limits_urgency_and_places_but_not_those_of_others(phantom_png: bytes) -> None:
    entries = (f"research:{hash_key('research')};u=6;max=1", f"ris:{hash_key('ris')}")
    with gated(max_in_flight=2, api_keys=entries) as live:
        live.lungs.gate.clear()
        admitted = [live.post(phantom_png, x_api_key="research", priority=URGENT)]
        until(lambda: live.in_flight() == 1, "a place taken")
        refused = live.post(phantom_png, x_api_key="research").result(60)
        assert_problem(refused, 503, "overloaded")
        assert "of this caller" in refused.json()["detail"]
        assert refused.headers["retry-after"] == "1"
        admitted.append(live.post(phantom_png, x_api_key="ris"))
        until(lambda: live.in_flight() == 2, "a place for another caller")
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in admitted] == [200] * 2
        assert live.post(phantom_png, x_api_key="research").result(60).status_code == 200
        assert live.gauge("cxr_analysis_seconds_count", urgency="6") == 2
        assert live.gauge("cxr_analysis_seconds_count", urgency="0") == 0


def test_keys_are_read_again_when_their_file_changes(tmp_path: Path, phantom_png: bytes) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# of the RIS\nris:{hash_key('old')}\n\n")
    with gated(api_keys_file=file) as live:

        def statuses() -> list[int]:
            return [live.post(phantom_png, x_api_key=key).result(60).status_code for key in ("old", "new")]

        assert statuses() == [200, 401]
        file.write_text(f"ris:{hash_key('old')}\nris-2:{hash_key('new')}\n")
        assert statuses() == [200, 200]
        file.write_text("half an ent")
        assert statuses() == [200, 200]
        # As Kubernetes does it: another file takes its place.
        (tmp_path / "next").write_text(f"ris-2:{hash_key('new')}\n")
        (tmp_path / "next").replace(file)
        assert statuses() == [401, 200]
        file.unlink()
        assert statuses() == [401, 200]
        file.write_text("")
        assert statuses() == [401, 401]


def test_only_a_gateway_names_other_callers(phantom_png: bytes) -> None:
    entries = (f"gateway:{hash_key('gateway')};max=1;vouches", f"ris:{hash_key('ris')}")
    with gated(api_keys=entries) as live:
        named = {"x_caller": "reading-room-3"}
        for key, headers, caller in (
            ("gateway", named, "reading-room-3"),
            ("gateway", {}, "gateway"),
            ("gateway", {"x_caller": "no name!"}, "gateway"),
            ("ris", named, "ris"),
        ):
            answer = live.post(phantom_png, x_api_key=key, **headers).result(60)
            assert (answer.status_code, answer.headers["x-caller"]) == (200, caller)
        for caller, count in (("reading-room-3", 1), ("gateway", 2), ("ris", 1)):
            assert live.gauge("cxr_caller_requests_total", caller=caller) == count
        # Each named caller has the places of the gateway's key.
        live.lungs.gate.clear()
        admitted = [live.post(phantom_png, x_api_key="gateway", x_caller=name) for name in ("a", "b")]
        until(lambda: live.in_flight() == 2, "places taken")
        assert_problem(live.post(phantom_png, x_api_key="gateway", x_caller="a").result(60), 503, "overloaded")
        live.lungs.gate.set()
        assert [answer.result(60).status_code for answer in admitted] == [200] * 2


def test_callers_beyond_a_number_share_a_name_in_the_metrics(phantom_png: bytes) -> None:
    with gated(api_keys=(f"gateway:{hash_key('gateway')};vouches",)) as live:
        for number in range(103):
            answer = live.client.post("/score", headers={"x-api-key": "gateway", "x-caller": f"room-{number}"})
            assert answer.status_code == 400
        assert live.gauge("cxr_caller_requests_total", caller="room-99") == 1
        assert live.gauge("cxr_caller_requests_total", caller="other") == 3
