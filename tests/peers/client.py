"""Hands in one message in the ways that Python's smtplib knows: STARTTLS and implicit TLS, both
logins, eight-bit text, an international mailbox (RFC 6531), and a hundred recipients at once."""

import smtplib
import ssl
import sys

smtp, smtps, ca, user, password, path = sys.argv[1:]
message = open(path, "rb").read()
context = ssl.create_default_context(cafile=ca)


def place(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


with smtplib.SMTP(*place(smtp)) as client:
    client.starttls(context=context)
    client.login(user, password)
    assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"], client.esmtp_features
    for feature in "pipelining", "8bitmime", "smtputf8", "size", "enhancedstatuscodes", "chunking":
        assert client.has_extn(feature), feature
    refused = client.sendmail(
        "a@client.example", ["b@sink.example"], message, mail_options=["BODY=8BITMIME"]
    )
    assert not refused
    refused = client.sendmail(
        "иван@client.example",
        ["пётр@sink.example"],
        message,
        mail_options=["BODY=8BITMIME", "SMTPUTF8"],
    )
    assert not refused

with smtplib.SMTP_SSL(*place(smtps), context=context) as client:
    client.user, client.password = user, password
    client.ehlo()
    code, _ = client.auth("LOGIN", client.auth_login, initial_response_ok=False)
    assert code == 235
    many = [f"r{number}@sink.example" for number in range(100)]
    refused = client.sendmail("a@client.example", many, message, mail_options=["BODY=8BITMIME"])
    assert not refused
    refused = client.sendmail(
        "a@client.example", ["b@sink.example"], message, mail_options=["BODY=8BITMIME"]
    )
    assert not refused
