"""The one exception that users see."""


class UserError(Exception):
    """Something the user can mend. The message is one line that names the place and the remedy."""
