"""Search pictures in your own language: the Space of LECCR. Settings are environment variables, see README.md."""

from contextlib import suppress

from space_page import build_page, serve
from space_setup import Settings, Setup, build_ready


def main() -> None:
    """Serve the page immediately, and load the model and the pictures behind it."""
    settings = Settings.from_environment()
    setup = Setup(lambda say: build_ready(settings, say))
    with suppress(KeyboardInterrupt):
        serve(build_page(setup), then=setup.start)


if __name__ == "__main__":
    main()
