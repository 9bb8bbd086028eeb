"""What a server counts, in the form that Prometheus reads."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters of one server, and the memory and the time that its process uses.

    Attributes:
        in_progress: Requests that are read, wait or are answered.
        items: Items of the gallery.
    """

    def __init__(self) -> None:
        # Not the library's own registry, which all servers of a process would share.
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        own: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter("leccr_requests", "Requests by their status.", ["route", "status"], **own)
        self._seconds = Histogram("leccr_request_seconds", "Time of a request.", ["route"], buckets=SECONDS, **own)
        self._batches = Histogram("leccr_batch_size", "What was encoded together.", ["of"], buckets=SIZES, **own)
        self.in_progress = Gauge("leccr_requests_in_progress", "Requests read, waiting or being answered.", **own)
        self.items = Gauge("leccr_items", "Items of the gallery.", **own)

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: Its path as the server declares it, such as `/items/{number}/thumbnail`: clients' own paths would
                be a row each.
            status: Of the answer; 499 if the client had left.
            seconds: From its first byte to its answer.
        """
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, of: str, size: int) -> None:
        """Count a batch of so many texts, pictures or searches."""
        self._batches.labels(of).observe(size)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)
