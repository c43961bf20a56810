"""A model behind an OpenAI-compatible server, seen as a checkpoint: an address, and no bytes.

What people write is `https://host:port/v1#model-id`. Nothing is asked of the server here; which bytes
it answers from is not known, and that is what every field says.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from qaudit.checkpoints.digests import combined_digest
from qaudit.checkpoints.raw_tensors import FloatArray
from qaudit.errors import InputError
from qaudit.values import CheckpointInfo

SCHEMES = ("http", "https")
MAX_ADDRESS = 2000
MAX_MODEL_ID = 256
DEFAULT_PATH = "/v1"
# what people copy out of a server's documentation
_ENDPOINT = "/chat/completions"
# what a fragment may hold as it stands (RFC 3986)
_PLAIN = "/?:@!$&'()*+,;=-._~"


def is_served(spec: str) -> bool:
    """Tell whether a checkpoint is named by the address of a server."""
    return spec.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))


class ServedModel:
    """A model at `https://host:port/v1#model-id`; satisfies `Checkpoint` with nothing to read.

    Args:
        spec: the address. Without a path `/v1` is meant; without a model id the only model that the
            server lists.

    Attributes:
        url: scheme, host, port and path, without a slash at the end.
        model_id: None where the server must tell it.

    Raises:
        InputError: the address is not one, or carries a user, a password or a query.
    """

    format = "endpoint"
    quantization = "unknown"
    architecture = "unknown"
    parameters = 0
    bits_per_weight = 0.0
    chat_template: str | None = None
    tokenizer_digest = ""

    def __init__(self, spec: str) -> None:
        self.url, self.model_id = _parsed(spec)

    @property
    def spec(self) -> str:
        """The address in one spelling, with the model id if one was given."""
        return f"{self.url}#{quote(self.model_id, safe=_PLAIN)}" if self.model_id else self.url

    def named(self, model_id: str) -> "ServedModel":
        """Return the same server's model of that id.

        Raises:
            InputError: the id is too long or not plain text.
        """
        return ServedModel(f"{self.url}#{quote(model_id, safe='')}")

    @property
    def is_loopback(self) -> bool:
        """Whether the server runs on this machine, so that nobody in between reads or alters a word."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def is_encrypted(self) -> bool:
        """Whether the address is an https one."""
        return self.url.startswith("https:")

    @property
    def path(self) -> Path:
        """The address where a path is wanted (a Path writes two slashes as one); for people, use `spec`."""
        return Path(self.spec)

    @property
    def info(self) -> CheckpointInfo:
        """What is known: the address. The digest is that of no files."""
        return CheckpointInfo(
            path=self.spec,
            format=self.format,
            quantization=self.quantization,
            architecture=self.architecture,
            parameters=self.parameters,
            sha256=combined_digest(()),
            files=(),
            bits_per_weight=self.bits_per_weight,
        )

    @property
    def special_tokens(self) -> dict[str, str]:
        """None are known: the server applies its own template."""
        return {}

    def text(self, key: str) -> str | None:
        """Return None: a server shows no metadata."""
        return None

    def require_unchanged(self) -> None:
        """Do nothing: there is no file that could change."""

    def names(self) -> Sequence[str]:
        """Return no names: a server shows no weights."""
        return ()

    def shape(self, name: str) -> tuple[int, int]:
        """Raise InputError: a server shows no weights."""
        raise self._no_weights(name)

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> FloatArray:
        """Raise InputError: a server shows no weights."""
        raise self._no_weights(name)

    def types(self) -> dict[str, str]:
        """Return no types: a server shows no weights."""
        return {}

    def _no_weights(self, name: str) -> InputError:
        return InputError(f"{self.spec}: a served model shows no weights such as {name}; give the files")


def _parsed(spec: str) -> tuple[str, str | None]:
    address, _, fragment = spec.partition("#")
    if len(spec) > MAX_ADDRESS or not is_served(spec):
        raise _refused(address, "is not an address", "write https://host:port/v1#model-id")
    if not address.isascii() or not address.isprintable() or any(c in ' "<>\\^`{|}' for c in address):
        raise _refused(address, "holds characters that no address has", "write others as %XX")
    if "@" in address:
        raise _refused(
            address, "carries a user or password, which would end up in reports",
            "put the key into the environment variable QAUDIT_API_KEY",
        )  # fmt: skip
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        # what stands for the port may be a password with a # in it
        shown = address.rpartition(":")[0] or address
        raise _refused(shown, "is not an address", "check host and port") from error
    if not host or port == 0:
        raise _refused(address, "names no host or port", "write https://host:port/v1#model-id")
    if "?" in address:
        raise _refused(address, "carries a query", "give the address without it")
    scheme = parts.scheme.lower()
    shown = f"[{host}]" if ":" in host else host
    standing = port is None or port == {"http": 80, "https": 443}[scheme]
    path = parts.path.rstrip("/").removesuffix(_ENDPOINT).rstrip("/") or DEFAULT_PATH
    url = f"{scheme}://{shown}{'' if standing else f':{port}'}{path}"
    return url, _model_id(url, unquote(fragment)) if fragment else None


def _model_id(url: str, name: str) -> str:
    if len(name) > MAX_MODEL_ID or not name.isprintable() or name != name.strip():
        raise InputError(
            f"{url}: the model id after # is longer than {MAX_MODEL_ID} characters, or not plain text"
        )
    return name


def _refused(address: str, problem: str, remedy: str) -> InputError:
    # what stands before an @ may be a password
    scheme, slashes, rest = address.partition("://")
    return InputError(f"{scheme}{slashes}{rest.rpartition('@')[2][:200]}: {problem}; {remedy}")
