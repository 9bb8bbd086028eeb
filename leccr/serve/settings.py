"""What a server lets its clients do."""

from dataclasses import dataclass

MEGABYTE = 2**20


@dataclass(frozen=True)
class Settings:
    """Limits, and who may ask.

    Attributes:
        key: What clients have to send as `Authorization: Bearer KEY`; None lets everybody in.
        origins: Addresses of pages, such as `https://photos.example.org`, whose scripts may ask from a browser.
        hosts: Names by which clients may address the server; empty for any.
        batch_size: Most texts or pictures that the model is given together.
        most_waiting: Most requests that are read, wait or are answered at the same time; others get status 503.
        most_bytes: Of a request's body. All bodies together may take 16 times as much.
        most_texts: Of one request.
        most_pictures: Of one request.
        most_characters: Of a text.
        seconds: After which a request that has no answer yet is given up, with status 503.
        grace_seconds: How long requests may take to end once the server is to stop.
    """

    key: str | None = None
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    batch_size: int = 64
    most_waiting: int = 256
    most_bytes: int = 16 * MEGABYTE
    most_texts: int = 1000
    most_pictures: int = 32
    most_characters: int = 32_000
    seconds: float = 60.0
    grace_seconds: int = 10

    @property
    def most_bytes_together(self) -> int:
        """Bytes of all bodies that are held at the same time."""
        return 16 * self.most_bytes
