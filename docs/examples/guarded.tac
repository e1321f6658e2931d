"""An application file: twistd -n --python guarded.tac."""

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

application = Application("guarded echo")
endpoint = serverFromString(reactor, "guard:tcp:8007:interface=127.0.0.1:idle=30s:max-per-peer=20")
StreamServerEndpointService(endpoint, Factory.forProtocol(Echo)).setServiceParent(application)
