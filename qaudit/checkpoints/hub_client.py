"""Asking a hub: which commit is meant and what it holds."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from qaudit import __version__
from qaudit.checkpoints.hub_cache import RepoCache
from qaudit.checkpoints.hub_library import explained, library, quiet
from qaudit.checkpoints.hub_listing import Listing, checked_listing, is_readable
from qaudit.checkpoints.hub_spec import HubSpec
from qaudit.errors import InputError, MalformedFile

DEFAULT_REVISION = "main"
ANSWER_S = 30.0  # longest silence while a listing is sent
OURSELVES = {"library_name": "qaudit", "library_version": __version__}  # for the user agent


@dataclass(frozen=True, slots=True)
class HubPlace:
    """A hub, and the folder that what it sends is kept in.

    Attributes:
        endpoint: its address, without a slash at the end.
        cache: the cache folder of huggingface_hub.
    """

    endpoint: str
    cache: Path

    @property
    def name(self) -> str:
        """The hub's host for messages, without a password."""
        return urlsplit(self.endpoint).netloc.rpartition("@")[2]

    def repo(self, repo: str) -> RepoCache:
        """Return a repository's part of the cache."""
        return RepoCache(self.cache / f"models--{repo.replace('/', '--')}")


def place_from_environment() -> HubPlace:
    """Return the hub and cache that HF_ENDPOINT, HF_HUB_CACHE and HF_HOME name, or the usual ones.

    Raises:
        InputError: HF_ENDPOINT is no address.
        MissingExtra: huggingface_hub is not installed.
    """
    constants = library().constants
    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    try:
        address = urlsplit(endpoint)
        sound = address.scheme in ("http", "https") and address.hostname and not address.query
    except ValueError:
        sound = False
    if not sound:
        raise InputError(f"HF_ENDPOINT: {endpoint[:200]!a} is no address; write https://host, or unset it")
    home = os.environ.get("HF_HOME")
    given = os.environ.get("HF_HUB_CACHE") or (f"{home}/hub" if home else constants.HF_HUB_CACHE)
    return HubPlace(endpoint, Path(os.path.expandvars(given)).expanduser().absolute())


def ask_listing(place: HubPlace, spec: HubSpec, keep: Callable[[str], bool] = is_readable) -> Listing:
    """Ask which commit a revision is and what it holds, in one request, so that both belong together.

    Args:
        place: the hub.
        spec: the repository and revision.
        keep: which files are meant (see `checked_listing`).

    Raises:
        HubUnreachable: there is no network, or the hub is down.
        InputError: the repository or revision does not exist, or may not be read.
        MalformedFile, LimitExceeded: the answer is not one of a hub.
    """
    shown = str(spec)
    with quiet(), explained(place.name, shown):
        api = library().HfApi(endpoint=place.endpoint, **OURSELVES)
        revision = spec.revision or DEFAULT_REVISION
        try:
            info = api.model_info(spec.repo, revision=revision, files_metadata=True, timeout=ANSWER_S)
            rows = [
                (file.rfilename, file.lfs.size, file.lfs.sha256, file.blob_id)
                if file.lfs
                else (file.rfilename, file.size, None, file.blob_id)
                for file in info.siblings or ()
            ]
        # JSON that is not a hub's: the library takes it apart without looking
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise MalformedFile(
                shown, f"{place.name} does not answer as a hub", "check HF_ENDPOINT"
            ) from error
    listing = checked_listing(shown, spec.repo, info.sha, rows, keep)
    if spec.pinned and listing.commit != spec.revision:
        raise MalformedFile(shown, f"the hub answers with commit {listing.commit}", "check HF_ENDPOINT")
    return listing
