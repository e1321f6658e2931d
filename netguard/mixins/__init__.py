"""For protocols that time themselves: Twisted's TimeoutMixin, with deadlines for reads, writes and phases."""

from netguard.mixins.timeout import TimeoutMixin

__all__ = ["TimeoutMixin"]
