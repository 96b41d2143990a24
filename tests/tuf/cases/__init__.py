"""The cases of the protocol, by what they are about. Importing a module puts its cases on the list."""

from . import delegations, downloads, expiry, keys, refresh, rollback, service

__all__ = ["delegations", "downloads", "expiry", "keys", "refresh", "rollback", "service"]
