"""Search pictures in your own language: the Space of LECCR. Settings are environment variables, see README.md."""

from space_page import build_page, serve
from space_setup import Settings, Setup, build_ready


def main() -> None:
    """Serve the page at once, and make it ready behind it."""
    settings = Settings.from_environment()
    setup = Setup(lambda say: build_ready(settings, say))
    setup.start()
    serve(build_page(setup))


if __name__ == "__main__":
    main()
