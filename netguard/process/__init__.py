"""What a service needs from and of its process, whatever it serves."""

from netguard.drainable import IDrainable
from netguard.process.drain import Drain, Outcome
from netguard.process.instance import AlreadyRunningError, InstanceError, SingleInstance

__all__ = ["AlreadyRunningError", "Drain", "IDrainable", "InstanceError", "Outcome", "SingleInstance"]
