"""The one exception that users see."""


class UserError(Exception):
    """Something the user can mend. The message is one line that names the place and the remedy."""


class PassingError(UserError):
    """The same, of something that may be otherwise in an hour or on another node: a network, a GPU, a server."""
