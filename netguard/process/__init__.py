"""What a service needs from and of its process, whatever it serves."""

from netguard.process.instance import AlreadyRunningError, InstanceError, SingleInstance

__all__ = ["AlreadyRunningError", "InstanceError", "SingleInstance"]
