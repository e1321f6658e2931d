"""What is promised of LoadShedding: newcomers are shed while a signal is high, the exempt are served, it recovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import UNIXAddress

from netguard.errors import NoFirstByte, OptionError, Shedding, TooManyPending
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.load_shedding import ACTIONS, LoadShedding, actions
from netguard.load.gradient import SAMPLES, START
from netguard.load.signals import Signals
from netguard.networks import Networks

if TYPE_CHECKING:
    from tests.guards.conftest import Service

HEALTH = "198.51.100.7"


def _reads(house: Service, **figures: float | None) -> None:
    """From here on, the signals are these."""
    house.factory.service.signals = Signals.fixed(figures)


def _let_in(house: Service, count: int = 5, host: Any = "192.0.2.1") -> int:
    return sum(house.knock(host) is not None for _ in range(count))


class Port:
    """A port of Twisted's, as far as that matters here."""

    def __init__(self) -> None:
        self.connected = True
        self.accepts = True

    def stopReading(self) -> None:
        """Leave newcomers in the kernel's queue."""
        self.accepts = False

    def startReading(self) -> None:
        """Accept."""
        self.accepts = True


def _listening(house: Service) -> Port:
    port = Port()
    house.factory.doStart()
    house.factory.listens(port)
    return port


def test_it_refuses_above_the_threshold_and_not_at_it(service: type[Service]) -> None:
    """Both sides."""
    house = service(LoadShedding("load>8"))
    _reads(house, load=8.0)
    assert _let_in(house) == 5
    _reads(house, load=8.1)
    house.wait(0.3)
    assert _let_in(house) == 0
    assert len(house.built) == 5


def test_it_recovers_by_itself_below_80_percent_after_five_seconds(service: type[Service], logged: Any) -> None:
    """Also when nobody comes any more; the log tells the beginning and the end."""
    house = service(LoadShedding("load>10"))
    house.factory.doStart()
    _reads(house, load=11.0)
    assert _let_in(house) == 0
    _reads(house, load=8.0)
    house.wait(20)
    assert _let_in(house) == 0
    _reads(house, load=7.9)
    house.wait(5)
    assert _let_in(house) == 0
    assert not logged.named("recovered")
    house.wait(0.5)
    (began,), (ended,) = logged.named("shedding"), logged.named("recovered")
    assert _let_in(house) == 5
    assert [began[key] for key in ("guard", "option", "signal", "limit", "observed", "by")] == [
        *("LoadShedding", "shed", "load", "10", "11", "refuse"),
    ]
    assert [ended[key] for key in ("guard", "option", "signal", "limit", "observed")] == [
        *("LoadShedding", "shed", "load", "10", "7.9"),
    ]
    assert "by" not in ended


def test_nothing_is_left_running_once_it_has_recovered(service: type[Service]) -> None:
    """No timer, when nobody is there."""
    house = service(LoadShedding("load>10"))
    house.factory.doStart()
    _reads(house, load=11.0)
    _let_in(house)
    house.wait(30)
    assert house.clock.getDelayedCalls()
    _reads(house)
    house.wait(10)
    assert not house.clock.getDelayedCalls()


def test_a_refusal_names_signal_threshold_figure_and_option(service: type[Service], logged: Any) -> None:
    """The figure that was last seen above the threshold, also while it is low and the hold runs."""
    house = service(LoadShedding("lag>250ms,fds>90%"))
    house.factory.doStart()
    _reads(house, **{"fds%": 95.0})
    assert _let_in(house, 1) == 0
    _reads(house)
    house.wait(1)
    assert _let_in(house, 1) == 0
    for event in logged.named("refused"):
        assert (event["guard"], event["option"]) == ("LoadShedding", "shed")
        assert (event["limit"], event["observed"]) == ("fds>90%", "95%")
        assert event["reason"] == "the service is overloaded, observed 95%, limit fds>90%, option shed"
        assert event["reason"] == str(Shedding("fds>90%", "95%"))


def test_each_signal_begins_and_ends_on_its_own(service: type[Service], logged: Any) -> None:
    """While any is high, it sheds."""
    house = service(LoadShedding("lag>250ms,load>8"))
    house.factory.doStart()
    _reads(house, lag=0.3)
    assert _let_in(house) == 0
    _reads(house, lag=0.1, load=9.0)
    house.wait(10)
    assert [each["signal"] for each in logged.named("shedding")] == ["lag", "load"]
    assert [each["signal"] for each in logged.named("recovered")] == ["lag"]
    assert _let_in(house) == 0
    assert logged.named("refused")[-1]["limit"] == "load>8"
    _reads(house)
    house.wait(6)
    assert _let_in(house) == 5


def test_the_lag_of_the_reactor_counts(service: type[Service]) -> None:
    """Measured by the sweeps themselves, while somebody is there."""
    house = service(LoadShedding("lag>250ms"))
    house.factory.doStart()
    house.connect()
    house.wait(5, step=0.25)
    assert _let_in(house) == 5
    house.clock.advance(0.6)  # somebody kept the reactor to himself
    assert _let_in(house) == 0
    house.wait(5)
    assert _let_in(house) == 0
    house.wait(3)
    assert _let_in(house) == 5


def test_the_connections_of_the_service_count(service: type[Service]) -> None:
    """With hysteresis, unlike a limit: ten may come, then nobody until less than eight are left for a while."""
    house = service(LoadShedding("connections>10"))
    house.factory.doStart()
    let_in = [peer for _ in range(20) if (peer := house.knock()) is not None]
    assert len(let_in) == 11
    for gone in let_in[:3]:
        gone.wire.lost(ConnectionError())
    house.wait(10)
    assert _let_in(house, 1) == 0
    let_in[3].wire.lost(ConnectionError())
    house.wait(6)
    assert _let_in(house, 1) == 1


def test_it_looks_before_it_decides(service: type[Service]) -> None:
    """What was seen when the last connection left, hours ago, does not count."""
    house = service(LoadShedding("load>8"))
    _reads(house, load=0.0)
    assert _let_in(house) == 5
    house.factory.abort_all()
    house.wait(5)
    _reads(house, load=9.0)
    house.clock.advance(3600)
    assert _let_in(house) == 0


@pytest.mark.parametrize("exempt", [HEALTH, "198.51.100.0/24,2001:db8::/32", Networks(HEALTH)])
def test_the_exempt_are_always_served(service: type[Service], exempt: Any) -> None:
    """Health checks, whatever is high; and they take nobody's place."""
    house = service(LoadShedding("load>8", exempt=exempt, limit=2))
    _reads(house, load=9.0)
    assert _let_in(house, 50, HEALTH) == 50
    assert _let_in(house, 50, "::ffff:198.51.100.7") == 50
    assert _let_in(house) == 0
    for stranger in ("198.51.101.7", None, UNIXAddress(b"/run/x")):
        assert _let_in(house, 1, stranger) == 0
    _reads(house)
    house.wait(6)
    assert _let_in(house) == 2
    assert _let_in(house, 50, HEALTH) == 50


def test_a_signal_that_cannot_be_read_says_so_once_and_sheds_nothing(service: type[Service], logged: Any) -> None:
    """The others work on; one that fails while it sheds does not keep the door shut."""
    house = service(LoadShedding("pressure>20%,load>8"))
    house.factory.doStart()
    _reads(house, pressure=None)
    assert _let_in(house) == 5
    house.wait(10)
    (event,) = logged.named("unreadable")
    assert [event[key] for key in ("guard", "option", "signal", "limit")] == [
        *("LoadShedding", "shed", "pressure", "20%"),
    ]
    _reads(house, pressure=None, load=9.0)
    house.wait(0.5)
    assert _let_in(house) == 0
    _reads(house, pressure=None, load=None)
    house.wait(0.5)
    assert _let_in(house) == 5
    (ended,) = logged.named("recovered")
    assert "observed" not in ended
    assert [each["signal"] for each in logged.named("unreadable")] == ["pressure", "load"]


def test_paused_means_that_nobody_is_accepted(service: type[Service], logged: Any) -> None:
    """Newcomers wait in the kernel's queue; those whom it had handed over before are let in."""
    house = service(LoadShedding("load>8", by="pause"))
    port = _listening(house)
    _reads(house, load=9.0)
    assert _let_in(house) == 5
    accepts = [port.accepts]
    _reads(house)
    for seconds in (4, 2):
        house.wait(seconds)
        accepts.append(port.accepts)
    assert accepts == [False, False, True]
    assert logged.named("shedding")[0]["by"] == "pause"
    assert "reason" not in logged.named("shedding")[0]


def test_where_no_port_can_pause_newcomers_are_refused(service: type[Service], logged: Any) -> None:
    """And the log says so; other actions are taken all the same."""
    house = service(LoadShedding("load>8", by="pause,tighten"))
    _reads(house, load=9.0)
    assert _let_in(house) == 0
    (event,) = logged.named("shedding")
    assert event["by"] == "refuse,tighten"
    assert event["reason"] == "no port of this service can pause, so newcomers are refused"
    assert house.factory.service.patience == 0.1


def test_pause_and_refuse_together_refuse_those_who_are_handed_over_all_the_same(service: type[Service]) -> None:
    """The kernel's queue holds the rest."""
    house = service(LoadShedding("load>8", by="refuse,pause"))
    port = _listening(house)
    _reads(house, load=9.0)
    assert _let_in(house) == 0
    assert not port.accepts


def test_tighten_leaves_peers_that_are_not_settled_a_tenth_of_their_time(service: type[Service], logged: Any) -> None:
    """Nobody is refused; afterwards all have their time again."""
    house = service(LoadShedding("load>8", by="tighten"), FirstByteTimeout("60s"))
    settled, waiting = house.connect(), house.connect()
    settled.connection.settle()
    house.wait(10)
    _reads(house, load=9.0)
    assert house.end_of(waiting, 1) < 11
    assert waiting.why(NoFirstByte).limit == 6
    late = house.connect()
    house.wait(5)
    assert late.reason is None
    _reads(house)
    house.wait(20)
    assert late.why(NoFirstByte).limit == 6
    after = house.connect()
    house.wait(20)
    assert (settled.reason, after.reason) == (None, None)
    assert logged.named("shedding")[0]["by"] == "tighten"


def test_who_comes_while_it_becomes_tight_has_a_tenth_too(service: type[Service]) -> None:
    """It is on the newcomer's own arrival that this is found out."""
    house = service(LoadShedding("load>8", by="tighten"), FirstByteTimeout("60s"))
    _reads(house, load=9.0)
    peer = house.connect()
    assert 6 <= house.end_of(peer, 7) <= 6.6


def test_who_only_observes_reports_and_does_nothing(service: type[Service], logged: Any) -> None:
    """Neither refuses, nor pauses, nor tightens."""
    house = service(LoadShedding("load>8", by="refuse,pause,tighten", limit=3, observe=True))
    port = _listening(house)
    _reads(house, load=9.0)
    assert _let_in(house) == 5
    assert port.accepts
    assert house.factory.service.patience == 1
    assert logged.named("shedding")[0]["by"] == "observe"
    assert "reason" not in logged.named("shedding")[0]
    assert {each["option"] for each in logged.named("would_refuse")} == {"shed"}
    _reads(house)
    house.wait(6)
    assert _let_in(house) == 5
    assert {each["option"] for each in logged.named("would_refuse")} == {"shed", "shed-limit"}
    assert not logged.named("refused")


@pytest.mark.parametrize("limit", [3, "3"])
def test_a_number_of_peers_may_be_on_their_way(service: type[Service], logged: Any, limit: Any) -> None:
    """One that is settled, or gone, makes room for one; the reason names the limit."""
    house = service(LoadShedding(limit=limit))
    peers = [house.connect() for _ in range(3)]
    assert _let_in(house) == 0
    peers[0].connection.settle()
    peers[1].wire.lost(ConnectionError())
    assert _let_in(house) == 2
    peers[0].wire.lost(ConnectionError())  # it was on its way no longer
    assert _let_in(house) == 0
    event = logged.named("refused")[0]
    assert event["reason"] == str(TooManyPending(3, 4))
    assert (event["limit"], event["observed"], event["option"]) == ("3", "4", "shed-limit")


def test_who_is_refused_by_another_guard_gives_the_place_back(service: type[Service]) -> None:
    """As with every limit."""
    house = service(LoadShedding(limit=3))
    inner: Any = house.inner
    inner.buildProtocol = lambda _: None
    assert _let_in(house, 10) == 0
    inner.buildProtocol = house.build
    assert _let_in(house, 10) == 3


def test_an_adaptive_limit_follows_from_how_fast_peers_are_settled(service: type[Service]) -> None:
    """None until somebody is; then it falls when everybody becomes slow, and rises again."""
    house = service(LoadShedding(limit="adaptive"))

    def serve(many: int, seconds: float) -> None:
        peers = [peer for _ in range(many) if (peer := house.knock()) is not None]
        house.wait(seconds)
        for peer in peers:
            peer.connection.settle()
            peer.wire.lost(ConnectionError())

    assert _let_in(house, 200) == 200
    house.factory.abort_all()
    house.wait(1)
    for _ in range(20):
        serve(SAMPLES, 0.1)
    peers = [peer for _ in range(200) if (peer := house.knock()) is not None]
    assert len(peers) == START
    for peer in peers:
        peer.wire.lost(ConnectionError())
    for _ in range(10):
        serve(90, 1.0)
    peers = [peer for _ in range(200) if (peer := house.knock()) is not None]
    assert len(peers) < START * 0.6


def test_ports_of_one_service_shed_together(service: type[Service]) -> None:
    """They look once, and count together."""
    guard = LoadShedding("load>8", limit=3)
    house, other = service(guard), service()
    other.factory = type(house.factory)(
        other.inner, house.factory.guards, reactor=house.factory.reactor, beside=house.factory
    )
    other.clock = house.clock
    _reads(house, load=0.0)
    assert _let_in(house, 2) == 2
    assert _let_in(other, 5) == 1
    _reads(house, load=9.0)
    house.wait(1)
    assert _let_in(other) == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "LoadShedding needs at least one of: shed, limit"),
        ({"exempt": HEALTH}, "LoadShedding needs at least one of: shed, limit"),
        ({"shed": "lagg>1s"}, "option shed: unknown signal 'lagg'; did you mean 'lag'?"),
        ({"shed": "lag>1s", "by": "pause", "exempt": HEALTH}, "option exempt cannot be honoured with shed-by pause"),
        ({"limit": 5, "by": "tighten"}, "option shed-by has no effect without option shed"),
        ({"shed": "lag>1s", "by": "close"}, "option shed-by: 'close' is not refuse, pause, tighten or several of them"),
        ({"shed": "lag>1s", "by": ()}, r"option shed-by: '\(\)' is not refuse"),
        ({"limit": "some"}, "option shed-limit: 'some' is not adaptive, or a whole number above 0"),
        ({"limit": 5, "exempt": "somewhere"}, "option exempt: 'somewhere' is not"),
    ],
)
def test_what_cannot_be_honoured_is_an_error(options: dict[str, Any], says: str) -> None:
    """One line that names the option."""
    with pytest.raises(OptionError, match=says):
        LoadShedding(**options)


def test_actions_are_equal_in_any_order_and_spelling() -> None:
    """And are written as they are read."""
    assert actions("tighten, Refuse") == actions(["refuse", "tighten"]) == ("refuse", "tighten")
    assert actions(",".join(reversed(ACTIONS))) == ACTIONS
    assert actions.text(ACTIONS) == "refuse,pause,tighten"
