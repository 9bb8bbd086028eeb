"""Whether the index of words is as it should be, and making it again."""

from ..errors import UserError
from .store.catalogue import Catalogue
from .store.words import index_all_words, is_word_index_sound, verify_word_index


def check_words(catalogue: Catalogue, repair: bool) -> bool:
    """Return whether the index of words does not agree with the items; `repair` makes it again then.

    Without `repair` nothing is written: whether the index fits its texts is then known only from SQLite 3.44 on, whose
    check of the whole catalogue includes it.
    """
    try:
        with catalogue.reading() as connection:
            wrong = not is_word_index_sound(connection)
        if repair and not wrong:
            with catalogue.writing() as connection:
                verify_word_index(connection)
    except UserError:
        wrong = True
    if wrong and repair:
        with catalogue.writing() as connection:
            index_all_words(connection)
    return wrong
