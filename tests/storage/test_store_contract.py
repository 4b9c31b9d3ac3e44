"""What every store promises, on SQLite (memory and file) and on Cosmos DB alike."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from shared.storage.store import Patch, Where, put

# ---------------------------------------------------------------------- create, get, replace


def test_what_is_created_is_read_back_the_same(store, account, order):
    body = order("a", price=Decimal("96123.10"), filled=True, note=None, fees=["0.1", {"x": -1.5}])
    made = store.create("orders", body)
    assert made.body == {**body, "price": "96123.10"}
    assert store.get("orders", account, "a") == made


def test_absent_documents_and_partitions_read_as_none(store, account, order):
    store.create("orders", order("a"))
    assert store.get("orders", account, "b") is None
    assert store.get("orders", f"{account}-other", "a") is None


def test_an_id_is_taken_once_per_partition(store, account, order):
    store.create("orders", order("a", n=1))
    with pytest.raises(AlreadyExists):
        store.create("orders", order("a", n=2, clientOrderId="another"))
    assert store.get("orders", account, "a").body["n"] == 1
    other = f"{account}-other"
    store.create("orders", {"id": "a", "account": other, "clientOrderId": "c-a"})
    assert store.get("orders", other, "a") is not None


def test_a_unique_key_is_taken_once_per_partition(store, account, order):
    store.create("orders", order("a", clientOrderId="same"))
    with pytest.raises(AlreadyExists):
        store.create("orders", order("b", clientOrderId="same"))
    assert store.get("orders", account, "b") is None
    second = store.create("orders", order("c", clientOrderId="free"))
    with pytest.raises(AlreadyExists):
        store.replace("orders", {**second.body, "clientOrderId": "same"}, etag=second.etag)
    store.delete("orders", account, "a")
    store.replace("orders", {**second.body, "clientOrderId": "same"}, etag=second.etag)


def test_a_missing_unique_key_is_one_value(store, order):
    def without(id):
        return {k: v for k, v in order(id).items() if k != "clientOrderId"}

    store.create("orders", without("a"))
    with pytest.raises(AlreadyExists):
        store.create("orders", without("b"))


def test_replace_needs_the_version_it_read(store, account, order):
    first = store.create("orders", order("a", status="intent"))
    second = store.replace("orders", order("a", status="sent"), etag=first.etag)
    assert second.etag != first.etag
    with pytest.raises(Conflict):
        store.replace("orders", order("a", status="lost"), etag=first.etag)
    assert store.get("orders", account, "a") == second


def test_replacing_the_same_body_is_still_a_new_version(store, order):
    first = store.create("orders", order("a"))
    second = store.replace("orders", first.body, etag=first.etag)
    assert (second.body, second.etag != first.etag) == (first.body, True)


def test_replace_of_an_absent_document_is_not_found(store, order):
    made = store.create("orders", order("a"))
    with pytest.raises(NotFound):
        store.replace("orders", order("b"), etag=made.etag)


def test_a_document_made_again_has_a_new_version(store, account, order):
    first = store.create("orders", order("a"))
    store.delete("orders", account, "a")
    store.create("orders", order("a"))
    with pytest.raises(Conflict):
        store.replace("orders", order("a"), etag=first.etag)


def test_delete_with_and_without_version(store, account, order):
    made = store.create("orders", order("a"))
    with pytest.raises(Conflict):
        store.delete("orders", account, "a", etag="another")
    store.delete("orders", account, "a", etag=made.etag)
    assert store.get("orders", account, "a") is None
    with pytest.raises(NotFound):
        store.delete("orders", account, "a")
    with pytest.raises(NotFound):
        store.delete("orders", account, "a", etag=made.etag)


def test_put_creates_then_overwrites(store, account):
    for price in ("1", "2"):
        put(store, "positions", account, {"id": "BTCUSDT", "account": account, "price": price})
    assert store.get("positions", account, "BTCUSDT").body["price"] == "2"


# ---------------------------------------------------------------------- patch


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([Patch("set", "state", "latched")], {"state": "latched", "n": 1, "open": {"a": "5"}}),
        ([Patch("set", "open.b", "7")], {"state": "armed", "n": 1, "open": {"a": "5", "b": "7"}}),
        (
            [Patch("set", "risk.day.loss", "1")],
            {"state": "armed", "n": 1, "open": {"a": "5"}, "risk": {"day": {"loss": "1"}}},
        ),
        ([Patch("increment", "n", 2)], {"state": "armed", "n": 3, "open": {"a": "5"}}),
        ([Patch("increment", "m", -1)], {"state": "armed", "n": 1, "open": {"a": "5"}, "m": -1}),
        ([Patch("remove", "open.a")], {"state": "armed", "n": 1, "open": {}}),
        ([Patch("remove", "open.x")], {"state": "armed", "n": 1, "open": {"a": "5"}}),
        ([Patch("remove", "no.such.path")], {"state": "armed", "n": 1, "open": {"a": "5"}}),
        (
            [Patch("increment", "n", 1), Patch("increment", "n", 1), Patch("remove", "state")],
            {"n": 3, "open": {"a": "5"}},
        ),
    ],
)
def test_patch(store, account, operations, expected):
    key = {"id": "kill-switch", "scope": account}
    made = store.create("control", {**key, "state": "armed", "n": 1, "open": {"a": "5"}})
    result = store.patch("control", account, "kill-switch", operations)
    assert result.body == {**key, **expected}
    assert result.etag != made.etag
    assert store.get("control", account, "kill-switch") == result


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ([Where("State", "=", "Armed")], True),
        ([Where("State", "=", "armed")], False),
        ([Where("State", "!=", "latched")], True),
        ([Where("missing", "!=", "x")], False),
        ([Where("missing", "=", None)], False),
        ([Where("nothing", "=", None)], True),
        ([Where("nothing", "!=", None)], False),
        ([Where("deep.permits", "<", 3), Where("deep.permits", ">=", 2)], True),
        ([Where("deep.permits", "<", 2), Where("State", "=", "Armed")], False),
        ([Where("deep.permits", "=", "2")], False),
        ([Where("deep.permits", "!=", "2")], True),
        ([Where("live", "=", True)], True),
        ([Where("live", "=", 1)], False),
        ([Where("date", ">", "2025-05-03")], True),
        ([Where("date", ">", 5)], False),
    ],
)
def test_a_patch_happens_only_if_every_condition_holds(store, account, condition, holds):
    body = {"id": "k", "scope": account, "State": "Armed", "deep": {"permits": 2}}
    made = store.create("control", {**body, "live": True, "date": "2025-05-04", "nothing": None})
    change = [Patch("increment", "deep.permits", 1)]
    if holds:
        patched = store.patch("control", account, "k", change, condition=condition)
        assert patched.body["deep"] == {"permits": 3}
    else:
        with pytest.raises(Conflict):
            store.patch("control", account, "k", change, condition=condition)
        assert store.get("control", account, "k") == made


def test_a_condition_looks_at_its_own_document_only(store, account):
    for scope, state in ((account, "latched"), (f"{account}-other", "armed")):
        store.create("control", {"id": "k", "scope": scope, "state": state})
    armed = [Where("state", "=", "armed")]
    with pytest.raises(Conflict):
        store.patch("control", account, "k", [Patch("increment", "n", 1)], condition=armed)


def test_patch_of_an_absent_document_is_not_found(store, account):
    with pytest.raises(NotFound):
        store.patch("control", account, "absent", [Patch("set", "a", 1)])


def test_a_patch_that_does_not_fit_changes_nothing(store, account):
    made = store.create("control", {"id": "k", "scope": account, "text": "a", "n": 1})
    for bad in (
        Patch("increment", "text", 1),
        Patch("increment", "n", "1"),
        Patch("set", "text.inner", 1),
        Patch("set", "id", "other"),
        Patch("set", "scope", "other"),
        Patch("set", "a..b", 1),
        Patch("set", "n", float("nan")),
    ):
        with pytest.raises(InvalidInput):
            store.patch("control", account, "k", [Patch("set", "n", 9), bad])
        assert store.get("control", account, "k") == made


# ---------------------------------------------------------------------- queries


@pytest.fixture
def trades(store, account):
    rows = [
        {"id": "t1", "symbol": "BTCUSDT", "closed": 10, "pnl": "1.5", "win": True},
        {"id": "t2", "symbol": "BTCUSDT", "closed": 30, "pnl": "-2", "win": False},
        {"id": "t3", "symbol": "ETHUSDT", "closed": 20, "pnl": "0", "win": None},
        {"id": "t4", "symbol": "ETHUSDT", "closed": 20, "exit": {"reason": "stop"}},
        {"id": "t5", "symbol": "ETHUSDT", "closed": 20.5, "exit": {"reason": "target"}},
        {"id": "t6", "symbol": "SOLUSDT", "closed": "never"},
        {"id": "t7", "symbol": "SOLUSDT"},
    ]
    for row in rows:
        store.create("trades", {"account": account, **row})
    store.create("trades", {"account": f"{account}-other", "id": "t8", "symbol": "BTCUSDT"})
    return account


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([], "t1 t2 t3 t4 t5 t6 t7"),
        ([Where("symbol", "=", "BTCUSDT")], "t1 t2"),
        ([Where("symbol", "!=", "BTCUSDT")], "t3 t4 t5 t6 t7"),
        ([Where("closed", ">=", 20)], "t2 t3 t4 t5"),
        ([Where("closed", ">", 20), Where("closed", "<", 30)], "t5"),
        ([Where("closed", "!=", 20)], "t1 t2 t5 t6"),
        ([Where("closed", "<=", "z")], "t6"),
        ([Where("win", "=", True)], "t1"),
        ([Where("win", "=", False)], "t2"),
        ([Where("win", "!=", True)], "t2 t3"),
        ([Where("win", "=", None)], "t3"),
        ([Where("win", "!=", None)], "t1 t2"),
        ([Where("exit.reason", "=", "stop")], "t4"),
        ([Where("exit", "=", "stop")], ""),
        ([Where("id", ">", "t3"), Where("id", "<=", "t5")], "t4 t5"),
        ([Where("symbol", "=", "x' OR 1=1 --")], ""),
    ],
)
def test_query_conditions(store, trades, where, expected):
    page = store.query("trades", trades, where=where)
    assert [d.body["id"] for d in page.documents] == expected.split()
    assert page.continuation is None


@pytest.mark.parametrize(
    ("order_by", "descending", "expected"),
    [
        ("id", True, "t7 t6 t5 t4 t3 t2 t1"),
        ("closed", False, "t1 t3 t4 t5 t2 t6"),
        ("closed", True, "t6 t2 t5 t4 t3 t1"),
        ("win", False, "t3 t2 t1"),
        ("exit.reason", True, "t5 t4"),
        ("exit", False, ""),
    ],
)
def test_query_order(store, trades, order_by, descending, expected):
    page = store.query("trades", trades, order_by=order_by, descending=descending)
    assert [d.body["id"] for d in page.documents] == expected.split()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order_by", ["id", "bucket"])
@pytest.mark.parametrize("limit", [1, 4, 7, 100])
def test_paging_visits_everything_once(store, account, order_by, descending, limit):
    ids = [f"p{n:02d}" for n in range(14)]
    for n, each in enumerate(ids):
        store.create("trades", {"id": each, "account": account, "bucket": n % 3})
    seen, buckets, continuation = [], [], None
    for _ in range(30):
        page = store.query(
            "trades",
            account,
            order_by=order_by,
            descending=descending,
            limit=limit,
            continuation=continuation,
        )
        assert 0 < len(page.documents) <= limit
        seen += [d.body["id"] for d in page.documents]
        buckets += [d.body["bucket"] for d in page.documents]
        continuation = page.continuation
        if continuation is None:
            break
    assert sorted(seen) == ids
    ordered = seen if order_by == "id" else buckets
    assert ordered == sorted(ordered, reverse=descending)


def test_a_document_added_while_paging_disturbs_nothing(store, account):
    for n in (1, 2, 4, 5):
        store.create("trades", {"id": f"t{n}", "account": account})
    first = store.query("trades", account, limit=2)
    store.create("trades", {"id": "t0", "account": account})
    store.create("trades", {"id": "t3", "account": account})
    rest = store.query("trades", account, limit=9, continuation=first.continuation)
    assert [d.body["id"] for d in first.documents] == ["t1", "t2"]
    assert [d.body["id"] for d in rest.documents][-2:] == ["t4", "t5"]
    assert "t0" not in [d.body["id"] for d in rest.documents]


def test_versions_from_a_query_can_be_used(store, account, order):
    store.create("orders", order("a", status="NEW"))
    (found,) = store.query("orders", account, where=[Where("status", "=", "NEW")]).documents
    store.replace("orders", {**found.body, "status": "FILLED"}, etag=found.etag)


def test_a_continuation_serves_only_its_query(store, trades):
    page = store.query("trades", trades, limit=2)
    with pytest.raises(InvalidInput, match="another query"):
        store.query("trades", trades, limit=2, descending=True, continuation=page.continuation)
    for broken in ("", "nonsense", page.continuation[:-4]):
        with pytest.raises(InvalidInput):
            store.query("trades", trades, limit=2, continuation=broken)


# ---------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": 5}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": "a#b"}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"account": ""}, "account"),
        ({"account": None}, "account"),
        ({"price": float("nan")}, "price"),
        ({"price": float("inf")}, "price"),
        ({"price": Decimal("NaN")}, "price"),
        ({"deep": {"orderId": 2**53}}, "orderId"),
        ({"when": object()}, "when"),
        ({"deep": {1: "x"}}, "deep"),
        ({"_etag": "x"}, "_etag"),
        ({"ttl": 5}, "ttl"),
        ({"text": "\ud800"}, "Unicode"),
        ({"text": "x" * 2_100_000}, "bytes"),
    ],
)
def test_a_body_that_cannot_be_kept_exactly_is_refused(store, account, order, fields, named):
    with pytest.raises(InvalidInput, match=named):
        store.create("orders", {**order("a"), **fields})
    assert store.get("orders", account, "a") is None


@pytest.mark.parametrize(
    "number", [2**53 - 1, -(2**53) + 1, 0, -0.0, 1.0, 0.1, 1e-300, 1.7976931348623157e308, 1e20]
)
def test_numbers_survive(store, account, order, number):
    store.create("orders", order("a", n=number))
    found = store.get("orders", account, "a").body["n"]
    assert found == number
    assert isinstance(found, int) is (number == int(number) and abs(number) < 2**53)


@pytest.mark.parametrize("ttl", [0, -2, 2**31])
def test_a_time_to_live_must_be_one(store, order, ttl):
    with pytest.raises(InvalidInput, match="ttl"):
        store.create("orders", order("a"), ttl=ttl)


@pytest.mark.parametrize(
    "where",
    [
        Where("a b", "=", 1),
        Where('a"b', "=", 1),
        Where("", "=", 1),
        Where("a", "LIKE", 1),
        Where("a", "<", None),
        Where("a", ">", True),
        Where("a", "=", [1]),
        Where("a", "=", float("nan")),
    ],
)
def test_a_condition_nobody_can_answer_is_refused(store, account, where):
    with pytest.raises(InvalidInput):
        store.query("trades", account, where=[where])
    store.create("control", {"id": "k", "scope": account})
    with pytest.raises(InvalidInput):
        store.patch("control", account, "k", [Patch("set", "a", 1)], condition=[where])


def test_unknown_containers_and_limits_are_refused(store, account):
    with pytest.raises(InvalidInput, match="nonsense"):
        store.get("nonsense", account, "a")
    with pytest.raises(InvalidInput, match="limit"):
        store.query("trades", account, limit=0)


# ---------------------------------------------------------------------- concurrency


def _together(count, work):
    barrier = threading.Barrier(count)

    def run(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_patches_from_many_threads_lose_nothing(store, account):
    store.create("control", {"id": "k", "scope": account, "permits": 0, "outstanding": {}})

    def work(number):
        for turn in range(5):
            store.patch(
                "control",
                account,
                "k",
                [
                    Patch("increment", "permits", 1),
                    Patch("set", f"outstanding.t{number}-{turn}", True),
                ],
            )

    _together(4, work)
    body = store.get("control", account, "k").body
    assert (body["permits"], len(body["outstanding"])) == (20, 20)


def test_compare_and_swap_from_many_threads_loses_nothing(store, account):
    store.create("control", {"id": "ledger", "scope": account, "n": 0})

    def work(_):
        done = 0
        while done < 5:
            found = store.get("control", account, "ledger")
            body = {**found.body, "n": found.body["n"] + 1}
            try:
                store.replace("control", body, etag=found.etag)
            except Conflict:
                continue
            done += 1

    _together(4, work)
    assert store.get("control", account, "ledger").body["n"] == 20


def test_a_conditional_patch_is_won_at_most_once(store, account):
    store.create("control", {"id": "k", "scope": account, "state": "armed"})

    def work(number):
        try:
            return store.patch(
                "control",
                account,
                "k",
                [Patch("set", "state", "latched"), Patch("set", "by", number)],
                condition=[Where("state", "=", "armed")],
            ).body["by"]
        except Conflict:
            return None

    winners = [by for by in _together(6, work) if by is not None]
    assert winners == [store.get("control", account, "k").body["by"]]


@pytest.mark.parametrize("same", ["id", "clientOrderId"])
def test_only_one_of_many_creates_wins(store, account, same):
    def work(number):
        body = {"id": f"o{number}", "account": account, "clientOrderId": f"c{number}"}
        try:
            store.create("orders", {**body, same: "contested", "by": number})
        except AlreadyExists:
            return None
        return number

    winners = [n for n in _together(6, work) if n is not None]
    stored = store.query("orders", account).documents
    assert [d.body["by"] for d in stored] == winners
    assert len(winners) == 1
