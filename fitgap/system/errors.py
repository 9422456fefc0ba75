"""The one exception that means "the user can mend this"."""


class UserError(Exception):
    """A mistake the user can mend, told in one line.

    The line says which key or file, what was given, what is allowed and what to do. A stage prints it
    without a traceback and exits with 1.
    """
