"""The exception for mistakes that the user can fix."""


class UserError(Exception):
    """A mistake that the user can fix, described in one line.

    The message names the key or file, the value received, the allowed values and the fix. A stage prints it
    without a traceback and exits with status 1.
    """
