"""Whether the Hub can be reached: where it cannot, a command says so within seconds instead of retrying for minutes.

transformers, datasets and huggingface_hub each repeat what fails, up to several minutes in all. So a command asks the
Hub once, with little patience, before it loads anything by name; without an answer all three libraries are told that
they are offline, and take what is in the cache.
"""

import http.client
import os
import ssl
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from processing.notes import note

from ..arguments import repository_of
from ..errors import UserError

DEFAULT_ENDPOINT = "https://huggingface.co"
OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
SECONDS = 3.0


def need_from_hub(names: Iterable[str | None], kind: str = "model", alternative: str = "") -> None:
    """Check that what is not a local path is in the cache, or that the Hub can be reached.

    Args:
        names: Paths or names on the Hub; None is passed over.
        kind: `model` or `dataset`.
        alternative: What works without a download, added to the message.

    Raises:
        UserError: If something is not in the cache, and the Hub cannot be reached or must not be asked.
    """
    given = (repository_of(name) for name in names if name)
    remote = list(dict.fromkeys(name for name in given if not Path(name).exists()))
    if not remote:
        return
    offline = is_offline()
    if not offline and reach_hub():
        return
    absent = [name for name in remote if not _is_cached(name, kind)]
    if absent:
        raise UserError(f"{_are_not_here(absent)}, and {_reason(offline)}, or give a folder. {alternative}".rstrip())
    if not offline:
        note(f"The Hub ({endpoint()}) cannot be reached; {', '.join(remote)} is taken from the cache.")
        _go_offline()


def need_hub(purpose: str) -> None:
    """Check that the Hub can be reached.

    Args:
        purpose: What needs it, the subject of the sentence.

    Raises:
        UserError: If it cannot.
    """
    offline = is_offline()
    if offline or not reach_hub():
        raise UserError(f"{purpose} needs the Hub, and {_reason(offline)}.")


def endpoint() -> str:
    """Return the Hub's address: the variable `HF_ENDPOINT`, or huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def is_offline() -> bool:
    """Return whether the environment forbids asking the Hub."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE_VARIABLES)


def reach_hub() -> bool:
    """Return whether the Hub gives any answer within seconds."""
    if any(proxy.startswith("socks") for proxy in urllib.request.getproxies().values()):
        return True  # which urllib cannot use, but the Hub's own client may
    answers: list[bool] = []
    # In a thread, because looking up the host's name knows no time limit.
    thread = threading.Thread(target=lambda: answers.append(_ask(endpoint())), daemon=True)
    thread.start()
    thread.join(SECONDS + 1)
    return any(answers)


def _ask(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except (OSError, http.client.HTTPException, ValueError) as error:
        # A host was there; the Hub's own client may trust other certificates than Python does.
        return isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError)


def _is_cached(name: str, kind: str) -> bool:
    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE, f"{kind}s--{name.replace('/', '--')}", "snapshots")
    return snapshots.is_dir() and any(snapshots.iterdir())


def _go_offline() -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    # The libraries read the variable when they are imported.
    for module in ("huggingface_hub.constants", "datasets.config"):
        if module in sys.modules:
            vars(sys.modules[module])["HF_HUB_OFFLINE"] = True


def _are_not_here(names: list[str]) -> str:
    verb = "is neither a folder" if len(names) == 1 else "are neither folders"
    return f"{', '.join(names)} {verb} nor in the cache"


def _reason(offline: bool) -> str:
    if offline:
        return "HF_HUB_OFFLINE forbids a download: unset it"
    return f"the Hub ({endpoint()}) cannot be reached: connect to the Internet"
