"""The one exception whose message a visitor reads."""


class SpaceError(Exception):
    """Input or settings that someone can correct; the message is one plain sentence without anybody's input in it."""
