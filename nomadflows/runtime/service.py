"""`python -m nomadflows.runtime.service METHOD`: one question to a component outside any flow.

The counterpart of the Node library's `runService.js`: the same environment, the same results posted.

==================  ==================================================================================================
verifyCredentials   `verify(credential)` of the module that `credentials.verifier` names: raise what is wrong. Without
                    a verifier every credential is right.
getMetaModel        `get_meta_model(config)` of the function's module
selectModel         the function of that module which a field's `model` names, called with the configuration
==================  ==================================================================================================
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nomadflows.runtime.component import ComponentError, Module, load, load_verifier
from nomadflows.runtime.http import request

Json = dict[str, Any]

_TRIES: Final = 3
_TIMEOUT_S: Final = 15.0
_ACCEPTED: Final = 200


def main(method: str) -> int:
    """Whatever the component does, a result is posted; 1 if nobody takes it."""
    environ = os.environ
    url = environ.get("ELASTICIO_POST_RESULT_URL", "")
    if not url:
        print("ELASTICIO_POST_RESULT_URL is missing", file=sys.stderr)
        return 1
    try:
        result: Json = {"status": "success", "data": _ask(method, json.loads(environ["ELASTICIO_CFG"]))}
        body = json.dumps(result).encode()
    except BaseException as error:  # noqa: BLE001 - whatever a component raises is its answer
        text = str(error) or type(error).__name__
        body = json.dumps({"status": "error", "data": {"message": text, "name": type(error).__name__}}).encode()
    return 0 if _post(url, body) else 1


def _ask(method: str, config: Json) -> Any:
    folder = os.environ.get("NOMADFLOWS_COMPONENT_DIR") or "."
    if method == "verifyCredentials":
        return _verified(load_verifier(folder), config)
    module = load(folder, os.environ.get("ELASTICIO_ACTION_OR_TRIGGER", "")).module
    if method == "getMetaModel":
        return module.call("get_meta_model", config)
    if method == "selectModel":
        return module.call(os.environ.get("ELASTICIO_GET_MODEL_METHOD", ""), config)
    raise ComponentError(f"no method {method!r}; there are: verifyCredentials, getMetaModel, selectModel")


def _verified(verifier: Module | None, credential: Json) -> Json:
    try:
        said = verifier.call("verify", credential) if verifier else None
    except ComponentError:
        raise
    except Exception as error:  # noqa: BLE001 - any exception is the verifier's no
        return {"verified": False, "reason": str(error) or type(error).__name__}
    return {"verified": True, **said} if isinstance(said, dict) else {"verified": said is not False}


def _post(url: str, body: bytes) -> bool:
    parts = urlsplit(url)
    user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    headers = {"Authorization": "Basic " + base64.b64encode(user).decode()}
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    for _ in range(_TRIES):
        try:
            status, _answer = request(parts, "POST", path, headers, body, timeout=_TIMEOUT_S)
        except OSError as error:
            print(f"the result could not be posted: {error}", file=sys.stderr)
            continue
        if status == _ACCEPTED:
            return True
        print(f"the result was answered {status}", file=sys.stderr)
    return False


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a component's left-over threads must not keep the process
