"""Every option of the catalogue on, those that have others asked excepted, and none of them reached."""

from __future__ import annotations

from pathlib import Path

from netguard.policy import flags

RULES = Path(__file__).parent.parent / "everybody.rules"

GENEROUS = {
    "idle": "1h", "first-byte": "1h", "handshake": "1h", "login": "1h", "lifetime": "24h", "write-stall": "1h",
    "min-rate-in": "1", "min-rate-out": "1", "min-rate-grace": "10s", "max-in": "10GiB", "max-out": "10GiB",
    "max-item": "64KiB", "max-queue": "64MiB", "delimiter": r"\r\n", "rate-in": "10GiB", "rate-out": "10GiB",
    "max-connections": "100000", "max-per-peer": "100000", "peer-prefix": "32,64", "connect-rate": "1000000/s",
    "connect-rate-per-peer": "1000000/s", "refusal": "close", "proxy-from": "192.0.2.0/24", "transport": "native",
    "shed": "lag>1h", "shed-by": "refuse,tighten", "shed-limit": "1000000", "exempt": "192.0.2.0/24",
    "penalty": "1000000/s", "penalty-for": "1m", "penalty-most": "1h",
    "penalty-exempt": "192.0.2.0/24", "rules": "deny 192.0.2.0/24,allow ALL", "access": str(RULES),
    "privileged-port": "allow", "names-fail": "closed",
}  # fmt: skip
ASKING = {"names", "names-within", "dns", "dns-proxy", "ident", "ident-within", "ident-port"}
"""Those that have other servers asked, whose time is not ours."""
assert GENEROUS.keys() == flags().keys() - ASKING, GENEROUS.keys() ^ flags().keys() ^ ASKING
