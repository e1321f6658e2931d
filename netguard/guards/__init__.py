"""The guards: one concern a file. :data:`netguard.policy.CATALOGUE` lists them in the order a connection meets them."""
