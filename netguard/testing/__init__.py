r"""For those who write guards, or test an application behind them: a guarded connection without a network.

Time is a ``twisted.internet.task.Clock``, the transport behaves as a reactor's TCP transport does (it is built on the
same class), and the peer does exactly what the test says: it sends in any pieces, takes as many bytes as it is told,
half-closes, vanishes. A test reads as a dialogue::

    from netguard import Guard, frozen, option
    from netguard.errors import Reason
    from netguard.testing import check_transparent, connect
    from netguard.units import count


    class TooManyLines(Reason):
        guard, option = "LineLimit", "max-lines"
        summary = "the peer sent too many lines"


    @frozen
    class LineLimit(Guard):
        lines: int = option("max-lines", count, "Cut a connection that brings more lines than this.")

        def open(self, connection):
            seen = 0

            def look(connection, data):
                nonlocal seen
                seen += data.count(b"\n")
                if seen > self.lines:
                    connection.cut(TooManyLines(self.lines, seen))

            connection.tap(look)


    def test_the_limit_itself_passes_and_one_line_more_is_cut():
        peer = connect(LineLimit(2))
        peer.feed(b"one\ntwo\n", split=1)
        assert peer.taken == b"one\ntwo\n"  # the application that is there unless given echoes
        peer.feed(b"three\n")
        assert isinstance(peer.application.reason, TooManyLines)
        assert peer.events[-1].name == "cut"


    def test_a_generous_limit_changes_nothing():
        check_transparent(LineLimit(1000))

"""

from netguard.testing.applications import Application, Echo, HalfCloseable
from netguard.testing.dialogue import Dialogue, connect
from netguard.testing.memory import MemoryTransport
from netguard.testing.native import NativeMemoryTransport
from netguard.testing.transparency import SCRIPTS, check_transparent, differences

__all__ = [
    "SCRIPTS",
    "Application",
    "Dialogue",
    "Echo",
    "HalfCloseable",
    "MemoryTransport",
    "NativeMemoryTransport",
    "check_transparent",
    "connect",
    "differences",
]
