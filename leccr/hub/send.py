"""Sending files to the Hub in one commit, with errors that say what to do."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RevisionNotFoundError,
)

from hub_card.sections import merge_cards, own_text
from processing.notes import note

from ..data.facts import CARD
from ..errors import UserError
from .upload import STALE, Upload

LOG_IN = "log in with `hf auth login`, or set HF_TOKEN to a token that may write"
# Of the HTTP library, which is another one in huggingface_hub 1 than in 2: whatever keeps an answer from coming.
_TRANSPORT_ERROR: type[Exception] = next(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))


def send(upload: Upload, repository: str, private: bool = False, revision: str | None = None) -> str:
    """Upload in one commit and return its address; the repository and the branch are created if need be.

    Large files that have arrived once are not sent again, so that an interrupted upload can simply be repeated.

    Args:
        upload: What to upload. Its card is merged with the one on the Hub, whose own text wins.
        repository: Name on the Hub.
        private: Whether nobody else may see the repository.
        revision: Branch to commit to; None is `main`.

    Raises:
        UserError: If the Hub refuses, cannot be reached, or the repository is public and should be private.
    """
    if constants.HF_HUB_OFFLINE:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it and try again.")
    token = get_token()
    if not token:
        raise UserError(f"There is no token for the Hub: {LOG_IN}.")
    api = HfApi(token=token)
    with _plain_errors(repository, api.endpoint):
        api.create_repo(repository, repo_type=upload.repo_type, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, repo_type=upload.repo_type, exist_ok=True)
        info = api.repo_info(repository, repo_type=upload.repo_type, revision=revision)
        if private and not info.private:
            raise UserError(
                f"{repository} exists already and is public; make it private in its settings on the Hub, "
                "or choose another name."
            )
        existing = api.list_repo_files(repository, repo_type=upload.repo_type, revision=info.sha)
        commit = api.create_commit(
            repository,
            operations=_operations(api, upload, repository, existing, info.sha),
            commit_message=f"Publish the {upload.kind} with leccr",
            repo_type=upload.repo_type,
            revision=revision,
            # If somebody edits the card meanwhile, this fails and nothing is lost.
            parent_commit=info.sha,
        )
    return str(commit.commit_url)


def _operations(
    api: HfApi, upload: Upload, repository: str, existing: list[str], commit: str | None
) -> list[CommitOperationAdd | CommitOperationDelete]:
    operations: list[CommitOperationAdd | CommitOperationDelete] = [
        CommitOperationAdd(name, file if isinstance(file, bytes) else str(file)) for name, file in upload.files.items()
    ]
    if upload.card is not None:
        card = upload.card
        if CARD in existing:
            card = _merged(_read_card(api, upload, repository, commit), card, repository)
        operations.append(CommitOperationAdd(CARD, card.encode()))
    stale = [name for name in existing if name not in upload.files and any(fnmatch(name, pattern) for pattern in STALE)]
    return [*operations, *(CommitOperationDelete(name) for name in stale)]


def _read_card(api: HfApi, upload: Upload, repository: str, commit: str | None) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = api.hf_hub_download(repository, CARD, repo_type=upload.repo_type, revision=commit, local_dir=folder)
        return Path(path).read_text(encoding="utf-8")


def _merged(published: str, card: str, repository: str) -> str:
    name = f"{CARD} of {repository}"
    own, published_own = own_text(card), own_text(published, name)
    if own and own != published_own:
        note(f"{CARD} has other text outside its sections than the one on the Hub, which is kept; edit it there.")
    return merge_cards(published, card, name)


@contextmanager
def _plain_errors(repository: str, endpoint: str) -> Iterator[None]:
    """Turn what the Hub and the network answer into one sentence, which never holds the token."""
    again = "run the same command again: what has arrived is not sent again"
    try:
        yield
    except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        raise UserError(f"The Hub cannot be used: {LOG_IN}, and unset HF_HUB_OFFLINE.") from error
    except LocalEntryNotFoundError as error:
        raise UserError(f"The connection to {endpoint} broke off; {again}.") from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        raise UserError(f"{repository} lacks what the upload needs; {again}.") from error
    except HfHubHTTPError as error:
        raise UserError(_answer(error, repository, again)) from error
    except PermissionError as error:
        # A local file has a name; the storage's refusal has none.
        if error.filename is not None:
            raise UserError(f"{error.filename} may not be read; change its permissions.") from error
        raise UserError(f"The Hub's storage does not accept the token: {LOG_IN}.") from error
    except (ConnectionError, TimeoutError) as error:
        raise UserError(f"The connection to the Hub's storage broke off or could not be made; {again}.") from error
    except (_TRANSPORT_ERROR, RuntimeError) as error:
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise UserError(_answer(cause, repository, again)) from error
        if isinstance(error, RuntimeError) and not isinstance(cause, _TRANSPORT_ERROR):
            raise
        raise UserError(f"The connection to {endpoint} broke off or could not be made; {again}.") from error


def _answer(error: HfHubHTTPError, repository: str, again: str) -> str:
    status = error.response.status_code
    if status == 401:
        return f"The Hub does not accept the token: {LOG_IN}."
    if status == 403:
        return f"The token may not write to {repository}; {LOG_IN} there, or choose another name."
    if status == 404:
        return f"The Hub has no {repository}, or the token may not see it; check the name, or {LOG_IN} there."
    if status in (409, 412):
        return f"{repository} was changed by somebody else during the upload; {again}."
    if status >= 500:
        return f"The Hub is unavailable (status {status}); wait a little, then {again}."
    return f"The Hub refuses the upload to {repository} (status {status}): {error.server_message or 'no reason given'}"
