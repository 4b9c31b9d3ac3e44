"""A whole trade, from the signal to the record, by every way out."""


def test_probe(open_floor):
    import time

    t = time.time()
    f = open_floor()
    print("start", time.time() - t)
    t = time.time()
    s = f.trade()
    f.run(5)
    print("trade", time.time() - t)
    t = time.time()
    print(f.outcome(s), f.held(), [(a.type, a.trigger_price, a.quantity) for a in f.algos()])
    print(f.documents("signals", "BTCUSDT")[-1].get("decision", {}).get("reasons"))
    print(f.alerts(), f.leaked())
    f.minutes(10)
    print("10min", time.time() - t)
    t = time.time()
    f.http("POST", "/api/emergency-stop", {})
    f.run(20)
    print(f.held(), f.alerts(), f.leaked(), f.events("risk"))
    f.minutes(3)
    print(f.trades())
