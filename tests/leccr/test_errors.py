import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError

from leccr.errors import UserError, settings_of_the_user


@pytest.mark.parametrize(
    "error",
    [
        ValueError("num_slots is\n-1"),
        OSError("num_slots is -1"),
        ImportError("num_slots is -1"),
        StrictDataclassFieldValidationError("num_slots", TypeError("num_slots is -1")),
    ],
)
def test_what_libraries_say_about_settings_is_the_users(error: Exception) -> None:
    with pytest.raises(UserError, match="^Recipe mine: .*num_slots") as caught, settings_of_the_user("Recipe mine"):
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyError("bug"), TypeError("bug"), UserError("as it is"), KeyboardInterrupt()])
def test_other_errors_stay_as_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, settings_of_the_user("Recipe mine"):
        raise error
    assert caught.value is error
