"""AWS's own published examples of signature version 4."""

from datetime import UTC, datetime

import pytest

from axon.sealing.aws_signing import AwsCredentials, AwsRequest, signed

AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
CREDENTIALS = AwsCredentials(
    access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)
HOST = {"host": "example.amazonaws.com"}


@pytest.mark.parametrize(
    ("method", "target", "signature"),
    [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ],
    ids=["get-vanilla", "post-vanilla", "get-vanilla-query-order-key-case"],
)
def test_the_suite_of_aws(method: str, target: str, signature: str) -> None:
    request = AwsRequest(
        method=method, target=target, headers=HOST, body=b"", region="us-east-1", service="service"
    )
    assert signed(request, CREDENTIALS, AT)["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request,"
        f" SignedHeaders=host;x-amz-date, Signature={signature}"
    )


def test_the_example_of_aws_general_reference() -> None:
    request = AwsRequest(
        method="GET",
        target="/?Action=ListUsers&Version=2010-05-08",
        headers={
            "Host": "iam.amazonaws.com",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        },
        body=b"",
        region="us-east-1",
        service="iam",
    )
    told = signed(request, CREDENTIALS, AT)["authorization"]
    assert told.endswith("5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


def test_a_lent_token_is_signed_too() -> None:
    request = AwsRequest(
        method="POST", target="/", headers=HOST, body=b"{}", region="us-east-1", service="kms"
    )
    lent = AwsCredentials(access_key_id="A", secret_access_key="s", session_token="t")
    headers = signed(request, lent, AT)
    assert headers["x-amz-security-token"] == "t"
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token," in headers["authorization"]
