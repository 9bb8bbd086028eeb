from processing.readers import READERS


def test_every_reader_says_what_it_is() -> None:
    expected = ["flickr8k-cn", "multi30k", "five-languages", "mscoco", "vatex", "msrvtt-cn", "nrccr", "folder"]
    assert list(READERS) == expected
    for reader in READERS.values():
        assert reader.title and reader.protocol.endswith(".")


def test_options_are_those_of_the_function() -> None:
    assert READERS["multi30k"].options == ["task", "languages", "images"]
