from dataclasses import replace

import pytest

from libs.common.bus.rabbit import layout
from libs.common.bus.rabbit.layout import Binding
from libs.common.bus.topology import EVENTS_EXCHANGE, FRAMES_EXCHANGE
from yousync.topology.compare import Found, FoundExchange, FoundQueue, compare

WANTED = layout.whole((10.0, 60.0))
SAME = Found(
    {name: FoundExchange(kind, arguments={}) for name, kind in WANTED.exchanges.items()}
    | {"amq.topic": FoundExchange("topic")},
    {name: FoundQueue(dict(arguments)) for name, arguments in WANTED.queues.items()},
    frozenset(WANTED.bindings),
)
AUDIO = SAME.queues["audio.events"]
EVENTS = SAME.exchanges[EVENTS_EXCHANGE]


def with_queue(name: str, queue: FoundQueue) -> Found:
    return replace(SAME, queues={**SAME.queues, name: queue})


def with_binding(*binding: str) -> Found:
    return replace(SAME, bindings=SAME.bindings | {Binding(*binding)})


def told(found: Found) -> list[str]:
    return [str(each) for each in compare(WANTED, found)]


def test_a_broker_that_has_what_is_declared_differs_in_nothing() -> None:
    assert told(SAME) == []


def test_an_empty_broker_lacks_all_of_it_and_queues_come_before_what_binds_them() -> None:
    lines = told(Found({}, {}, frozenset()))
    assert len(lines) == len(WANTED.exchanges) + len(WANTED.queues) + len(WANTED.bindings)
    assert "+ exchange yousync.events: topic" in lines
    assert "+ queue audio.reports: classic" in lines
    assert "+ binding yousync.events -> audio.reports by 'analysis.report.*'" in lines
    assert lines == sorted(lines, key=lambda line: ["exchange", "queue", "binding"].index(line.split()[1]))


@pytest.mark.parametrize(
    ("queue", "problem"),
    [
        (replace(AUDIO, arguments={**AUDIO.arguments, "x-delivery-limit": 5}), "~ {}: x-delivery-limit is 5, declared 10"),
        (replace(AUDIO, arguments={**AUDIO.arguments, "x-expires": 9}), "~ {}: x-expires is 9, not declared"),
        (
            replace(AUDIO, arguments={k: v for k, v in AUDIO.arguments.items() if k != "x-overflow"}),
            "~ {}: x-overflow is not set, declared 'reject-publish'",
        ),
        (replace(AUDIO, durable=False), "~ {}: it does not outlive a restart of the broker"),
        (replace(AUDIO, auto_delete=True), "~ {}: it is deleted when its last user leaves"),
        (replace(AUDIO, exclusive=True), "~ {}: it belongs to one connection"),
        (replace(AUDIO, policy={"message-ttl": 5, "target-group-size": 3}), "! {}: a policy says message-ttl=5"),
    ],
)
def test_a_queue_that_is_otherwise_is_told_with_both_values(queue: FoundQueue, problem: str) -> None:
    assert told(with_queue("audio.events", queue)) == [problem.format("queue audio.events")]


@pytest.mark.parametrize(
    ("exchange", "problem"),
    [
        (replace(EVENTS, kind="direct"), "~ {}: its type is direct, declared topic"),
        (replace(EVENTS, durable=False), "~ {}: it does not outlive a restart of the broker"),
        (replace(EVENTS, internal=True), "~ {}: it is internal: nobody can publish to it"),
        (replace(EVENTS, arguments={"alternate-exchange": "x"}), "~ {}: alternate-exchange is 'x', not declared"),
        (replace(EVENTS, policy="swallow"), "! {}: by the policy 'swallow'"),
    ],
)
def test_an_exchange_that_is_otherwise_is_told(exchange: FoundExchange, problem: str) -> None:
    found = replace(SAME, exchanges={**SAME.exchanges, EVENTS_EXCHANGE: exchange})
    assert told(found) == [problem.format("exchange yousync.events")]


@pytest.mark.parametrize("name", ["yousync.retry.5s", "analysis.work.urgent", "old.dead", "audio.old"])
def test_a_queue_by_a_name_of_ours_that_nothing_declares_is_unknown(name: str) -> None:
    assert told(with_queue(name, FoundQueue({}))) == [f"- queue {name}"]


def test_what_belongs_to_others_is_theirs() -> None:
    assert told(with_queue("billing", FoundQueue({}))) == []
    assert told(replace(SAME, bindings=SAME.bindings | {Binding("amq.topic", "billing", "#")})) == []


def test_an_exchange_by_a_name_of_ours_that_nothing_declares_is_unknown() -> None:
    found = replace(SAME, exchanges={**SAME.exchanges, "yousync.old": FoundExchange("topic")})
    assert told(found) == ["- exchange yousync.old"]


def test_a_binding_that_nothing_declares_is_unknown() -> None:
    assert told(with_binding(EVENTS_EXCHANGE, "audio.events", "#")) == ["- binding yousync.events -> audio.events by '#'"]
    assert told(with_binding("amq.topic", "audio.events", "x")) == ["- binding amq.topic -> audio.events by 'x'"]
    assert told(with_binding(EVENTS_EXCHANGE, "billing", "#")) == [
        "- binding yousync.events -> billing by '#': somebody else's queue"
    ]
    assert told(replace(SAME, others=["yousync.events -> x by '#'"])) == [
        "- binding yousync.events -> x by '#': to an exchange"
    ]


def test_listeners_of_frames_bring_queues_of_their_own() -> None:
    listener = FoundQueue({"x-max-length": 10_000}, durable=False, auto_delete=True, exclusive=True)
    found = with_queue("amq.gen-1", listener)
    assert told(replace(found, bindings=found.bindings | {Binding(FRAMES_EXCHANGE, "amq.gen-1", "7")})) == []
