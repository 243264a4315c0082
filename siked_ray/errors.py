"""Errors a user can act on. Each message says what is wrong, why it matters and what to set.

All of them are picklable (one string argument), so that they cross process borders unchanged.
"""


class SikedError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 1


class UserError(SikedError, ValueError):
    """Something the user has to change: a setting, a file, a model. Nothing expensive has started."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, missing or has an impossible value."""


class DataError(UserError):
    """A data file or data set is missing, unreadable or has nothing usable in it."""


class UnreachableError(DataError):
    """A data set is on a Hub that cannot be reached from here."""


class ModelError(UserError):
    """A model directory or name cannot serve in its role."""


class VerificationError(SikedError):
    """The verifier itself failed; never raised for what a completion contains."""


class StageError(SikedError):
    """A stage of the loop could not be finished; what it had committed is kept."""


class PlacementError(SikedError):
    """The cluster cannot give a stage the resources that it asks for."""
