"""A server that answers and does not let this user: who asked, and what would be right."""

from __future__ import annotations

import os

VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
TOKEN = "MLFLOW_TRACKING_TOKEN"
RIGHT = f"right would be both, in {VARIABLES[0]} and {VARIABLES[1]}, or a token in {TOKEN}"
UNKNOWN = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
FORBIDDEN = {"PERMISSION_DENIED"}
WRONG_HOST = "Host header"  # what MLflow answers, with the same number, whoever asks


def denial(error: Exception, uri: str, experiment: str) -> str | None:
    """Whom a server turned away and what would be right, as a clause; None where the error is another one.

    Parameters
    ----------
    error : Exception
        MLflow's own, or, of an upload, that of `requests`.
    uri : str
        The store. Only servers ask for these variables.
    experiment : str
    """
    if not uri.startswith(("http://", "https://")) or WRONG_HOST in str(error):
        return None
    code, answer = getattr(error, "error_code", ""), getattr(error, "response", None)
    status = answer.status_code if answer is not None and str(answer.url).startswith(uri) else 0
    if code in UNKNOWN or status == 401:
        return _unknown()
    if code in FORBIDDEN or status == 403:
        return (
            f"{_who()} may not do this in experiment '{experiment}'; right would be one who may edit it, in "
            f"{VARIABLES[0]} and {VARIABLES[1]}, or another tracking.experiment"
        )
    return None


def _unknown() -> str:
    """Why the server knows nobody by what was given."""
    user, password = _credentials()
    if user and password:
        return f"it knows no user '{user}' with this password; {RIGHT}"
    if os.environ.get(TOKEN):
        return f"it does not take the token of {TOKEN}; {RIGHT}"
    if user or password:
        return f"it asks for a user and a password, and only {VARIABLES[0 if user else 1]} is set; {RIGHT}"
    return f"it asks for a user and a password, and none was given; {RIGHT}"


def _who() -> str:
    user, password = _credentials()
    return f"user '{user}'" if user and password else f"the owner of {TOKEN}" if os.environ.get(TOKEN) else "nobody"


def _credentials() -> tuple[str, str]:
    """User and password as MLflow sends them: of the variables, else of its own file."""
    from mlflow.utils.credentials import read_mlflow_creds

    found = read_mlflow_creds()
    return found.username or "", found.password or ""
