"""Secrets and signatures after Standard Webhooks 1.0 (standardwebhooks.com)."""

import base64
import hashlib
import hmac

PREFIX = "whsec_"
SECRET_BYTES = 32
"""Between the specification's 24 and 64."""


def secret_text(secret: bytes) -> str:
    """Return a secret as its owner is shown it, once."""
    return PREFIX + base64.b64encode(secret).decode()


def signed_headers(secret: bytes, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of a message that is sent at a time."""
    content = f"{message_id}.{at_s}.".encode() + body
    mac = hmac.new(secret, content, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
