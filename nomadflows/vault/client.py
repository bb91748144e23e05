"""The calls nomadflows makes to Vault or OpenBao, on hvac. The only user of hvac.

hvac has time-outs and leaves two things to its caller: it does not renew the token it is given (`renew_own_token`),
and its exceptions quote what was sent or answered, so none of them passes from here: what comes out names the
server, the path and the reason, never a value.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import hvac
import hvac.exceptions
import requests

from nomadflows.model.errors import Conflict, NotFound, ServerRefused, ServerUnreachable
from nomadflows.model.names import FlowRef, VersionRef
from nomadflows.vault.policy import checked_credential_path, policy_text, role
from nomadflows.vault.secrets import FlowSecret, VersionSecret

Json = dict[str, Any]
T = TypeVar("T")

SERVER: Final = "Vault"
_ARTIFACTS: Final = "_artifacts"  # below the KV mount; no workspace is called so
_OBJECTS: Final = "_objects"
_NONE_YET: Final = 0  # compare-and-set of KV v2: only if there is none
_CAS_TRIES: Final = 30  # each costs the others theirs at most once, so so many may write at the same moment
_HINT: Final = "`nomadflows dev up` starts a local one; VAULT_ADDR names another; `nomadflows doctor` looks closer"
_MAY_NOT: Final = "set VAULT_TOKEN to a token that may do this"


class Vault:
    """Nothing is sent before the first call. To be used by one thread, which keeps its connection."""

    def __init__(
        self,
        addr: str,
        token: str = "",
        *,
        mount: str = "nomadflows",
        auth_mount: str = "jwt-nomad",
        cacert: str = "",
        timeout: float = 5.0,
    ) -> None:
        self.address = addr
        self._mount = mount
        self._auth = auth_mount
        session = requests.Session()
        session.trust_env = False
        self._client = hvac.Client(url=addr, token=token, verify=cacert or True, timeout=timeout, session=session)
        self._kv = self._client.secrets.kv.v2

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────

    def version(self) -> str:
        """Of the server. ServerUnreachable unless it is initialised and unsealed."""
        with self._errors("sys/health"):
            health = _json(self._client.sys.read_health_status(method="GET"))
        if health.get("sealed") or not health.get("initialized"):
            state = "sealed" if health.get("initialized") else "not initialised"
            raise ServerUnreachable(
                SERVER,
                self.address,
                f"it is {state}",
                hint="unseal it (`bao operator unseal`, `vault operator unseal`)",
            )
        return str(health["version"])

    def renew_own_token(self) -> float | None:
        """Renew the token this client works with; seconds it now lives, None if it never ends."""
        with self._errors("auth/token/renew-self"):
            lookup = self._client.auth.token.lookup_self()["data"]
            if not lookup.get("renewable"):
                return float(lookup["ttl"]) if lookup.get("ttl") else None
            return float(self._client.auth.token.renew_self()["auth"]["lease_duration"])

    # ── flows and versions ────────────────────────────────────────────────────────────────────────────────

    def flow_secret(self, ref: FlowRef) -> FlowSecret:
        """Made at the first call; whoever comes second gets what the first one made."""
        return self._made_once(ref.secret_path, FlowSecret.from_json, lambda: FlowSecret.new().to_json())

    def version_secret(self, version: VersionRef) -> VersionSecret:
        """Made at the first call."""

        def new() -> Json:
            return VersionSecret.new(self.flow_secret(version.ref)).to_json()

        return self._made_once(version.secret_path, VersionSecret.from_json, new)

    def artifact_key(self) -> str:
        """What changes of the artifact store are signed with. Made at the first call."""
        return self._made_once(_ARTIFACTS, lambda data: str(data["key"]), lambda: {"key": secrets.token_urlsafe(32)})

    def object_key(self) -> str:
        """What addresses of objects are signed with. Made at the first call."""
        return self._made_once(_OBJECTS, lambda data: str(data["key"]), lambda: {"key": secrets.token_urlsafe(32)})

    def find_version_secret(self, version: VersionRef) -> VersionSecret | None:
        """As it is; None if the version has none (not started yet, or cleaned up)."""
        data = self._read(version.secret_path)
        return VersionSecret.from_json(data) if data else None

    def require_startup(self, version: VersionRef, *, required: bool) -> None:
        """Whether the next process of the version's first step runs its start-up hook."""
        self.version_secret(version)
        data = self._read(version.secret_path) or {}
        if bool(data.get("startup_required")) != required:
            data["startup_required"] = "true" if required else ""
            with self._errors(version.secret_path):
                self._kv.create_or_update_secret(version.secret_path, secret=data, mount_point=self._mount)

    def put_call(self, call: VersionRef, configuration: str, credential: str) -> None:
        """The secret of a question to a component: its key, the configuration as the component gets it, and the name
        of the credential in that, "" if there is none."""
        secret = VersionSecret.new(FlowSecret("", "")).to_json()
        secret |= {"amqp_password": "", "cfg": configuration, "credential": credential}
        with self._errors(call.secret_path):
            self._kv.create_or_update_secret(call.secret_path, secret=secret, mount_point=self._mount)

    def credential_of_call(self, version: VersionRef) -> str | None:
        """Name of the credential with which a question is asked, "" for none; None of what is no question."""
        data = self._read(version.secret_path) or {}
        return str(data["credential"]) if "cfg" in data else None

    def ensure_role(self, version: VersionRef, credentials: Iterable[str]) -> None:
        """The policy and the role by which the version's job reads its secrets. Reads first: a write costs more."""
        text, wanted = policy_text(version, credentials, self._mount), role(version)
        name = version.vault_role
        with self._errors(f"sys/policies/acl/{name}"):
            if self._policy(name) != text:
                self._client.sys.create_or_update_acl_policy(name, text)
        path = f"auth/{self._auth}/role/{name}"
        with self._errors(path):
            if not self._holds(path, wanted):
                self._client.write_data(path, data=wanted)

    def role_differs(self, version: VersionRef, credentials: Iterable[str]) -> bool:
        """Whether `ensure_role` would write anything."""
        name = version.vault_role
        with self._errors(name):
            if not self._holds(f"auth/{self._auth}/role/{name}", role(version)):
                return True
            return self._policy(name) != policy_text(version, credentials, self._mount)

    def roles(self) -> set[str]:
        """Names of all roles there are."""
        path = f"auth/{self._auth}/role"
        with self._errors(path):
            found = self._client.list(path)
        return set(found["data"]["keys"]) if found else set()

    def delete_version(self, version: VersionRef) -> None:
        """Role, policy and secret; what is not there is as good as deleted."""
        name = version.vault_role
        with self._errors(name):
            self._client.delete(f"auth/{self._auth}/role/{name}")
            self._client.sys.delete_acl_policy(name)
            self._kv.delete_metadata_and_all_versions(version.secret_path, mount_point=self._mount)

    def delete_flow(self, ref: FlowRef) -> None:
        """The message key. What is still encrypted with it can never be read again."""
        with self._errors(ref.secret_path):
            self._kv.delete_metadata_and_all_versions(ref.secret_path, mount_point=self._mount)

    # ── credentials ───────────────────────────────────────────────────────────────────────────────────────

    def set_credential(self, workspace: str, name: str, values: Json) -> None:
        """Replace a credential as a whole."""
        path = checked_credential_path(workspace, name)
        with self._errors(path):
            self._kv.create_or_update_secret(path, secret=values, mount_point=self._mount)

    def change_credential(self, workspace: str, name: str, change: Callable[[Json], Json]) -> Json | None:
        """What `change` made of a credential, kept; None if there is none. Whoever else changes it at the same moment
        loses nothing: `change` is called again with what they wrote."""
        path = checked_credential_path(workspace, name)
        for _ in range(_CAS_TRIES):
            known, number = self._read_numbered(path)
            if known is None:
                return None
            changed = change(known)
            try:
                self._write(path, changed, number)
            except Conflict:
                continue
            return changed
        raise ServerRefused(SERVER, self.address, f"{path} is changed by others again and again")

    def credential_names(self, workspace: str) -> list[str]:
        with self._errors(workspace):
            try:
                found = self._kv.list_secrets(workspace, mount_point=self._mount)
            except hvac.exceptions.InvalidPath:
                return []
        return sorted(name for name in found["data"]["keys"] if not name.endswith("/"))

    def credential_exists(self, workspace: str, name: str) -> bool:
        return name in self.credential_names(workspace)

    def read_credential(self, workspace: str, name: str) -> Json | None:
        return self._read(checked_credential_path(workspace, name))

    def delete_credential(self, workspace: str, name: str) -> None:
        """NotFound if there is none."""
        if not self.credential_exists(workspace, name):
            raise NotFound(f"there is no credential {name} in workspace {workspace}")
        path = checked_credential_path(workspace, name)
        with self._errors(path):
            self._kv.delete_metadata_and_all_versions(path, mount_point=self._mount)

    # ── how ───────────────────────────────────────────────────────────────────────────────────────────────

    def _made_once(self, path: str, shape: Callable[[Json], T], new: Callable[[], Json]) -> T:
        data = self._read(path)
        if data is None:
            try:
                data = new()
                self._write(path, data, self._deleted(path))
            except Conflict:
                data = self._read(path)
        if data is None:
            raise ServerRefused(SERVER, self.address, f"{path} vanished while it was made")
        return shape(data)

    def _deleted(self, path: str) -> int:
        """Number of the newest version at a path, which somebody deleted; 0 if there never was one. Conflict if it
        can be read by now."""
        with self._errors(path):
            try:
                metadata = self._kv.read_secret_metadata(path, mount_point=self._mount)["data"]
            except hvac.exceptions.InvalidPath:
                return _NONE_YET
        newest = metadata["versions"][str(metadata["current_version"])]
        if not newest["deletion_time"] and not newest["destroyed"]:
            raise Conflict(f"{path} was made by somebody else meanwhile")
        return int(metadata["current_version"])

    def _write(self, path: str, data: Json, newest: int) -> None:
        """Conflict unless the newest version is still this one."""
        with self._errors(path):
            try:
                self._kv.create_or_update_secret(path, secret=data, cas=newest, mount_point=self._mount)
            except hvac.exceptions.InvalidRequest as error:
                if "check-and-set" in str(error):
                    raise Conflict(f"{path} was written by somebody else meanwhile") from None
                raise

    def _read(self, path: str) -> Json | None:
        return self._read_numbered(path)[0]

    def _read_numbered(self, path: str) -> tuple[Json | None, int]:
        """What lies at a path, and the number of that version of it."""
        with self._errors(path):
            try:
                found = self._kv.read_secret_version(path, mount_point=self._mount, raise_on_deleted_version=True)
            except hvac.exceptions.InvalidPath:
                return None, _NONE_YET
        return found["data"]["data"], int(found["data"]["metadata"]["version"])

    def _policy(self, name: str) -> str | None:
        try:
            return str(self._client.sys.read_acl_policy(name)["data"]["policy"])
        except hvac.exceptions.InvalidPath:
            return None

    def _holds(self, path: str, wanted: Json) -> bool:
        """Whether what lies at a path has these values, whatever else it has."""
        present = self._client.read(path)
        data = present["data"] if present else {}
        return all(data.get(key) == value for key, value in wanted.items())

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        """hvac's and requests' exceptions as ours. Their texts are dropped where they may quote a value."""
        try:
            yield
        except requests.RequestException as error:
            raise ServerUnreachable(SERVER, self.address, _reason(error), hint=_HINT) from None
        except (hvac.exceptions.VaultDown, hvac.exceptions.InternalServerError, hvac.exceptions.BadGateway) as error:
            raise ServerUnreachable(SERVER, self.address, f"{type(error).__name__} at {path}", hint=_HINT) from None
        except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized):
            raise ServerRefused(
                SERVER, self.address, f"permission denied at {path}", status=403, hint=_MAY_NOT
            ) from None
        except hvac.exceptions.VaultError as error:
            raise ServerRefused(SERVER, self.address, f"{type(error).__name__} at {path}", status=400) from None


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "its TLS certificate could not be verified (VAULT_CACERT names the authority)"
    return "connection refused or lost"


def _json(answer: Any) -> Json:
    """hvac gives a response object where the status is not 200, and its content where it is."""
    found: Json = answer if isinstance(answer, dict) else answer.json()
    return found
