"""What `leccr demo` does: choose what is searched, and serve the Space with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from processing.device import choose_device
from processing.writable import check_writable

from ..arguments import check_gallery_to_show
from ..errors import UserError
from ..gallery.store.catalogue import FILE
from .space import space

TRAINING_SCENES = 2000


def run_demo(
    gallery: str | None,
    model: str | None,
    training_scenes: int = TRAINING_SCENES,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    new: bool = False,
    **options: Any,
) -> tuple[Any, str, str]:
    """Serve the Space.

    Args:
        gallery: A folder that `leccr index` wrote, a folder of pictures, a data set of the Hub, or None for Scenes.
        model: A trained model; None for the gallery's own, or for one trained on Scenes.
        training_scenes: Scenes that such a model is trained on.
        device: Where the model runs, as for `processing.device.choose_device`.
        dtype: Its precision, as for `processing.device.choose_dtype`.
        trust_remote_code: Run code that it carries, if it is of a kind that the libraries do not know.
        new: Whether the gallery is made first, if it does not exist, from a folder that is chosen in the page.
        **options: Of Gradio's `launch`, such as `server_port`.

    Returns:
        What Gradio's `launch` returns: the app, its local address, and its public one.

    Raises:
        UserError: If Gradio is not installed, there is no such gallery, model or device, or the port is taken.
    """
    is_first = new and not (gallery is not None and (Path(gallery) / FILE).is_file())
    if gallery is not None and not is_first:
        check_gallery_to_show(gallery)
    choose_device(device)
    loading = {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    setup, page = space("setup"), space("page")
    try:
        if is_first:
            served = _first_run(gallery, model, bool(options.get("share")), **loading)
            return page.serve(page.build_page(served), **options)
        if gallery is not None and (Path(gallery) / FILE).is_file():
            served = setup.Setup(lambda say: _indexed(gallery, model, **loading)).finish()
            return page.serve(page.build_page(served), **options)
        if gallery is not None:
            # A mistake is reported here and not after the training.
            space("sources").open_source(gallery)
        settings = setup.Settings(model or "", gallery or "")
        load, train = _loader(**loading), _trainer(training_scenes, device)
        served = setup.Setup(lambda say: setup.build_ready(settings, say, load, train))
        if model:
            return page.serve(page.build_page(served.finish()), **options)
        # Training takes minutes, so the page reports its progress.
        return page.serve(page.build_page(served), then=served.start, **options)
    except space("errors").SpaceError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"The page cannot be served: {error}") from error


def _indexed(gallery: str, model: str | None, **loading: Any) -> Any:
    from ..gallery import Gallery
    from .searcher import GallerySearcher

    searcher = GallerySearcher(Gallery.open(gallery, model, **loading))
    return space("setup").make_ready(searcher, Path(gallery).resolve().name, descriptions=searcher.descriptions())


def _first_run(gallery: str | None, model: str | None, share: bool, **loading: Any) -> Any:
    """Return what the page shows where a folder of photos is chosen in it first."""
    from .first_run import FolderChooser, index_chosen

    if gallery is None or model is None:
        raise UserError("--new needs --gallery, the folder to write the new gallery to, and --model.")
    if share:
        raise UserError("--new shows folders of this machine, so it cannot be combined with --share.")
    check_writable(Path(gallery), folder=True)
    chooser = FolderChooser(Path.home())

    def build(say: Callable[[str], None]) -> Any:
        if chooser.chosen is not None:
            index_chosen(chooser.chosen, Path(gallery), model, say, **loading)
        return _indexed(gallery, model, **loading)

    return space("setup").Setup(build, chooser)


def _loader(**loading: Any) -> Callable[[str], Any]:
    """Return what loads a model with our own classes, and not with the code that its repository carries."""

    def load(name: str) -> Any:
        from ..models.encoder import Encoder
        from .retriever import make_retriever

        return make_retriever(Encoder.load(name, **loading))

    return load


def _trainer(num_train: int, device: str) -> Callable[[Callable[[str], None]], tuple[str, str]]:
    """Return what gives the Space a model and pictures where none are named."""

    def train(say: Callable[[str], None]) -> tuple[str, str]:
        from .scenes import cache_folder, prepare_scenes

        made = prepare_scenes(cache_folder(), say, num_train, device)
        return str(made / "model"), str(made / "gallery")

    return train
