"""The one exception that stands for bad input."""


class UserError(Exception):
    """Input that the user can mend.

    The message is one plain sentence that names the value, the file or the row, and says what to do. The command line
    prints it alone and exits with code 2.
    """
