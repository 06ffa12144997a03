"""Secrets that are known by their shape: keys and tokens of vendors, ours too, and passwords.

Sources: each vendor's own documentation of how its keys look; RFC 7519 (JWT), 7468 (PEM), 7617.
"""

import base64
import binascii
import re

from axon.privacy.kind import Kind, stands_alone, value_after

PRIVATE_KEY_BYTES_MAX = 16_384
"""How far behind its first line the last of a private key is looked for."""


_MORE = re.compile(rb"[A-Za-z0-9_=-]{0,300}")


def _token(name: str, pattern: str) -> Kind:
    """Return a kind of token: `pattern` is how it begins, as much as it takes to know it."""
    return Kind(name, pattern, stands_alone, rest=_MORE)


_JWT = re.compile(rb"(eyJ[A-Za-z0-9_-]{10,2000})\.[A-Za-z0-9_-]{4,8000}\.[A-Za-z0-9_-]{0,2000}")


def _jwt(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place when the first part is a header that names an algorithm."""
    found = _JWT.match(text, start)
    if found is None:
        return None
    header = found[1]
    try:
        read = base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4))
    except (ValueError, binascii.Error):
        return None
    return stands_alone(text, *found.span()) if b'"alg"' in read else None


_USER = re.compile(rb"://([^\s/:@\"'<>]{0,100}:[^\s/@\"'<>]{1,200})@")


def _url_password(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of the name and the password in an address."""
    found = _USER.match(text, start + 1)
    return found.span(1) if found else None


_KEY_END = re.compile(rb"-----END [A-Z ]{0,40}PRIVATE KEY( BLOCK)?-----")


def _private_key(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the place of the whole block; of one that was cut, all there is of it."""
    limit = min(len(text), end + PRIVATE_KEY_BYTES_MAX)
    last = _KEY_END.search(text, end, limit)
    return start, last.end() if last else limit


def _basic(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of the credentials of a basic authorization: name, colon, password."""
    place = _BASIC(text, start, end)
    if place is None:
        return None
    found = text[place[0] : place[1]]
    try:
        read = base64.b64decode(found + b"=" * (-len(found) % 4))
    except (ValueError, binascii.Error):
        return None
    return place if b":" in read else None


_BASIC = value_after(r"basic +([A-Za-z0-9+/]{6,400}={0,2})")

_bearer = value_after(r"bearer +([A-Za-z0-9._~+/-]{16,2000}={0,2})")

_PLACEHOLDERS = re.compile(
    rb"(?i)(true|false|null|none|string|required|optional|incorrect|invalid|wrong|forgotten|reset"
    rb"|missing|changed?|expired|redacted|hidden|secret|password|token|\*+|x+|\.+"
    rb"|<[^>]*|\[[^\]]*|\$?\{.*|os\.\S*|env\S*|get\S*|self\.\S*|str)[\"';,)]*"
)


def _assigned(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Return the place of a password's value: not a type, a variable or a word about it."""
    place = _ASSIGNED(text, start, end)
    if place is None:
        return None
    found = text[place[0] : place[1]]
    word = found.rstrip(b".!?)")
    plain = word.isalpha() and word.islower() and b"=" not in text[start : place[0]]
    return None if _PLACEHOLDERS.fullmatch(found) or plain else place


_ASSIGNED = value_after(
    r"(?:password|passwd|pwd|passphrase|passwort|contrase\S{1,2}a|secret|api[_-]?key"
    r"|access[_-]?token|auth[_-]?token"
    r"|client[_-]?secret)[\"']? ?(?:is ?:? ?|[:=] ?)[\"']?([^\s\"',;&<>]{6,100})"
)

SECRETS = (
    _token("axon_key", r"\b(sk|up)-axon-[A-Za-z0-9_-]{16}"),
    _token("anthropic_key", r"\bsk-ant-[A-Za-z0-9_-]{20}"),
    _token("openai_key", r"\bsk-(proj-|svcacct-|admin-|None-)?[A-Za-z0-9_-]{20}"),
    _token("aws_access_key", r"\b(AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    Kind("aws_secret_key", r"aws.{0,20}(secret|key).{0,20}[=:] ?[\"']?[A-Za-z0-9/+]{40}\b",
         value_after(r"aws.{0,20}(?:secret|key).{0,20}[=:] ?[\"']?([A-Za-z0-9/+]{40})"), True),
    _token("github_token", r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22})"),
    _token("gitlab_token", r"\bgl(pat|dt|rt|ptt|cbt|soat)-[A-Za-z0-9_-]{20}"),
    _token("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10}|\bxapp-\d-[A-Za-z0-9-]{10}"),
    Kind("slack_webhook", r"https://hooks\.slack\.com/(services|workflows)/[A-Za-z0-9/_-]{20}",
         rest=re.compile(rb"[A-Za-z0-9/_-]{0,100}")),
    _token("stripe_key", r"\b([sr]k_(live|test)_[A-Za-z0-9]{16}|whsec_[A-Za-z0-9+/=]{24})"),
    _token("google_api_key", r"\bAIza[A-Za-z0-9_-]{35}"),
    _token("google_oauth", r"\b(ya29\.[A-Za-z0-9_-]{20}|GOCSPX-[A-Za-z0-9_-]{20})"),
    _token("sendgrid_key", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32}"),
    _token("twilio_key", r"\b(SK|AC)[0-9a-f]{32}"),
    _token("mailgun_key", r"\bkey-[0-9a-f]{32}"),
    _token("npm_token", r"\bnpm_[A-Za-z0-9]{36}"),
    _token("pypi_token", r"\bpypi-[A-Za-z0-9_-]{50}"),
    _token("huggingface_token", r"\b(hf|api_org)_[A-Za-z]{34}"),
    _token("telegram_token", r"\b\d{8,10}:[A-Za-z0-9_-]{35}"),
    _token("digitalocean_token", r"\bdo[opr]_v1_[0-9a-f]{64}"),
    _token("shopify_token", r"\bshp(at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    _token("databricks_token", r"\bdapi[0-9a-f]{32}"),
    Kind("azure_key", r"(AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,90}={0,2}",
         value_after(r"(?:AccountKey|SharedAccessKey)=([A-Za-z0-9+/]{40,90}={0,2})")),
    _token("newrelic_key", r"\bNRAK-[A-Z0-9]{27}"),
    _token("vault_token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24}"),
    _token("age_key", r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}"),
    _token("groq_key", r"\b(gsk_[A-Za-z0-9]{40}|xai-[A-Za-z0-9]{40}|pplx-[A-Za-z0-9]{40})"),
    _token("linear_key", r"\blin_(api|oauth)_[A-Za-z0-9]{32}"),
    _token("atlassian_token", r"\bATATT3[A-Za-z0-9_=-]{60}"),
    Kind("jwt", r"\beyJ[A-Za-z0-9_-]{10}", _jwt),
    Kind("private_key", r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY( BLOCK)?-----", _private_key),
    Kind("url_password", r"[a-z0-9]://", _url_password, True),
    Kind("basic_auth", r"\bbasic +[A-Za-z0-9+/]{6}", _basic, True),
    Kind("bearer_token", r"\bbearer +[A-Za-z0-9._~+/-]{16}", _bearer, True),
    Kind("password", r"\b(password|passwd|pwd|passphrase|passwort|contrase[\x80-\xffn]{1,2}a|secret"
         r"|api[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret)[\"']?"
         r" ?(is ?:? ?|[:=] ?)[\"']?[^\s\"',;&<>]{6}", _assigned, True),
)  # fmt: skip
